/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps the position of each token of the scan. Stricter than JSON itself, because boot.json is written by hand: a key
 * given twice or a number that not every reader takes alike is a mistake, and is refused.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "init/lib/json.h"
#include "jsonpos.h"

#define MEMBERS_MAX 1024	/* of one object: bounds the search for duplicate keys */

struct walk {
	struct jsonpos *pos;
	char *text;
	uint32_t value;				/* being scanned; once it is complete, its parent */
	uint32_t counts[JSONPOS_DEPTH_MAX + 1];	/* values so far, at each depth */
	bool keyed;				/* the value that begins is a member: its key was its beginning */
};

static int add_value(struct json_scan *scan, struct walk *walk, struct jsonpos_value value)
{
	struct jsonpos *pos = walk->pos;

	if (pos->n_values == JSONPOS_VALUES_MAX)
		return json_fail(scan, "more than %d values", JSONPOS_VALUES_MAX);
	if (pos->n_values % 256 == 0) {
		void *more = reallocarray(pos->values, pos->n_values + 256, sizeof(*pos->values));

		if (!more)
			return -ENOMEM;
		pos->values = more;
	}
	value.parent = walk->value;
	value.line = scan->line;
	pos->values[pos->n_values++] = value;
	return 0;
}

static bool is_duplicate(const struct walk *walk, const struct json_token *key)
{
	const struct jsonpos *pos = walk->pos;

	for (size_t i = walk->value + 1; i < pos->n_values; i++) {
		const struct jsonpos_value *other = &pos->values[i];

		if (other->parent == walk->value && other->key_size == key->size &&
		    !memcmp(pos->text + other->key, key->text, key->size))
			return true;
	}
	return false;
}

static int take_key(struct json_scan *scan, struct walk *walk, const struct json_token *key)
{
	const struct jsonpos_value member = {.key = (uint32_t)(key->text - scan->text), .key_size = (uint32_t)key->size,
					     .index = walk->counts[key->depth]++};

	if (member.index == MEMBERS_MAX)
		return json_fail(scan, "object with more than %d keys", MEMBERS_MAX);
	if (key->escapes)
		return json_fail(scan, "escape in a key");
	if (is_duplicate(walk, key))
		return json_fail(scan, "duplicate key \"%.*s\"", key->size > 64 ? 64 : (int)key->size, key->text);
	walk->keyed = true;
	return add_value(scan, walk, member);
}

static int take_begin(struct json_scan *scan, struct walk *walk, unsigned depth)
{
	const struct jsonpos_value item = {.key_size = UINT32_MAX, .index = walk->counts[depth]};
	int r = walk->keyed ? 0 : add_value(scan, walk, item);

	if (!walk->keyed)
		walk->counts[depth]++;
	walk->keyed = false;
	if (r == 0)
		walk->value = (uint32_t)walk->pos->n_values - 1;
	return r;
}

static int check_number(struct json_scan *scan, const struct json_token *token)
{
	size_t n = 0;

	for (size_t i = 0; i < token->size; i++) {
		if ((token->text[i] | 0x20) == 'e')
			return json_fail(scan, "number with an exponent");
		n += token->text[i] >= '0' && token->text[i] <= '9';
	}
	return n > 18 ? json_fail(scan, "number of more than 18 digits") : 0;
}

static void blank(struct walk *walk, const struct json_scan *scan, const struct json_token *comment)
{
	char *text = walk->text + (comment->text - scan->text);

	for (size_t i = 0; i < comment->size; i++)
		if (text[i] != '\n')
			text[i] = ' ';
}

static int take(struct json_scan *scan, const struct json_token *token)
{
	struct walk *walk = scan->with;
	int r = 0;

	switch (token->kind) {
	case JSON_COMMENT:
		blank(walk, scan, token);
		return 0;
	case JSON_KEY:
		return take_key(scan, walk, token);
	case JSON_BEGIN:
		return take_begin(scan, walk, token->depth);
	case JSON_OBJECT:
	case JSON_ARRAY:
		walk->counts[token->depth + 1] = 0;
		return 0;
	case JSON_NUMBER:
		r = check_number(scan, token);
		break;
	default:
		break;
	}
	if (r == 0)
		walk->value = walk->pos->values[walk->value].parent;
	return r;
}

int jsonpos_scan(struct jsonpos *pos, char *text, size_t size)
{
	struct walk walk = {.pos = pos, .text = text};
	struct json_scan scan = {.text = text, .size = size, .flags = JSON_COMMENTS, .depth_max = JSONPOS_DEPTH_MAX,
				 .take = take, .with = &walk};
	int r;

	*pos = (struct jsonpos){.text = text};
	if (size >= UINT32_MAX)
		return -EFBIG;
	r = json_scan(&scan);
	if (r == -EINVAL) {
		pos->error_line = scan.line;
		pos->error_value = walk.value;
		memcpy(pos->error, scan.error, sizeof(pos->error));
	}
	return r;
}

void jsonpos_deinit(struct jsonpos *pos)
{
	free(pos->values);
	*pos = (struct jsonpos){0};
}

uint32_t jsonpos_find(const struct jsonpos *pos, uint32_t parent, const char *key, uint32_t index)
{
	size_t key_size = key ? strlen(key) : 0;

	for (uint32_t i = parent + 1; i < pos->n_values; i++) {
		const struct jsonpos_value *value = &pos->values[i];

		if (value->parent != parent)
			continue;
		if (key ? value->key_size == key_size && !memcmp(pos->text + value->key, key, key_size)
			: value->key_size == UINT32_MAX && value->index == index)
			return i;
	}
	return parent;
}
