/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walks parsed JSON along the tables of keys. The first value that does not fit ends the walk with an error of one
 * line: file, line, place and reason. The line is looked up in the positions of the scan.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include <gantry/plan.h>

#include "check.h"

static const char *const type_names[] = {
	"a string", "an integer", "a number", "true or false", "an array of strings", "an array of integers",
	"an object", "an array of objects", "an object", "an object", "an object",
};
_Static_assert(sizeof(type_names) / sizeof(type_names[0]) == KEY_TYPE_MAX, "a name for each type");

const char *check_quote(char *buffer, const char *value)
{
	size_t n = 0;

	buffer[n++] = '"';
	for (; *value && n < CHECK_QUOTED_MAX - 5; value++)
		buffer[n++] = (unsigned char)*value < 0x20 || *value == 0x7f || *value == '"' ? '?' : *value;
	if (*value) {
		/* not in the middle of a character */
		while (n > 1 && ((unsigned char)*value & 0xc0) == 0x80)
			value--, n--;
		n += (size_t)sprintf(buffer + n, "...");
	}
	buffer[n++] = '"';
	buffer[n] = '\0';
	return buffer;
}

/* The Levenshtein distance of two short names; names beyond 31 bytes are taken for wholly different. */
static unsigned distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);
	unsigned row[33];

	if (na > 31 || nb > 31)
		return 99;
	for (size_t j = 0; j <= nb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[nb];
}

void nearest_try(struct nearest *nearest, const char *name)
{
	unsigned d = distance(nearest->value, name);

	if (!nearest->name || d < nearest->distance) {
		nearest->name = name;
		nearest->distance = d;
	}
}

const char *nearest_hint(const struct nearest *nearest, char *buffer)
{
	size_t n = nearest->name ? strlen(nearest->name) : 0;

	buffer[0] = '\0';
	if (n && n < 64 && nearest->distance < strlen(nearest->value) &&
	    nearest->distance <= 1 + (strlen(nearest->value) + 1) / 3)
		snprintf(buffer, CHECK_NEAREST_MAX, "; did you mean \"%s\"?", nearest->name);
	return buffer;
}

/* Appends the place in words, and finds its value in the text. */
static uint32_t write_place(const struct check *check, const struct place *place, char *text, size_t size)
{
	uint32_t parent, value;
	size_t n;

	if (!place->up)
		return 0;
	parent = write_place(check, place->up, text, size);
	value = jsonpos_find(check->pos, parent, place->key, place->index);
	n = strlen(text);
	if (place->key)
		snprintf(text + n, size - n, "%s%s", n && text[n - 1] != ' ' ? "." : "", place->key);
	else if (place->label)
		snprintf(text + n, size - n, "[%u] \"%s\": ", place->index, place->label);
	else
		snprintf(text + n, size - n, "[%u]", place->index);
	return value;
}

static void write_error(struct check *check, const struct place *place, const struct place *line_of, const char *fmt,
			va_list args)
{
	char where[256] = "", other[256] = "";
	uint32_t value;
	size_t n;
	int used;

	write_place(check, place, where, sizeof(where));
	value = write_place(check, line_of, other, sizeof(other));
	n = strlen(where);
	if (n > 2 && !strcmp(where + n - 2, ": "))
		where[n - 2] = '\0';
	used = snprintf(check->error, check->error_size, "%s:%u: %s: ", check->file, check->pos->values[value].line,
			where[0] ? where : "top level");
	if (used > 0 && (size_t)used < check->error_size)
		vsnprintf(check->error + used, check->error_size - (size_t)used, fmt, args);
}

int check_fail(struct check *check, const struct place *place, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	write_error(check, place, place, fmt, args);
	va_end(args);
	return -EINVAL;
}

int check_fail_at(struct check *check, const struct place *place, const struct place *line_of, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	write_error(check, place, line_of, fmt, args);
	va_end(args);
	return -EINVAL;
}

int check_fail_member(struct check *check, const struct place *place, const char *member, const char *fmt, ...)
{
	struct place at = {.up = place, .key = member};
	va_list args;

	va_start(args, fmt);
	write_error(check, place, &at, fmt, args);
	va_end(args);
	return -EINVAL;
}

static void write_warning(struct check *check, const struct place *place, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void write_warning(struct check *check, const struct place *place, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	write_error(check, place, place, fmt, args);
	va_end(args);
}

void check_warn(struct check *check, const struct place *place, const char *fmt, ...)
{
	char text[512], line[1024];
	struct check warning = *check;
	va_list args;

	if (!check->warnings)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	warning.error = line;
	warning.error_size = sizeof(line);
	write_warning(&warning, place, "warning: %s", text);
	fprintf(check->warnings, "%s\n", line);
}

static int wrong_type(struct check *check, const struct place *place, enum key_type type)
{
	return check_fail(check, place, "must be %s", type_names[type]);
}

static int check_choice(struct check *check, const struct place *place, const char *value,
			const char *const *choices)
{
	char list[512] = "", quoted[CHECK_QUOTED_MAX];
	size_t n = 0;

	for (size_t i = 0; choices[i]; i++) {
		if (!strcmp(value, choices[i]))
			return 0;
		n += (size_t)snprintf(list + n, n < sizeof(list) ? sizeof(list) - n : 0, "%s\"%s\"", i ? ", " : "",
				      choices[i]);
		if (n >= sizeof(list))
			n = sizeof(list) - 1;
	}
	return check_fail(check, place, "%s is not one of %s", check_quote(quoted, value), list);
}

static int wrong_format(struct check *check, const struct place *place, const char *value, const struct format *format)
{
	struct nearest nearest = {.value = value};
	char quoted[CHECK_QUOTED_MAX], hint[CHECK_NEAREST_MAX];

	for (const char *const *name = format->names; name && *name; name++)
		nearest_try(&nearest, *name);
	return check_fail(check, place, "%s %s%s", check_quote(quoted, value), format->wrong,
			  nearest_hint(&nearest, hint));
}

static int check_string(struct check *check, const struct place *place, struct json_object *value,
			const struct key *key, bool sized)
{
	const char *string;
	int64_t length;

	if (!json_object_is_type(value, json_type_string))
		return wrong_type(check, place, KEY_STRING);
	string = json_object_get_string(value);
	length = json_object_get_string_len(value);
	if (sized && (key->minimum || key->maximum)) {
		if (length < key->minimum)
			return length ? check_fail(check, place, "must have at least %lld bytes",
						   (long long)key->minimum)
				      : check_fail(check, place, "must not be empty");
		if (length > key->maximum)
			return check_fail(check, place, "must have at most %lld bytes", (long long)key->maximum);
	}
	if (key->choices)
		return check_choice(check, place, string, key->choices);
	if (key->format && !key->format->fits(check->root, string))
		return wrong_format(check, place, string, key->format);
	return 0;
}

static int check_integer(struct check *check, const struct place *place, struct json_object *value,
			 const struct key *key)
{
	int64_t number;

	if (!json_object_is_type(value, json_type_int))
		return wrong_type(check, place, KEY_INTEGER);
	number = json_object_get_int64(value);
	if ((key->minimum || key->maximum) && (number < key->minimum || number > key->maximum))
		return check_fail(check, place, "%lld is not within %lld to %lld", (long long)number,
				  (long long)key->minimum, (long long)key->maximum);
	return 0;
}

static int check_number(struct check *check, const struct place *place, struct json_object *value,
			const struct key *key)
{
	double number;

	if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
		return wrong_type(check, place, KEY_NUMBER);
	number = json_object_get_double(value);
	if ((key->minimum || key->maximum) && !(number >= (double)key->minimum && number <= (double)key->maximum))
		return check_fail(check, place, "%.15g is not within %lld to %lld", number, (long long)key->minimum,
				  (long long)key->maximum);
	return 0;
}

static int check_count(struct check *check, const struct place *place, struct json_object *array,
		       const struct key *key)
{
	int64_t n = (int64_t)json_object_array_length(array);

	if (!key->minimum && !key->maximum)
		return 0;
	if (n < key->minimum)
		return n ? check_fail(check, place, "must have at least %lld items", (long long)key->minimum)
			 : check_fail(check, place, "must not be empty");
	if (n > key->maximum)
		return check_fail(check, place, "must have at most %lld items", (long long)key->maximum);
	return 0;
}

static const char *label_of(struct json_object *item)
{
	struct json_object *name;
	const char *label;

	if (!json_object_is_type(item, json_type_object) || !json_object_object_get_ex(item, "name", &name) ||
	    !json_object_is_type(name, json_type_string))
		return NULL;
	label = json_object_get_string(name);
	if (!*label || strlen(label) >= NODE_NAME_MAX)
		return NULL;
	for (const char *c = label; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '"')
			return NULL;
	return label;
}

static int check_array(struct check *check, const struct place *place, struct json_object *array,
		       const struct key *key, const struct stage_option *option_members)
{
	int r;

	if (!json_object_is_type(array, json_type_array))
		return wrong_type(check, place, key->type);
	if (key->type != KEY_INTEGERS) {
		r = check_count(check, place, array, key);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *item = json_object_array_get_idx(array, i);
		struct place at = {.up = place, .index = (uint32_t)i, .label = label_of(item)};

		if (key->type == KEY_STRINGS)
			r = check_string(check, &at, item, key, false);
		else if (key->type == KEY_INTEGERS)
			r = check_integer(check, &at, item, key);
		else if (!json_object_is_type(item, json_type_object))
			r = wrong_type(check, &at, KEY_OBJECT);
		else if (option_members)
			r = check_options(check, &at, item, option_members);
		else
			r = check_object(check, &at, item, key->members);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_string_map(struct check *check, const struct place *place, struct json_object *map,
			    const struct key *key)
{
	char quoted[CHECK_QUOTED_MAX];

	if (!json_object_is_type(map, json_type_object))
		return wrong_type(check, place, key->type);
	json_object_object_foreach(map, name, value) {
		struct place at = {.up = place, .key = name};

		if (!key->format->fits(check->root, name))
			return check_fail_member(check, place, name, "%s %s", check_quote(quoted, name),
						 key->format->wrong);
		if (!json_object_is_type(value, json_type_string))
			return wrong_type(check, &at, KEY_STRING);
	}
	return 0;
}

static int check_limit_map(struct check *check, const struct place *place, struct json_object *map)
{
	if (!json_object_is_type(map, json_type_object))
		return wrong_type(check, place, KEY_LIMIT_MAP);
	json_object_object_foreach(map, name, value) {
		struct place at = {.up = place, .key = name};
		bool unlimited = json_object_is_type(value, json_type_string) &&
			!strcmp(json_object_get_string(value), "unlimited");

		if (limit_number(name) < 0) {
			struct nearest nearest = {.value = name};
			char hint[CHECK_NEAREST_MAX], quoted[CHECK_QUOTED_MAX];

			for (size_t i = 0; limit_name(i); i++)
				nearest_try(&nearest, limit_name(i));
			return check_fail_member(check, place, name, "unknown limit %s%s",
						 check_quote(quoted, name), nearest_hint(&nearest, hint));
		}
		if (!unlimited && (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0))
			return check_fail(check, &at, "must be an integer of at least 0, or \"unlimited\"");
	}
	return 0;
}

static int check_value(struct check *check, const struct place *place, struct json_object *value,
		       const struct key *key, const struct stage_option *option_members)
{
	switch (key->type) {
	case KEY_STRING:
		return check_string(check, place, value, key, true);
	case KEY_INTEGER:
		return check_integer(check, place, value, key);
	case KEY_NUMBER:
		return check_number(check, place, value, key);
	case KEY_BOOLEAN:
		return json_object_is_type(value, json_type_boolean) ? 0 : wrong_type(check, place, key->type);
	case KEY_STRINGS:
	case KEY_INTEGERS:
	case KEY_OBJECTS:
		return check_array(check, place, value, key, option_members);
	case KEY_OBJECT:
		if (!json_object_is_type(value, json_type_object))
			return wrong_type(check, place, key->type);
		return check_object(check, place, value, key->members);
	case KEY_STRING_MAP:
		return check_string_map(check, place, value, key);
	case KEY_LIMIT_MAP:
		return check_limit_map(check, place, value);
	case KEY_OPTIONS:	/* its content is checked by the stage's own check, which knows the type */
		return json_object_is_type(value, json_type_object) ? 0 : wrong_type(check, place, key->type);
	case KEY_TYPE_MAX:
		break;
	}
	return -EINVAL;
}

static int fail_unknown(struct check *check, const struct place *place, const char *name,
			const struct nearest *nearest)
{
	char hint[CHECK_NEAREST_MAX], quoted[CHECK_QUOTED_MAX];

	return check_fail_member(check, place, name, "unknown key %s%s", check_quote(quoted, name),
				 nearest_hint(nearest, hint));
}

static int check_one_of(struct check *check, const struct place *place, struct json_object *object,
			const struct key *keys)
{
	char list[128] = "";
	size_t n = 0, given = 0, possible = 0;

	for (const struct key *key = keys; key->name; key++) {
		if (!(key->flags & KEY_ONE_OF))
			continue;
		possible++;
		given += json_object_object_get_ex(object, key->name, NULL);
		if (n < sizeof(list))
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s\"%s\"", possible > 1 ? ", " : "",
					      key->name);
	}
	return !possible || given == 1 ? 0 : check_fail(check, place, "must have exactly one of %s", list);
}

int check_each(struct json_object *object, const struct place *up, const char *list,
	       int (*one)(void *with, const struct place *place, struct json_object *item), void *with)
{
	const struct place list_at = {.up = up, .key = list};
	struct json_object *items = key_member(object, list);
	size_t n = items ? json_object_array_length(items) : 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct json_object *item = json_object_array_get_idx(items, i);
		const struct place at = {.up = &list_at, .index = (uint32_t)i,
					 .label = json_object_get_string(key_member(item, "name"))};

		r = one(with, &at, item);
	}
	return r;
}

int check_object(struct check *check, const struct place *place, struct json_object *object, const struct keys *keys)
{
	int r;

	json_object_object_foreach(object, name, value) {
		struct place at = {.up = place, .key = name};
		struct nearest nearest = {.value = name};
		const struct key *key = keys->keys;

		while (key->name && strcmp(key->name, name))
			nearest_try(&nearest, (key++)->name);
		r = key->name ? check_value(check, &at, value, key, NULL) :
			fail_unknown(check, place, name, &nearest);
		if (r < 0)
			return r;
	}
	for (const struct key *key = keys->keys; key->name; key++)
		if (key->flags & KEY_REQUIRED && !json_object_object_get_ex(object, key->name, NULL))
			return check_fail(check, place, "\"%s\" is missing", key->name);
	r = check_one_of(check, place, object, keys->keys);
	if (r < 0)
		return r;
	return keys->check ? keys->check(check, place, object) : 0;
}

/* An option named user or group refers to an account, in every stage. */
static const struct format *account_format_of(const char *option)
{
	return !strcmp(option, "user") ? &user_format : !strcmp(option, "group") ? &group_format : NULL;
}

int check_options(struct check *check, const struct place *place, struct json_object *object,
		  const struct stage_option *options)
{
	static const enum key_type types[] = {
		[OPTION_STRING] = KEY_STRING, [OPTION_INTEGER] = KEY_INTEGER, [OPTION_NUMBER] = KEY_NUMBER,
		[OPTION_BOOLEAN] = KEY_BOOLEAN, [OPTION_STRINGS] = KEY_STRINGS,
		[OPTION_INTEGERS] = KEY_INTEGERS, [OPTION_OBJECTS] = KEY_OBJECTS,
	};
	static const struct stage_option none[] = {{0}};

	if (!options)
		options = none;
	if (object) {
		json_object_object_foreach(object, name, value) {
			struct place at = {.up = place, .key = name};
			struct nearest nearest = {.value = name};
			const struct stage_option *option = options;
			struct key key;
			int r;

			while (option->name && strcmp(option->name, name))
				nearest_try(&nearest, (option++)->name);
			if (!option->name)
				return fail_unknown(check, place, name, &nearest);
			key = (struct key){.name = name, .type = types[option->type], .minimum = option->minimum,
					   .maximum = option->maximum, .choices = option->choices};
			if (key.type == KEY_STRING && json_object_get_string_len(value) > 0)
				key.format = account_format_of(name);
			r = check_value(check, &at, value, &key, option->members);
			if (r < 0)
				return r;
		}
	}
	for (const struct stage_option *option = options; option->name; option++)
		if (option->required && (!object || !json_object_object_get_ex(object, option->name, NULL)))
			return check_fail(check, place, "\"%s\" is missing", option->name);
	return 0;
}

static const char *fallback(const struct keys *keys, const char *name)
{
	for (const struct key *key = keys->keys; key->name; key++)
		if (!strcmp(key->name, name))
			return key->fallback;
	assert(!"a key that its table does not have");
	return NULL;
}

const char *key_string(struct json_object *object, const struct keys *keys, const char *name)
{
	struct json_object *value = key_member(object, name);

	return value ? json_object_get_string(value) : fallback(keys, name);
}

double key_number(struct json_object *object, const struct keys *keys, const char *name)
{
	struct json_object *value = key_member(object, name);

	return value ? json_object_get_double(value) : strtod(fallback(keys, name), NULL);
}

bool key_boolean(struct json_object *object, const struct keys *keys, const char *name)
{
	struct json_object *value = key_member(object, name);

	return value ? json_object_get_boolean(value) : !strcmp(fallback(keys, name), "true");
}
