/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes the tokens of one fixed shape. A decoded string is never longer than its text, and key=value NUL is never
 * longer than "key":value with its quotes and comma: so the two buffers, each as large as the largest input, need no
 * check for room. A name is decoded behind the fields that are there, and stays there only if it is a field's key.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "eventjson.h"
#include "init/lib/json.h"

#define KEY_MAX 32

enum member {
	MESSAGE,
	LEVEL,
	FIELDS,
	MEMBER_MAX,
};

static const char *const members[] = {"message", "level", "fields"};
_Static_assert(sizeof(members) / sizeof(members[0]) == MEMBER_MAX, "a name for each member");

struct reader {
	struct eventjson *ret;
	unsigned seen;		/* bit n: member n was there */
	enum member member;	/* whose value it is */
	unsigned n_fields;
	size_t key_size;	/* of the field, with its '=' */
};

static const char *const level_names[] = EVENT_LEVEL_NAMES;

/* The index of a decoded string among the names, or n. */
static unsigned find(const char *string, size_t size, const char *const *names, unsigned n)
{
	unsigned i = 0;

	while (i < n && (strlen(names[i]) != size || memcmp(names[i], string, size) != 0))
		i++;
	return i;
}

/* ---- fields --------------------------------------------------------------------------------------------------- */

/* As event.c requires it. */
static bool good_key(const char *key, size_t size)
{
	if (size == 0 || size > KEY_MAX || key[0] < 'a' || key[0] > 'z')
		return false;
	for (size_t i = 1; i < size; i++)
		if (!(key[i] >= 'a' && key[i] <= 'z') && !(key[i] >= '0' && key[i] <= '9') && key[i] != '_')
			return false;
	return true;
}

/* key ends with '='. */
static bool is_there(const struct eventjson *e, const char *key, size_t size)
{
	for (const char *f = e->fields; f < e->fields + e->fields_size; f += strlen(f) + 1)
		if (strncmp(f, key, size) == 0)
			return true;
	return false;
}

static int take_field_key(struct reader *reader, const struct json_token *token)
{
	struct eventjson *e = reader->ret;
	char *field = e->fields + e->fields_size;
	size_t n;

	if (reader->n_fields++ == EVENTJSON_FIELDS_MAX)	/* the search for doubles takes the square of it */
		return -EINVAL;
	n = json_decode(token, field);
	if (!good_key(field, n))
		return -EINVAL;
	field[n++] = '=';
	reader->key_size = n;
	return is_there(e, field, n) ? -EINVAL : 0;
}

static int take_field(struct reader *reader, const struct json_token *token)
{
	struct eventjson *e = reader->ret;
	char *value = e->fields + e->fields_size + reader->key_size;
	size_t n = token->size;

	if (token->kind == JSON_STRING)
		n = json_decode(token, value);
	else
		memcpy(value, token->text, n);
	value[n] = '\0';
	e->fields_size += reader->key_size + n + 1;
	return 0;
}

/* ---- the object ----------------------------------------------------------------------------------------------- */

static int take_member_key(struct reader *reader, const struct json_token *token)
{
	char *name = reader->ret->fields + reader->ret->fields_size;
	unsigned member = find(name, json_decode(token, name), members, MEMBER_MAX);

	if (member == MEMBER_MAX || reader->seen & 1u << member)
		return -EINVAL;
	reader->seen |= 1u << member;
	reader->member = (enum member)member;
	return 0;
}

static int take_string(struct reader *reader, const struct json_token *token)
{
	struct eventjson *e = reader->ret;
	char *name = e->fields + e->fields_size;
	unsigned level;

	if (reader->member == FIELDS)
		return -EINVAL;
	if (reader->member == MESSAGE) {
		e->text_size = json_decode(token, e->text);
		return 0;
	}
	level = find(name, json_decode(token, name), level_names, EVENT_LEVEL_MAX);
	e->level = (enum event_level)level;
	return level < EVENT_LEVEL_MAX ? 0 : -EINVAL;
}

static int take(struct json_scan *scan, const struct json_token *token)
{
	struct reader *reader = scan->with;

	switch (token->kind) {
	case JSON_BEGIN:
	case JSON_CLOSE:
		return 0;
	case JSON_OBJECT:
		return token->depth == 0 || reader->member == FIELDS ? 0 : -EINVAL;
	case JSON_KEY:
		return token->depth == 1 ? take_member_key(reader, token) : take_field_key(reader, token);
	case JSON_STRING:
		if (token->depth == 1)
			return take_string(reader, token);
		/* fall through */
	case JSON_NUMBER:
	case JSON_TRUE:
	case JSON_FALSE:
		return token->depth == 2 ? take_field(reader, token) : -EINVAL;
	case JSON_ARRAY:
	case JSON_NULL:
	case JSON_COMMENT:
		break;
	}
	return -EINVAL;
}

bool eventjson_read(struct eventjson *ret, const char *bytes, size_t size)
{
	struct reader reader = {.ret = ret};
	struct json_scan scan = {.text = bytes, .size = size, .depth_max = 2, .take = take, .with = &reader};

	if (size > EVENTJSON_MAX)
		return false;
	ret->level = EVENT_INFO;
	ret->text_size = ret->fields_size = 0;
	return json_scan(&scan) == 0 && reader.seen & 1u << MESSAGE;
}
