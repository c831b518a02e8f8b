/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shape of a configuration as tables of keys, and the one function that checks a JSON object against them. The
 * content of the tables (types, ranges, choices, formats, defaults) is also printed by `gantryctl check --keys`, and
 * the schema in docs/ is tested against it. Stage options come as include/gantry/stage.h's tables and are checked
 * alike.
 */
#ifndef INIT_CONFIG_CHECK_H
#define INIT_CONFIG_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <gantry/stage.h>

#include "format.h"
#include "init/lib/config.h"
#include "init/lib/member.h"
#include "jsonpos.h"

struct json_object;

enum key_type {
	KEY_STRING,	/* minimum..maximum: length in bytes */
	KEY_INTEGER,	/* minimum..maximum: value */
	KEY_NUMBER,	/* integer or fraction, minimum..maximum: value */
	KEY_BOOLEAN,
	KEY_STRINGS,	/* array of strings; minimum..maximum: number of items */
	KEY_INTEGERS,	/* array of integers; minimum..maximum: value of each */
	KEY_OBJECT,	/* described by members */
	KEY_OBJECTS,	/* array of them; minimum..maximum: number of items */
	KEY_STRING_MAP,	/* object with names of a format and strings */
	KEY_LIMIT_MAP,	/* object with names of resource limits and integers or "unlimited" */
	KEY_OPTIONS,	/* stage options: checked against the stage type's own table */
	KEY_TYPE_MAX,
};

#define KEY_REQUIRED 1
#define KEY_ONE_OF   2	/* exactly one of the keys of this object that have the flag must be there */
#define KEY_IMPLIED  4	/* an absent object means the defaults of its members */
#define KEY_WRITTEN  8	/* the object goes to a role: an absent key is added with its default */
#define KEY_PROGRAM  16	/* of a service that is a program: refused beside "container" */

/* How a value is kept in the struct that its table fills. */
enum key_as {
	KEY_AS_NOTHING,
	KEY_AS_STRING,		/* char *, as the lists below in the pool */
	KEY_AS_JSON,		/* char *: compact */
	KEY_AS_STRINGS,		/* char ** and a count */
	KEY_AS_PAIRS,		/* struct config_pair * and a count */
	KEY_AS_OBJECTS,		/* array of structs of item_size bytes, each filled by `members`, and a count */
	KEY_AS_BOOL,
	KEY_AS_INT,
	KEY_AS_UNSIGNED,
	KEY_AS_SIZE,
	KEY_AS_INT64,
	KEY_AS_DOUBLE,
	KEY_AS_MS,		/* int64_t, of seconds */
	KEY_AS_PERMILLE,	/* unsigned, of a fraction */
	KEY_AS_CHOICE,		/* an enum in the order of `choices` */
	KEY_AS_SECOND,		/* bool: the second of two choices */
	KEY_AS_SIGNAL,		/* int */
};

struct check;
struct place;

struct key {
	const char *name;		/* NULL ends a table */
	enum key_type type;
	unsigned flags;
	int64_t minimum, maximum;	/* both 0: no bound */
	const char *fallback;		/* the default, strings without quotes; NULL: none */
	const char *const *choices;	/* strings: allowed values, NULL-ended */
	const struct format *format;	/* of a string, of each of KEY_STRINGS, of the names of KEY_STRING_MAP */
	const struct keys *members;	/* KEY_OBJECT, KEY_OBJECTS */
	enum key_as as;
	size_t into, count;		/* offsets of its place, and of its count */
	size_t item_size;		/* KEY_AS_OBJECTS */
};

/* In a row: the place of its value. */
#define IN(type, how, member)              .as = KEY_AS_##how, .into = offsetof(struct type, member)
#define IN_LIST(type, how, member, number) IN(type, how, member), .count = offsetof(struct type, number)
#define IN_NODE(how, member)               IN(config_node, how, member)
#define IN_CONFIG(how, member)             IN(config, how, member)

struct keys {
	const struct key *keys;
	/* Checks beyond the table; called when the object fits its keys. May be NULL. */
	int (*check)(struct check *check, const struct place *place, struct json_object *object);
};

/* One run of config_parse(). */
struct check {
	const char *file;
	const struct jsonpos *pos;
	struct json_object *root;
	int image_fd;		/* root directory of the image it is for; -1: unknown */
	char *error;
	size_t error_size;
	FILE *warnings;		/* where check_warn() writes; NULL: nowhere, and nobody need look */
	char failed[1024];	/* the last of several errors (image.c); "": none */
};

/* The path to a value, on the stack of its walker: a member `key` or an item `index` of the value at `up`. */
struct place {
	const struct place *up;		/* NULL: the whole file */
	const char *key;
	uint32_t index;
	const char *label;		/* item: its name, or NULL */
};

/* Writes "FILE:LINE: PLACE: REASON" as the error and returns -EINVAL. */
int check_fail(struct check *check, const struct place *place, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with the line of something inside place. */
int check_fail_at(struct check *check, const struct place *place, const struct place *line_of, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The same with the line of a member of place: for an error in a key, not in its value. */
int check_fail_member(struct check *check, const struct place *place, const char *member, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Writes "FILE:LINE: PLACE: warning: TEXT" to check->warnings, if that is set. */
void check_warn(struct check *check, const struct place *place, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Checks object against the table: unknown keys, required keys, types, ranges, choices, formats, the table's check. */
int check_object(struct check *check, const struct place *place, struct json_object *object, const struct keys *keys);

/* The same for the options of a stage; object may be NULL (none given). */
int check_options(struct check *check, const struct place *place, struct json_object *object,
		  const struct stage_option *options);

/* Calls one(with, ...) for each object of the array object[list], until one returns other than 0: returns that. */
int check_each(struct json_object *object, const struct place *up, const char *list,
	       int (*one)(void *with, const struct place *place, struct json_object *item), void *with);

/* A value in quotes for a message, made printable and cut. buffer: CHECK_QUOTED_MAX bytes; returns it. */
#define CHECK_QUOTED_MAX 72
const char *check_quote(char *buffer, const char *value);

/* "; did you mean ...?" for the name nearest to value, or "". buffer: CHECK_NEAREST_MAX bytes; returns it. */
#define CHECK_NEAREST_MAX 96
struct nearest {
	const char *value;
	const char *name;
	unsigned distance;
};
void nearest_try(struct nearest *nearest, const char *name);
const char *nearest_hint(const struct nearest *nearest, char *buffer);

/* Values of a checked object: the file's, or the table's default. */
const char *key_string(struct json_object *object, const struct keys *keys, const char *name);
double key_number(struct json_object *object, const struct keys *keys, const char *name);
bool key_boolean(struct json_object *object, const struct keys *keys, const char *name);

#endif
