/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The strict scan first, then json-c. Keys that occur twice are found by counting: json-c's tree keeps one member a
 * key, so it has fewer members than the text if and only if a key was repeated.
 */
#define _GNU_SOURCE
#include "document.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "init/lib/json.h"

/* Whether the decimal integer, sign included, is a value of int64_t or uint64_t. */
static bool fits_64_bits(const char *text, size_t size)
{
	char copy[32];

	if (size >= sizeof(copy))
		return false;
	memcpy(copy, text, size);
	copy[size] = '\0';
	errno = 0;
	if (copy[0] == '-')
		(void)strtoll(copy, NULL, 10);
	else
		(void)strtoull(copy, NULL, 10);
	return errno == 0;
}

static bool is_integer(const struct json_token *number)
{
	for (size_t i = 0; i < number->size; i++)
		if (strchr(".eE", number->text[i]))
			return false;
	return true;
}

static int take(struct json_scan *scan, const struct json_token *token)
{
	size_t *members = scan->with;

	if (token->kind == JSON_KEY)
		++*members;
	if (token->kind != JSON_NUMBER)
		return 0;
	if (is_integer(token) && !fits_64_bits(token->text, token->size))
		return json_fail(scan, "integer does not fit 64 bits");
	return token->size < 64 ? 0 : json_fail(scan, "number is too long");
}

/* Checks the text and counts the members of all its objects. */
static int scan_document(const char *text, size_t size, size_t *ret_members, char *error, size_t error_size)
{
	struct json_scan scan = {.text = text, .size = size, .flags = JSON_SECRET, .depth_max = DOCUMENT_DEPTH_MAX,
				 .take = take, .with = ret_members};

	if (json_scan(&scan) == 0)
		return 0;
	snprintf(error, error_size, "line %u column %zu: %s", scan.line, scan.at - scan.line_at + 1, scan.error);
	return -EBADMSG;
}

static size_t count_members(struct json_object *value)
{
	size_t n = 0;

	if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, key, member) {
			(void)key;
			n += 1 + count_members(member);
		}
	} else if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			n += count_members(json_object_array_get_idx(value, i));
	}
	return n;
}

int document_parse(const void *bytes, size_t size, struct json_object **ret, char *error, size_t error_size)
{
	struct json_tokener *tokener;
	struct json_object *object;
	size_t members = 0, blank = 0;
	const char *text = bytes;

	while (blank < size && memchr(" \t\r\n", text[blank], 4))
		blank++;
	if (size > INT_MAX - 1 || blank == size || text[blank] != '{') {
		snprintf(error, error_size, "%s", blank == size ? "empty" : "not a JSON object");
		return -EBADMSG;
	}
	if (scan_document(text, size, &members, error, error_size) < 0)
		return -EBADMSG;
	tokener = json_tokener_new_ex(DOCUMENT_DEPTH_MAX + 2);
	if (!tokener) {
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	/* Not JSON_TOKENER_STRICT: in json-c 0.18 it refuses every character beyond ASCII. The scan was strict. */
	object = json_tokener_parse_ex(tokener, bytes, (int)size);
	json_tokener_free(tokener);
	if (!object) {
		snprintf(error, error_size, "not a JSON object");
		return -EBADMSG;
	}
	if (count_members(object) != members) {
		snprintf(error, error_size, "a key occurs twice in one object");
		json_object_put(object);
		return -EBADMSG;
	}
	*ret = object;
	return 0;
}

int document_get(struct json_object *object, const char *path, struct json_object **ret)
{
	char name[128];

	for (;;) {
		size_t n = strcspn(path, ".");

		if (n == 0 || n >= sizeof(name) || !json_object_is_type(object, json_type_object))
			return 0;
		memcpy(name, path, n);
		name[n] = '\0';
		if (!json_object_object_get_ex(object, name, &object))
			return 0;
		if (!path[n]) {
			*ret = object;
			return 1;
		}
		path += n + 1;
	}
}
