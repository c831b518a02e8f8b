/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A page's objects are handed over once all of it has been read: EncodingType, which says how keys are to be decoded,
 * may stand behind them. XML cannot carry every byte that a key may have, so lists ask for encoding-type=url; a store
 * that ignores it says so by leaving EncodingType out, and then keys are taken as they are.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gantry/cleanup.h>

#include "percent.h"
#include "s3xml.h"
#include "stages/lib/printable.h"
#include "stages/lib/xml.h"

/* --- lists --- */

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
	struct s3xml_page *page;
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
		/* An empty one is none: versitygw sends that. */
		if (*text && strcmp(text, "url"))
			return refuse(p, "an EncodingType other than url");
		p->encoded = *text;
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

		if (p->encoded && percent_decode(o->key, &o->key_size))
			return refuse(p, "a key has a bad escape");
		if (o->key_size == 0 || o->key_size > S3_KEY_MAX || strlen(o->key) != o->key_size)
			return refuse(p, "a key is empty or too long");
		if (strncmp(o->key, p->prefix, prefix_size))
			return refuse(p, "a key is outside the requested prefix");
		r = p->each(p->context, &(struct s3_object){ .key = o->key, .etag = o->etag, .size = o->size });
		if (r < 0)
			return r;
	}
	return 0;
}

int s3xml_page(const void *bytes, size_t size, const char *prefix,
		  int (*each)(void *context, const struct s3_object *object), void *context,
		  struct s3xml_page *ret, char reason[static S3_ERROR_MAX])
{
	struct page_parse p = {
		.prefix = prefix, .each = each, .context = context, .page = ret, .reason = reason,
	};
	struct xml_fault fault = {0};
	int r;

	*ret = (struct s3xml_page){ 0 };
	reason[0] = '\0';
	r = xml_parse(bytes, size, on_list_element, &p, &fault);
	if (r && !*reason)
		snprintf(reason, S3_ERROR_MAX, "list refused: %s", fault.reason);
	if (!r && (!p.is_list || !p.has_truncated))
		r = refuse(&p, "no ListBucketResult with IsTruncated");
	if (!r && ret->truncated && !*ret->token)
		r = refuse(&p, "truncated, but without NextContinuationToken");
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

int s3xml_pages(s3xml_fetch_fn fetch, void *fetch_context, const char *prefix,
		 int (*each)(void *context, const struct s3_object *object), void *context,
		 char reason[static S3_ERROR_MAX])
{
	char token[S3_TOKEN_MAX + 1] = "";
	unsigned total = 0;
	int r;

	for (;;) {
		_cleanup_(cleanup_free) char *body = NULL;
		struct s3xml_page page;
		size_t size;

		r = fetch(fetch_context, *token ? token : NULL, &body, &size);
		if (r)
			return r;
		r = s3xml_page(body, size, prefix, each, context, &page, reason);
		if (r)
			return r;
		total += page.objects;
		if (total > S3_OBJECTS_MAX) {
			snprintf(reason, S3_ERROR_MAX, "list refused: more than %u objects", S3_OBJECTS_MAX);
			return -EBADMSG;
		}
		if (!page.truncated)
			return 0;
		/* Without progress on every page a bad store could keep the list going for ever. */
		if (!page.objects || !strcmp(page.token, token)) {
			snprintf(reason, S3_ERROR_MAX, "list refused: page without objects, or the same token again");
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
		printable_copy(text, p->code, 64);
	else if (!strcmp(path, "Error/Message"))
		printable_copy(text, p->message, 160);
	else if (!strcmp(path, "Error"))
		p->is_error = true;
	return 0;
}

bool s3xml_error(const void *bytes, size_t size, char code[static 64], char message[static 160])
{
	struct error_parse p = { .code = code, .message = message };

	code[0] = message[0] = '\0';
	return !xml_parse(bytes, size, on_error_element, &p, NULL) && p.is_error && *code;
}
