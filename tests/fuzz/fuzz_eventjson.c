/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as an event object, beside json-c: what we take json-c reads as the same, and what json-c reads as an event
 * object we take once it is written strictly.
 */
/* links: event init/lib */
/* libs: json-c */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "init/event/eventjson.h"
#include "init/lib/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static struct json_object *parse(const char *bytes, size_t size)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *root;
	size_t at;

	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
	root = json_tokener_parse_ex(tokener, bytes, (int)size);
	at = json_tokener_get_parse_end(tokener);
	while (at < size && strchr(" \t\r\n", bytes[at]) && bytes[at])
		at++;
	if (json_tokener_get_error(tokener) != json_tokener_success || at < size) {
		json_object_put(root);
		root = NULL;
	}
	json_tokener_free(tokener);
	return root;
}

/* A string without NUL; and of characters only, as json-c lets surrogates through. */
static bool is_string(struct json_object *value)
{
	const char *p = json_object_get_string(value);
	size_t left = p ? strlen(p) : 0, n = 1;
	uint32_t c;

	if (!json_object_is_type(value, json_type_string) || left != (size_t)json_object_get_string_len(value))
		return false;
	for (; left > 0 && n > 0; p += n, left -= n)
		n = utf8_decode(p, left, &c);
	return n > 0;
}

static bool good_fields(struct json_object *fields)
{
	if (!json_object_is_type(fields, json_type_object) || json_object_object_length(fields) > EVENTJSON_FIELDS_MAX)
		return false;
	json_object_object_foreach(fields, key, value) {
		size_t n = strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_");

		if (n == 0 || n > 32 || key[n] || key[0] < 'a' || key[0] > 'z')
			return false;
		/* json-c reads NaN and numbers beyond its own; those it writes in ways of its own */
		if (!is_string(value) && !json_object_is_type(value, json_type_boolean) && !json_object_is_type(value, json_type_int))
			return false;
	}
	return true;
}

static bool good_level(struct json_object *level)
{
	static const char *const names[] = EVENT_LEVEL_NAMES;

	if (!is_string(level))
		return false;
	for (int i = 0; i < EVENT_LEVEL_MAX; i++)
		if (strcmp(json_object_get_string(level), names[i]) == 0)
			return true;
	return false;
}

/* By json-c's reading. */
static bool is_event(struct json_object *root)
{
	if (!json_object_is_type(root, json_type_object) || !json_object_object_get(root, "message"))
		return false;
	json_object_object_foreach(root, key, value) {
		if (!(strcmp(key, "message") == 0 && is_string(value)) && !(strcmp(key, "level") == 0 && good_level(value)) &&
		    !(strcmp(key, "fields") == 0 && good_fields(value)))
			return false;
	}
	return true;
}

static bool same_text(struct json_object *value, const char *bytes, size_t size)
{
	return is_string(value) && strlen(json_object_get_string(value)) == size &&
	       memcmp(json_object_get_string(value), bytes, size) == 0;
}

static void check_same(struct json_object *root, const struct eventjson *e)
{
	static const char *const names[] = EVENT_LEVEL_NAMES;
	struct json_object *fields = json_object_object_get(root, "fields"), *level = json_object_object_get(root, "level");
	const char *f = e->fields;

	check(same_text(json_object_object_get(root, "message"), e->text, e->text_size));
	check(strcmp(level ? json_object_get_string(level) : "info", names[e->level]) == 0);
	if (fields) {
		json_object_object_foreach(fields, key, value) {
			size_t n = strlen(key);

			check(f < e->fields + e->fields_size && strncmp(f, key, n) == 0 && f[n] == '=');
			if (json_object_is_type(value, json_type_string))
				check(same_text(value, f + n + 1, strlen(f + n + 1)));
			else if (json_object_is_type(value, json_type_boolean))
				check(strcmp(json_object_get_string(value), f + n + 1) == 0);
			else	/* a number keeps its spelling */
				check(json_object_get_double(value) == strtod(f + n + 1, NULL) ||
				      json_object_is_type(value, json_type_int));
			f += strlen(f) + 1;
		}
	}
	check(f == e->fields + e->fields_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct eventjson e;
	bool taken = eventjson_read(&e, (const char *)bytes, size);
	struct json_object *root;

	if (size > EVENTJSON_MAX) {
		check(!taken);
		return 0;
	}
	root = parse((const char *)bytes, size);
	if (taken) {
		check(root != NULL && e.text_size + e.fields_size <= size);
		check_same(root, &e);
	}
	if (root && is_event(root)) {
		const char *strict = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN);

		if (strlen(strict) <= EVENTJSON_MAX) {
			check(eventjson_read(&e, strict, strlen(strict)));
			check_same(root, &e);
		}
	}
	json_object_put(root);
	return 0;
}
