/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests are built encoded and with sorted parameters: what is signed is what is sent, byte for byte. The answers of
 * the store are parsed by s3xml.c, and put into words here.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "percent.h"
#include "s3.h"
#include "s3xml.h"
#include "sigv4.h"
#include "stages/lib/http.h"
#include "stages/lib/printable.h"

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

/* --- errors --- */

/* "GET bucket/key: 403 RequestTimeTooSkewed, our clock is 3600 s ahead of the server's" */
static int refused(struct s3_client *client, const char *what, const struct http_response *answer)
{
	char code[64], message[160], shown[160];
	long status = answer->status;
	int n;

	printable_copy(what, shown, sizeof(shown));
	n = snprintf(client->error, sizeof(client->error), "%s: %ld", shown, status);
	if (answer->body && s3xml_error(answer->body, answer->body_size, code, message)) {
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

	printable_copy(what, shown, sizeof(shown));
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

	if (percent_encode(key, true, ret + n, room - (size_t)n)) {
		snprintf(client->error, sizeof(client->error), "key is too long");
		return -EINVAL;
	}
	return 0;
}

/* The body of a 200 answer, the caller's to free. */
static int get_whole(struct s3_client *client, const char *what, const struct http_request *request, char **ret,
		     size_t *ret_size)
{
	struct http_response answer;
	int r;

	r = http_client_perform(client->http, request, &answer);
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

int s3_get_small(struct s3_client *client, const char *key, size_t maximum, char **ret, size_t *ret_size)
{
	char path[TARGET_MAX], what[200];
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
	return get_whole(client, what, &request, ret, ret_size);
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
		g->wrong = "Content-Length is not that of the requested range";
	if (head->status == 200 && !whole)
		g->wrong = "store ignores the Range header";
	else if (head->status == 206 && (head->first_from_content_range != g->first ||
					 head->total_from_content_range != g->object->size))
		g->wrong = "Content-Range is not the requested range";
	else if (head->status != 200 && head->status != 206)
		g->wrong = "unexpected status";
	return g->wrong ? -ESTALE : 0;
}

static int on_range_bytes(void *context, const void *bytes, size_t size)
{
	struct range_get *g = context;

	if (size > g->last - g->first + 1 - g->got) {
		g->wrong = "more bytes than requested";
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
		printable_copy(client->error, client->error, sizeof(client->error));
	} else if (r) {
		r = unanswered(client, what, r, &answer);
	} else if (answer.status != 200 && answer.status != 206) {
		r = refused(client, what, &answer);
	} else if (get.got != last - first + 1) {
		snprintf(client->error, sizeof(client->error), "%.150s: response ended early", what);
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
	struct signed_get get;
	struct http_request request = {
		.url = get.url, .headers = get.headers, .ca_file = client->store.ca_file,
		.timeout_ms = LIST_TIMEOUT_MS, .maximum_bytes = S3_PAGE_MAX,
	};
	int r;

	if (percent_encode(f->prefix, false, prefix, sizeof(prefix)) ||
	    (token && percent_encode(token, false, after, sizeof(after)))) {
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
	return get_whole(client, what, &request, ret, ret_size);
}

int s3_list(struct s3_client *client, const char *prefix,
	    int (*each)(void *context, const struct s3_object *object), void *context)
{
	struct list_fetch fetch = { .client = client, .prefix = prefix };
	char reason[S3_ERROR_MAX] = "";
	int r;

	r = s3xml_pages(fetch_page, &fetch, prefix, each, context, reason);
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
		return "endpoint does not begin with http:// or https://";
	size = strcspn(host, "/");
	if (size == 0 || size > 255 || (host[size] && host[size + 1]))
		return "endpoint has more than scheme and host";
	for (size_t i = 0; i < size; i++)
		if (!percent_is_unreserved(host[i]) && !strchr(":[]", host[i]))
			return "host of the endpoint has an invalid character";
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
			return "access key has an invalid character";
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
