/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests are built encoded and with sorted parameters: what is signed is what is sent, byte for byte. Lists
 * ask for encoding-type=url, because XML cannot carry every byte that a key may have; a store that ignores it
 * says so by leaving EncodingType out, and then keys are taken as they are.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <gantry/cleanup.h>

#include "http.h"
#include "s3.h"
#include "sigv4.h"
#include "xml.h"

#define TARGET_MAX (16 * 1024)	/* path and query; a token and a prefix, every byte encoded, fit */
#define HEADER_MAX 512
#define SMALL_TIMEOUT_MS 30000
#define LIST_TIMEOUT_MS  120000

struct s3_client {
	struct http_client *http;
	struct s3_store store;
	char origin[320];		/* endpoint without a trailing slash */
	const char *host;		/* in origin: host[:port] */
	char error[S3_ERROR_MAX];
};

/* --- text --- */

static bool unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

int s3_encode(const char *text, bool keep_slash, char *ret, size_t room)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = unreserved(c) || (keep_slash && c == '/');

		if (n + (plain ? 1 : 3) >= room)
			return -ENOSPC;
		if (plain) {
			ret[n++] = (char)c;
		} else {
			ret[n++] = '%';
			ret[n++] = digits[c >> 4];
			ret[n++] = digits[c & 15];
		}
	}
	if (n >= room)
		return -ENOSPC;
	ret[n] = '\0';
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * Percent-encoding as lists use it ('+' is a space), in place. -EBADMSG for a bad escape or an encoded NUL.
 */
static int decode(char *text, size_t *size)
{
	size_t n = 0;

	for (size_t i = 0; i < *size; i++) {
		int high, low;

		if (text[i] == '+') {
			text[n++] = ' ';
			continue;
		}
		if (text[i] != '%') {
			text[n++] = text[i];
			continue;
		}
		if (*size - i < 3)
			return -EBADMSG;
		high = hex_digit(text[i + 1]);
		low = hex_digit(text[i + 2]);
		if (high < 0 || low < 0 || (high == 0 && low == 0))
			return -EBADMSG;
		text[n++] = (char)(high << 4 | low);
		i += 2;
	}
	text[n] = '\0';
	*size = n;
	return 0;
}

/* A copy that can stand in an event: printable ASCII, cut to fit. */
static void printable(const char *text, char *ret, size_t room)
{
	size_t n = 0;

	for (; *text && n + 1 < room; text++)
		ret[n++] = *text >= ' ' && *text <= '~' ? *text : '?';
	ret[n] = '\0';
}

static int parse_size(const char *text, uint64_t *ret)
{
	char *end;
	unsigned long long value;

	if (*text < '0' || *text > '9' || strlen(text) > 19)
		return -EBADMSG;
	value = strtoull(text, &end, 10);
	if (*end || value > S3_SIZE_MAX)
		return -EBADMSG;
	*ret = value;
	return 0;
}

/* An entity tag as it may go into an If-Match header: one pair of quotes, no control characters inside. */
static bool etag_ok(const char *etag)
{
	size_t size = strlen(etag);

	if (size < 3 || size > S3_ETAG_MAX || etag[0] != '"' || etag[size - 1] != '"')
		return false;
	for (size_t i = 1; i < size - 1; i++)
		if (etag[i] <= ' ' || etag[i] > '~' || etag[i] == '"' || etag[i] == '\\')
			return false;
	return true;
}

/* --- lists --- */

struct held_object {
	char *key;
	size_t key_size;
	char etag[S3_ETAG_MAX + 3];
	uint64_t size;
	bool has_key, has_etag, has_size;
};

struct page_parse {
	const char *prefix;
	int (*each)(void *context, const struct s3_object *object);
	void *context;
	struct s3_page *page;
	char *reason;
	struct held_object *held;
	size_t count, room;
	struct held_object current;
	bool encoded, is_list, has_truncated;
};

static void held_object_free(struct held_object *o)
{
	free(o->key);
	*o = (struct held_object){ 0 };
}

static int refuse(struct page_parse *p, const char *why)
{
	snprintf(p->reason, S3_ERROR_MAX, "list refused: %s", why);
	return -EBADMSG;
}

static int take_key(struct page_parse *p, const char *text, size_t size)
{
	if (p->current.has_key)
		return refuse(p, "two keys in one entry");
	/* Percent-encoded, a key may be three times as long. */
	if (size == 0 || size > 3 * S3_KEY_MAX)
		return refuse(p, "a key is empty or too long");
	p->current.key = malloc(size + 1);
	if (!p->current.key)
		return -ENOMEM;
	memcpy(p->current.key, text, size);
	p->current.key[size] = '\0';
	p->current.key_size = size;
	p->current.has_key = true;
	return 0;
}

static int take_etag(struct page_parse *p, const char *text, size_t size)
{
	bool bare = size && text[0] != '"';

	if (size > S3_ETAG_MAX)
		return refuse(p, "an ETag is too long");
	/* Some stores list it without the quotes that the header has. */
	snprintf(p->current.etag, sizeof(p->current.etag), bare ? "\"%s\"" : "%s", text);
	if (!etag_ok(p->current.etag))
		return refuse(p, "an ETag is malformed");
	p->current.has_etag = true;
	return 0;
}

static int end_entry(struct page_parse *p)
{
	if (!p->current.has_key || !p->current.has_size || !p->current.has_etag)
		return refuse(p, "an entry lacks key, size or ETag");
	if (p->count == p->room) {
		size_t room = p->room ? p->room * 2 : 256;
		struct held_object *grown;

		if (p->count >= S3_OBJECTS_MAX)
			return refuse(p, "too many objects");
		grown = realloc(p->held, room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		p->held = grown;
		p->room = room;
	}
	p->held[p->count++] = p->current;
	p->current = (struct held_object){ 0 };
	return 0;
}

static int take_boolean(struct page_parse *p, const char *text)
{
	if (!strcmp(text, "true"))
		p->page->truncated = true;
	else if (strcmp(text, "false"))
		return refuse(p, "IsTruncated is neither true nor false");
	p->has_truncated = true;
	return 0;
}

static int on_list_element(void *context, const char *path, const char *text, size_t size)
{
	struct page_parse *p = context;

	if (strncmp(path, "ListBucketResult", 16) || (path[16] && path[16] != '/'))
		return refuse(p, "not a ListBucketResult");
	if (!path[16]) {
		p->is_list = true;
		return 0;
	}
	path += 17;
	if (!strcmp(path, "Contents/Key"))
		return take_key(p, text, size);
	if (!strcmp(path, "Contents/ETag"))
		return take_etag(p, text, size);
	if (!strcmp(path, "Contents/Size")) {
		if (parse_size(text, &p->current.size))
			return refuse(p, "a size is not a number within bounds");
		p->current.has_size = true;
		return 0;
	}
	if (!strcmp(path, "Contents"))
		return end_entry(p);
	if (!strcmp(path, "IsTruncated"))
		return take_boolean(p, text);
	if (!strcmp(path, "EncodingType")) {
		if (strcmp(text, "url"))
			return refuse(p, "an EncodingType other than url");
		p->encoded = true;
		return 0;
	}
	if (!strcmp(path, "NextContinuationToken")) {
		if (size > S3_TOKEN_MAX || strlen(text) != size)
			return refuse(p, "the continuation token is too long");
		memcpy(p->page->token, text, size + 1);
	}
	return 0;
}

/* EncodingType may stand behind the keys, so they are decoded once the page is whole. */
static int hand_over(struct page_parse *p)
{
	size_t prefix_size = strlen(p->prefix);

	for (size_t i = 0; i < p->count; i++) {
		struct held_object *o = &p->held[i];
		int r;

		if (p->encoded && decode(o->key, &o->key_size))
			return refuse(p, "a key has a bad escape");
		if (o->key_size == 0 || o->key_size > S3_KEY_MAX || strlen(o->key) != o->key_size)
			return refuse(p, "a key is empty or too long");
		if (strncmp(o->key, p->prefix, prefix_size))
			return refuse(p, "a key outside the prefix asked for");
		r = p->each(p->context, &(struct s3_object){ .key = o->key, .etag = o->etag, .size = o->size });
		if (r < 0)
			return r;
	}
	return 0;
}

int s3_parse_page(const void *bytes, size_t size, const char *prefix,
		  int (*each)(void *context, const struct s3_object *object), void *context,
		  struct s3_page *ret, char reason[static S3_ERROR_MAX])
{
	struct page_parse p = {
		.prefix = prefix, .each = each, .context = context, .page = ret, .reason = reason,
	};
	const char *why = NULL;
	int r;

	*ret = (struct s3_page){ 0 };
	reason[0] = '\0';
	r = xml_parse(bytes, size, on_list_element, &p, &why);
	if (r && !*reason)
		snprintf(reason, S3_ERROR_MAX, "list refused: %s", why ? why : "not XML");
	if (!r && (!p.is_list || !p.has_truncated))
		r = refuse(&p, "no ListBucketResult with IsTruncated");
	if (!r && ret->truncated && !*ret->token)
		r = refuse(&p, "cut, but no NextContinuationToken");
	if (!r && !ret->truncated)
		ret->token[0] = '\0';
	ret->objects = (unsigned)p.count;
	if (!r)
		r = hand_over(&p);
	for (size_t i = 0; i < p.count; i++)
		held_object_free(&p.held[i]);
	held_object_free(&p.current);
	free(p.held);
	return r;
}

int s3_list_with(s3_fetch_fn fetch, void *fetch_context, const char *prefix,
		 int (*each)(void *context, const struct s3_object *object), void *context,
		 char reason[static S3_ERROR_MAX])
{
	char token[S3_TOKEN_MAX + 1] = "";
	unsigned total = 0;
	int r;

	for (;;) {
		_cleanup_(cleanup_free) char *body = NULL;
		struct s3_page page;
		size_t size;

		r = fetch(fetch_context, *token ? token : NULL, &body, &size);
		if (r)
			return r;
		r = s3_parse_page(body, size, prefix, each, context, &page, reason);
		if (r)
			return r;
		total += page.objects;
		if (total > S3_OBJECTS_MAX) {
			snprintf(reason, S3_ERROR_MAX, "list refused: more than %u objects", S3_OBJECTS_MAX);
			return -EBADMSG;
		}
		if (!page.truncated)
			return 0;
		/* Every page must bring us on, or a bad store would hold us for ever. */
		if (!page.objects || !strcmp(page.token, token)) {
			snprintf(reason, S3_ERROR_MAX, "list refused: it never ends");
			return -EBADMSG;
		}
		memcpy(token, page.token, sizeof(token));
	}
}

/* --- errors --- */

struct error_parse {
	char *code, *message;
	bool is_error;
};

static int on_error_element(void *context, const char *path, const char *text, size_t size)
{
	struct error_parse *p = context;

	(void)size;
	if (!strcmp(path, "Error/Code"))
		printable(text, p->code, 64);
	else if (!strcmp(path, "Error/Message"))
		printable(text, p->message, 160);
	else if (!strcmp(path, "Error"))
		p->is_error = true;
	return 0;
}

bool s3_parse_error(const void *bytes, size_t size, char code[static 64], char message[static 160])
{
	struct error_parse p = { .code = code, .message = message };

	code[0] = message[0] = '\0';
	return !xml_parse(bytes, size, on_error_element, &p, NULL) && p.is_error && *code;
}

/* "GET bucket/key: 403 RequestTimeTooSkewed, our clock is 3600 s ahead of the server's" */
static int refused(struct s3_client *client, const char *what, const struct http_response *answer)
{
	char code[64], message[160], shown[160];
	long status = answer->status;
	int n;

	printable(what, shown, sizeof(shown));
	n = snprintf(client->error, sizeof(client->error), "%s: %ld", shown, status);
	if (answer->body && s3_parse_error(answer->body, answer->body_size, code, message)) {
		n += snprintf(client->error + n, sizeof(client->error) - (size_t)n, " %s", code);
		if (!strcmp(code, "RequestTimeTooSkewed") && answer->date >= 0) {
			int64_t ahead = time(NULL) - answer->date;

			snprintf(client->error + n, sizeof(client->error) - (size_t)n,
				 ": our clock is %" PRId64 " s %s the server's", ahead < 0 ? -ahead : ahead,
				 ahead < 0 ? "behind" : "ahead of");
		} else if (*message) {
			snprintf(client->error + n, sizeof(client->error) - (size_t)n, ": %s", message);
		}
	}
	switch (status) {
	case 404:
		return -ENOENT;
	case 401:
	case 403:
		return -EACCES;
	case 412:
		return -ESTALE;
	case 416:
		return -ESTALE;
	case 408:
	case 429:
		return -EAGAIN;
	default:
		return status >= 500 ? -EAGAIN : -EBADMSG;
	}
}

static int unanswered(struct s3_client *client, const char *what, int result,
		      const struct http_response *answer)
{
	char shown[160];

	printable(what, shown, sizeof(shown));
	snprintf(client->error, sizeof(client->error), "%s: %s", shown, answer->error);
	return result;
}

bool s3_worth_retry(int result)
{
	return result == -EAGAIN || (result < 0 && http_worth_retry(result, 0));
}

const char *s3_client_error(const struct s3_client *client)
{
	return client->error;
}

/* --- requests --- */

/*
 * A GET of that path (from the bucket on) and query, with the headers that S3 wants signed and the signature.
 */
struct signed_get {
	char url[512 + TARGET_MAX];
	char host[HEADER_MAX], date[64], authorization[1024];
	const char *headers[8];
};

static int sign(struct s3_client *client, const char *path, const char *query, const char *if_match,
		const char *range, struct signed_get *ret)
{
	char timestamp[SIGV4_TIMESTAMP_SIZE];
	struct sigv4_request request = {
		.method = "GET", .path = path, .query = query, .headers = ret->headers,
		.payload_sha256 = SIGV4_EMPTY_SHA256, .timestamp = timestamp, .region = client->store.region,
		.service = "s3", .access_key = client->store.access_key, .secret_key = client->store.secret_key,
	};
	size_t n = 0;
	int r;

	sigv4_timestamp(time(NULL), timestamp);
	snprintf(ret->url, sizeof(ret->url), "%s%s%s%s", client->origin, path, *query ? "?" : "", query);
	snprintf(ret->host, sizeof(ret->host), "host: %s", client->host);
	snprintf(ret->date, sizeof(ret->date), "x-amz-date: %s", timestamp);
	/* In the order of their names. */
	ret->headers[n++] = ret->host;
	if (if_match)
		ret->headers[n++] = if_match;
	if (range)
		ret->headers[n++] = range;
	ret->headers[n++] = "x-amz-content-sha256: " SIGV4_EMPTY_SHA256;
	ret->headers[n++] = ret->date;
	ret->headers[n] = NULL;
	r = sigv4_authorization(&request, ret->authorization, sizeof(ret->authorization));
	if (r) {
		snprintf(client->error, sizeof(client->error), "request not signed: %s", strerror(-r));
		return -EINVAL;
	}
	ret->headers[n++] = ret->authorization;
	ret->headers[n] = NULL;
	return 0;
}

static int object_path(struct s3_client *client, const char *key, char *ret, size_t room)
{
	int n = snprintf(ret, room, "/%s/", client->store.bucket);

	if (s3_encode(key, true, ret + n, room - (size_t)n)) {
		snprintf(client->error, sizeof(client->error), "key is too long");
		return -EINVAL;
	}
	return 0;
}

int s3_get_small(struct s3_client *client, const char *key, size_t maximum, char **ret, size_t *ret_size)
{
	char path[TARGET_MAX], what[200];
	struct http_response answer;
	struct signed_get get;
	struct http_request request = {
		.url = get.url, .headers = get.headers, .ca_file = client->store.ca_file,
		.timeout_ms = SMALL_TIMEOUT_MS, .maximum_bytes = maximum,
	};
	int r;

	r = object_path(client, key, path, sizeof(path));
	if (!r)
		r = sign(client, path, "", NULL, NULL, &get);
	if (r)
		return r;
	snprintf(what, sizeof(what), "GET %s/%s", client->store.bucket, key);
	r = http_client_perform(client->http, &request, &answer);
	if (r)
		r = unanswered(client, what, r, &answer);
	else if (answer.status != 200)
		r = refused(client, what, &answer);
	if (!r) {
		*ret = answer.body;
		*ret_size = answer.body_size;
		answer.body = NULL;
	}
	http_response_free(&answer);
	return r;
}

struct range_get {
	struct s3_client *client;
	const struct s3_object *object;
	uint64_t first, last;
	uint64_t got;
	int (*sink)(void *context, const void *bytes, size_t size);
	void *context;
	const char *wrong;
};

/* Is this the piece that was asked for, of an object as large as it was listed? */
static int check_head(void *context, const struct http_response *head)
{
	struct range_get *g = context;
	uint64_t length = g->last - g->first + 1;
	bool whole = g->first == 0 && g->last + 1 == g->object->size;

	if (head->content_length >= 0 && (uint64_t)head->content_length != length)
		g->wrong = "length of the answer is not what was asked for";
	if (head->status == 200 && !whole)
		g->wrong = "the store ignores ranges";
	else if (head->status == 206 && (head->first_from_content_range != g->first ||
					 head->total_from_content_range != g->object->size))
		g->wrong = "Content-Range is not what was asked for";
	else if (head->status != 200 && head->status != 206)
		g->wrong = "unexpected status";
	return g->wrong ? -ESTALE : 0;
}

static int on_range_bytes(void *context, const void *bytes, size_t size)
{
	struct range_get *g = context;

	if (size > g->last - g->first + 1 - g->got) {
		g->wrong = "more bytes than were asked for";
		return -ESTALE;
	}
	g->got += size;
	return g->sink(g->context, bytes, size);
}

int s3_get_range(struct s3_client *client, const struct s3_object *object, uint64_t first, uint64_t last,
		 int (*sink)(void *context, const void *bytes, size_t size), void *context)
{
	char path[TARGET_MAX], what[200], if_match[S3_ETAG_MAX + 16], range[64];
	struct range_get get = {
		.client = client, .object = object, .first = first, .last = last, .sink = sink, .context = context,
	};
	struct http_response answer;
	struct signed_get signed_get;
	struct http_request request = {
		.url = signed_get.url, .headers = signed_get.headers, .ca_file = client->store.ca_file,
		.begin = check_head, .sink = on_range_bytes, .sink_context = &get,
	};
	int r;

	snprintf(what, sizeof(what), "GET %s", object->key);
	snprintf(if_match, sizeof(if_match), "if-match: %s", object->etag);
	snprintf(range, sizeof(range), "range: bytes=%" PRIu64 "-%" PRIu64, first, last);
	r = object_path(client, object->key, path, sizeof(path));
	if (!r)
		r = sign(client, path, "", if_match, range, &signed_get);
	if (r)
		return r;
	r = http_client_perform(client->http, &request, &answer);
	if (r && get.wrong) {
		snprintf(client->error, sizeof(client->error), "GET %s: %s", object->key, get.wrong);
		printable(client->error, client->error, sizeof(client->error));
	} else if (r) {
		r = unanswered(client, what, r, &answer);
	} else if (answer.status != 200 && answer.status != 206) {
		r = refused(client, what, &answer);
	} else if (get.got != last - first + 1) {
		snprintf(client->error, sizeof(client->error), "%.150s: answer ended early", what);
		r = -ECONNRESET;
	}
	http_response_free(&answer);
	return r;
}

struct list_fetch {
	struct s3_client *client;
	const char *prefix;
};

static int fetch_page(void *context, const char *token, char **ret, size_t *ret_size)
{
	struct list_fetch *f = context;
	struct s3_client *client = f->client;
	char path[80], query[TARGET_MAX], what[200];
	char prefix[3 * S3_KEY_MAX + 1], after[3 * S3_TOKEN_MAX + 1] = "";
	struct http_response answer;
	struct signed_get get;
	struct http_request request = {
		.url = get.url, .headers = get.headers, .ca_file = client->store.ca_file,
		.timeout_ms = LIST_TIMEOUT_MS, .maximum_bytes = S3_PAGE_MAX,
	};
	int r;

	if (s3_encode(f->prefix, false, prefix, sizeof(prefix)) ||
	    (token && s3_encode(token, false, after, sizeof(after)))) {
		snprintf(client->error, sizeof(client->error), "prefix is too long");
		return -EINVAL;
	}
	snprintf(path, sizeof(path), "/%s", client->store.bucket);
	snprintf(query, sizeof(query), "%s%s%sencoding-type=url&list-type=2&max-keys=1000&prefix=%s",
		 token ? "continuation-token=" : "", after, token ? "&" : "", prefix);
	snprintf(what, sizeof(what), "list of %s/%s", client->store.bucket, f->prefix);
	r = sign(client, path, query, NULL, NULL, &get);
	if (r)
		return r;
	r = http_client_perform(client->http, &request, &answer);
	if (r)
		r = unanswered(client, what, r, &answer);
	else if (answer.status != 200)
		r = refused(client, what, &answer);
	if (!r) {
		*ret = answer.body;
		*ret_size = answer.body_size;
		answer.body = NULL;
	}
	http_response_free(&answer);
	return r;
}

int s3_list(struct s3_client *client, const char *prefix,
	    int (*each)(void *context, const struct s3_object *object), void *context)
{
	struct list_fetch fetch = { .client = client, .prefix = prefix };
	char reason[S3_ERROR_MAX] = "";
	int r;

	r = s3_list_with(fetch_page, &fetch, prefix, each, context, reason);
	if (r && *reason)
		memcpy(client->error, reason, sizeof(client->error));
	return r;
}

/* --- the client --- */

static const char *store_objection(const struct s3_store *store)
{
	const char *host;
	size_t size;

	if (!strncasecmp(store->endpoint, "https://", 8))
		host = store->endpoint + 8;
	else if (!strncasecmp(store->endpoint, "http://", 7))
		host = store->endpoint + 7;
	else
		return "endpoint is neither http:// nor https://";
	size = strcspn(host, "/");
	if (size == 0 || size > 255 || (host[size] && host[size + 1]))
		return "endpoint is not just a host";
	for (size_t i = 0; i < size; i++)
		if (!unreserved((unsigned char)host[i]) && !strchr(":[]", host[i]))
			return "endpoint's host has a character that does not belong there";
	size = strlen(store->bucket);
	if (size < 3 || size > 63 || store->bucket[0] == '.' ||
	    strspn(store->bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-") != size)
		return "bucket name is not valid";
	size = strlen(store->region);
	if (size < 1 || size > 40 || strspn(store->region, "abcdefghijklmnopqrstuvwxyz0123456789-") != size)
		return "region is not valid";
	if (!*store->access_key || !*store->secret_key)
		return "access key or secret key is empty";
	for (const char *p = store->access_key; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == '/')
			return "access key has a character that does not belong there";
	return NULL;
}

int s3_client_new(const struct s3_store *store, struct s3_client **ret, char error[static S3_ERROR_MAX])
{
	const char *wrong = store_objection(store);
	struct s3_client *client;
	size_t size;
	int r;

	if (wrong) {
		snprintf(error, S3_ERROR_MAX, "%s", wrong);
		return -EINVAL;
	}
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->store = *store;
	size = strlen(store->endpoint);
	while (store->endpoint[size - 1] == '/')
		size--;
	snprintf(client->origin, sizeof(client->origin), "%.*s", (int)size, store->endpoint);
	client->host = strstr(client->origin, "//") + 2;
	r = http_client_new(&client->http);
	if (r) {
		free(client);
		return r;
	}
	*ret = client;
	return 0;
}

struct s3_client *s3_client_free(struct s3_client *client)
{
	if (client) {
		http_client_free(client->http);
		free(client);
	}
	return NULL;
}
