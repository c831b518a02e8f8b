/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scanner of JSON, with and without comments: its tokens lie in the text, one behind the other, and form one value;
 * and what it takes, json-c takes.
 */
/* links: init/lib */
/* libs: json-c */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "init/lib/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct walk {
	const char *text, *end;		/* of the input; `text` moves on behind each token */
	unsigned depth, values;		/* values at depth 0 */
	char *decoded;			/* room for size bytes */
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static int take(struct json_scan *scan, const struct json_token *token)
{
	struct walk *walk = scan->with;

	check(token->text >= walk->text && token->size <= (size_t)(walk->end - token->text));
	walk->text = token->text + token->size;
	check(scan->line >= 1 && scan->line_at <= scan->at);
	if (token->kind == JSON_CLOSE)
		walk->depth--;
	check(token->depth == walk->depth && walk->depth < scan->depth_max + 1);
	if (token->kind == JSON_OBJECT || token->kind == JSON_ARRAY)
		walk->depth++;
	if (token->kind == JSON_BEGIN && token->depth == 0)
		walk->values++;
	if (token->kind == JSON_KEY || token->kind == JSON_STRING)
		check(json_decode(token, walk->decoded) <= token->size);
	return 0;
}

static int scan_as(const uint8_t *bytes, size_t size, unsigned flags)
{
	struct walk walk = {.text = (const char *)bytes, .end = (const char *)bytes + size, .decoded = malloc(size + 1)};
	struct json_scan scan = {.text = (const char *)bytes, .size = size, .flags = flags, .depth_max = 16,
				 .take = take, .with = &walk};
	int r = json_scan(&scan);

	check(r == 0 ? walk.values == 1 && walk.depth == 0 && scan.at == size && !scan.error[0]
		     : scan.error[0] && scan.at <= size);
	free(walk.decoded);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct json_tokener *tokener;
	struct json_object *object;

	(void)scan_as(bytes, size, JSON_COMMENTS | JSON_SECRET);
	if (scan_as(bytes, size, 0) < 0 || size > 65536)
		return 0;
	tokener = json_tokener_new_ex(20);
	check(tokener != NULL);
	object = json_tokener_parse_ex(tokener, (const char *)bytes, (int)size);
	/* A number may go on at the end of the text, for all that json-c knows. */
	check(object || json_tokener_get_error(tokener) == json_tokener_continue ||
	      json_tokener_get_error(tokener) == json_tokener_success);
	json_object_put(object);
	json_tokener_free(tokener);
	return 0;
}
