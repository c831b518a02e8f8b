/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The strict scan first, then json-c. Keys that occur twice are found by counting: json-c's tree keeps one member a
 * key, so it has fewer members than the text if and only if a key was repeated. Without one the tree has the values in
 * the order of the text: so the n-th value of both is the same, and large integers are found by their number.
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

#define NUMBER_MAX 128	/* characters; an integer of 256 bits has 78 */

struct large {
	size_t value;		/* its number among the values that are no object or array, from 0 */
	const char *text;
	size_t size;
};

struct found {
	size_t members, values;
	struct large *large;
	size_t n_large, room;
	bool no_memory;
};

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

static int keep_large(struct found *found, const struct json_token *token)
{
	if (found->n_large == found->room) {
		size_t room = found->room ? 2 * found->room : 16;
		struct large *more = reallocarray(found->large, room, sizeof(*more));

		found->no_memory = !more;
		if (!more)
			return -ENOMEM;
		found->large = more;
		found->room = room;
	}
	found->large[found->n_large++] = (struct large){found->values, token->text, token->size};
	return 0;
}

static int take(struct json_scan *scan, const struct json_token *token)
{
	struct found *found = scan->with;
	int r = 0;

	if (token->kind == JSON_KEY)
		found->members++;
	if (token->kind == JSON_NUMBER && token->size >= NUMBER_MAX)
		return json_fail(scan, "number is too long");
	if (token->kind == JSON_NUMBER && is_integer(token) && !fits_64_bits(token->text, token->size))
		r = keep_large(found, token);
	found->values += token->kind == JSON_STRING || token->kind == JSON_NUMBER || token->kind == JSON_TRUE ||
			 token->kind == JSON_FALSE || token->kind == JSON_NULL;
	return r;
}

/* Checks the text, counts the members of all its objects and notes its large integers. */
static int scan_document(const char *text, size_t size, struct found *ret, char *error, size_t error_size)
{
	struct json_scan scan = {.text = text, .size = size, .flags = JSON_SECRET, .depth_max = DOCUMENT_DEPTH_MAX,
				 .take = take, .with = ret};

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

/* A number that prints as its text. NULL: no memory. */
static struct json_object *new_large(const struct large *large)
{
	char text[NUMBER_MAX];

	memcpy(text, large->text, large->size);
	text[large->size] = '\0';
	return json_object_new_double_s(strtod(text, NULL), text);
}

/* The walk over the tree stands before value `value`, and in the list at the first large integer behind it. */
struct walk {
	const struct large *next, *end;
	size_t value;
};

/* The large integer that this value is; NULL: it is none. */
static const struct large *large_at(struct walk *walk)
{
	return walk->next < walk->end && walk->value++ == walk->next->value ? walk->next++ : NULL;
}

static bool is_container(struct json_object *value)
{
	return json_object_is_type(value, json_type_object) || json_object_is_type(value, json_type_array);
}

/* Puts the large integers in the place of what json-c made of them. 0 or -ENOMEM. */
static int restore_large(struct json_object *container, struct walk *walk)
{
	const struct large *large;
	int r = 0;

	if (json_object_is_type(container, json_type_object)) {
		json_object_object_foreach(container, key, member) {
			if (r < 0 || walk->next == walk->end)
				break;
			if (is_container(member))
				r = restore_large(member, walk);
			else if ((large = large_at(walk)))
				r = json_object_object_add(container, key, new_large(large)) < 0 ? -ENOMEM : 0;
		}
		return r;
	}
	for (size_t i = 0; r == 0 && walk->next < walk->end && i < json_object_array_length(container); i++) {
		struct json_object *item = json_object_array_get_idx(container, i);

		if (is_container(item))
			r = restore_large(item, walk);
		else if ((large = large_at(walk)))
			r = json_object_array_put_idx(container, i, new_large(large)) < 0 ? -ENOMEM : 0;
	}
	return r;
}

static int build(const char *bytes, size_t size, const struct found *found, struct json_object **ret, char *error,
		 size_t error_size)
{
	struct walk walk = {.next = found->large, .end = found->large + found->n_large};
	struct json_tokener *tokener = json_tokener_new_ex(DOCUMENT_DEPTH_MAX + 2);
	struct json_object *object;

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
	if (count_members(object) != found->members) {
		snprintf(error, error_size, "a key occurs twice in one object");
		json_object_put(object);
		return -EBADMSG;
	}
	if (found->n_large && restore_large(object, &walk) < 0) {
		snprintf(error, error_size, "out of memory");
		json_object_put(object);
		return -ENOMEM;
	}
	*ret = object;
	return 0;
}

int document_parse(const void *bytes, size_t size, struct json_object **ret, char *error, size_t error_size)
{
	struct found found = {0};
	const char *text = bytes;
	size_t blank = 0;
	int r;

	while (blank < size && memchr(" \t\r\n", text[blank], 4))
		blank++;
	if (size > INT_MAX - 1 || blank == size || text[blank] != '{') {
		snprintf(error, error_size, "%s", blank == size ? "empty" : "not a JSON object");
		return -EBADMSG;
	}
	r = scan_document(text, size, &found, error, error_size);
	if (found.no_memory) {
		snprintf(error, error_size, "out of memory");
		r = -ENOMEM;
	}
	if (r == 0)
		r = build(text, size, &found, ret, error, error_size);
	free(found.large);
	return r;
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
