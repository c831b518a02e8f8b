/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements fill.h: one case for each way to keep a value. The values have been checked, so no case fails. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "fill.h"

int fill_string(struct pool *pool, const char *string, char **ret)
{
	if (!string)
		return 0;
	*ret = pool_copy(pool, string);
	return *ret ? 0 : -ENOMEM;
}

int fill_json(struct pool *pool, struct json_object *object, char **ret)
{
	return fill_string(pool, object ? json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
									 JSON_C_TO_STRING_NOSLASHESCAPE) : NULL, ret);
}

size_t fill_count(struct json_object *array)
{
	return array ? json_object_array_length(array) : 0;
}

/* ---- values, or their defaults -------------------------------------------------------------------------------- */

static const char *text_of(const struct key *key, struct json_object *value)
{
	return value ? json_object_get_string(value) : key->fallback;
}

static double number_of(const struct key *key, struct json_object *value)
{
	return value ? json_object_get_double(value) : strtod(key->fallback, NULL);
}

static bool truth_of(const struct key *key, struct json_object *value)
{
	return value ? json_object_get_boolean(value) : !strcmp(key->fallback, "true");
}

static unsigned choice_of(const struct key *key, struct json_object *value)
{
	unsigned i = 0;

	while (key->choices[i] && strcmp(key->choices[i], text_of(key, value)))
		i++;
	return i;
}

/* ---- lists ---------------------------------------------------------------------------------------------------- */

static int put_strings(struct pool *pool, struct json_object *array, char ***ret, size_t *ret_n)
{
	*ret = pool_take(pool, (fill_count(array) + 1) * sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	for (size_t i = 0; i < fill_count(array); i++) {
		const char *string = json_object_get_string(json_object_array_get_idx(array, i));

		if (fill_string(pool, string, &(*ret)[(*ret_n)++]) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int put_pairs(struct pool *pool, struct json_object *map, struct config_pair **ret, size_t *ret_n)
{
	*ret = pool_take(pool, ((size_t)json_object_object_length(map) + 1) * sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	json_object_object_foreach(map, name, value) {
		struct config_pair *pair = &(*ret)[(*ret_n)++];

		if (fill_string(pool, name, &pair->name) < 0 ||
		    fill_string(pool, json_object_get_string(value), &pair->value) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ret: where the pointer to the first struct goes, of any type. */
static int put_objects(struct pool *pool, struct json_object *array, const struct key *key, void *ret, size_t *ret_n)
{
	char *items = pool_take(pool, (fill_count(array) + 1) * key->item_size);

	if (!items)
		return -ENOMEM;
	memcpy(ret, &items, sizeof(items));
	for (size_t i = 0; i < fill_count(array); i++)
		if (fill_struct(pool, json_object_array_get_idx(array, i), key->members,
				items + key->item_size * (*ret_n)++) < 0)
			return -ENOMEM;
	return 0;
}

/* ---- rows ----------------------------------------------------------------------------------------------------- */

static int put(struct pool *pool, const struct key *key, struct json_object *value, char *base)
{
	void *to = base + key->into;
	size_t *n = (void *)(base + key->count);

	switch (key->as) {
	case KEY_AS_NOTHING:
		break;
	case KEY_AS_STRING:
		return fill_string(pool, text_of(key, value), to);
	case KEY_AS_JSON:
		return fill_json(pool, value, to);
	case KEY_AS_STRINGS:
		return put_strings(pool, value, to, n);
	case KEY_AS_PAIRS:
		return put_pairs(pool, value, to, n);
	case KEY_AS_OBJECTS:
		return put_objects(pool, value, key, to, n);
	case KEY_AS_BOOL:
		*(bool *)to = truth_of(key, value);
		break;
	case KEY_AS_INT:
		*(int *)to = (int)number_of(key, value);
		break;
	case KEY_AS_UNSIGNED:
		*(unsigned *)to = (unsigned)number_of(key, value);
		break;
	case KEY_AS_SIZE:
		*(size_t *)to = (size_t)number_of(key, value);
		break;
	case KEY_AS_INT64:
		*(int64_t *)to = (int64_t)number_of(key, value);
		break;
	case KEY_AS_DOUBLE:
		*(double *)to = number_of(key, value);
		break;
	case KEY_AS_MS:
		*(int64_t *)to = (int64_t)(number_of(key, value) * 1000 + 0.5);
		break;
	case KEY_AS_PERMILLE:
		*(unsigned *)to = (unsigned)(number_of(key, value) * 1000 + 0.5);
		break;
	case KEY_AS_CHOICE:
		*(unsigned *)to = choice_of(key, value);
		break;
	case KEY_AS_SECOND:
		*(bool *)to = choice_of(key, value) == 1;
		break;
	case KEY_AS_SIGNAL:
		*(int *)to = signal_number(text_of(key, value));
		break;
	}
	return 0;
}

int fill_struct(struct pool *pool, struct json_object *object, const struct keys *keys, void *base)
{
	for (const struct key *key = keys->keys; key->name; key++) {
		struct json_object *value = key_member(object, key->name);

		if ((value || key->fallback) && put(pool, key, value, base) < 0)
			return -ENOMEM;
		if (key->type == KEY_OBJECT && (value || key->flags & KEY_IMPLIED) &&
		    fill_struct(pool, value, key->members, base) < 0)
			return -ENOMEM;
	}
	return 0;
}

static struct json_object *default_of(const struct key *key)
{
	if (key->type == KEY_OBJECT)
		return json_object_new_object();
	return key->type == KEY_STRING ? json_object_new_string(key->fallback) : json_tokener_parse(key->fallback);
}

static int add_default(struct json_object *object, const struct key *key)
{
	struct json_object *value = default_of(key);

	if (value && json_object_object_add(object, key->name, value) == 0)
		return 0;
	json_object_put(value);
	return -ENOMEM;
}

int fill_defaults(struct json_object *object, const struct keys *keys)
{
	bool container = key_member(object, "container") != NULL;

	for (const struct key *key = keys->keys; key->name; key++) {
		bool wanted = key->flags & KEY_WRITTEN && !(container && key->flags & KEY_PROGRAM);
		struct json_object *value;
		int r = wanted && !key_member(object, key->name) ? add_default(object, key) : 0;

		value = key_member(object, key->name);
		if (r == 0 && value && key->type == KEY_OBJECT)
			r = fill_defaults(value, key->members);
		for (size_t i = 0; r == 0 && value && key->type == KEY_OBJECTS && i < fill_count(value); i++)
			r = fill_defaults(json_object_array_get_idx(value, i), key->members);
		if (r < 0)
			return r;
	}
	return 0;
}
