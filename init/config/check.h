/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shape of a configuration as tables of keys, and the one function that holds a JSON object against them.
 * What the tables say (types, ranges, choices, formats, defaults) is also what `gantryctl check --keys`
 * prints and what the schema in docs/ is tested against. Stage options come as include/gantry/stage.h's
 * tables and are checked alike.
 */
#ifndef INIT_CONFIG_CHECK_H
#define INIT_CONFIG_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gantry/stage.h>

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

struct check;
struct place;

/* A rule for strings that has a name. Messages: VALUE WRONG, as in: "run/x" is no absolute path. */
struct format {
	const char *name;
	const char *wrong;
	bool (*fits)(const struct check *check, const char *value);
	const char *const *names;	/* all that fit, NULL-ended, for a hint at the nearest; NULL: too many */
};

struct key {
	const char *name;		/* NULL ends a table */
	enum key_type type;
	unsigned flags;
	int64_t minimum, maximum;	/* both 0: no bound */
	const char *fallback;		/* what an absent key means, strings without quotes; NULL: nothing */
	const char *const *choices;	/* strings: allowed values, NULL-ended */
	const struct format *format;	/* of a string, of each of KEY_STRINGS, of the names of KEY_STRING_MAP */
	const struct keys *members;	/* KEY_OBJECT, KEY_OBJECTS */
};

struct keys {
	const struct key *keys;
	/* What no table says; called when the object fits its keys. May be NULL. */
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
};

/* The way to a value, kept on the stack of those who walk: a member `key` or an item `index` of what `up` leads to. */
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

/* The same with the line of a member of place: for what is wrong with a key, not with its value. */
int check_fail_member(struct check *check, const struct place *place, const char *member, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Holds object against the table: unknown keys, required keys, types, ranges, choices, formats, the table's check. */
int check_object(struct check *check, const struct place *place, struct json_object *object, const struct keys *keys);

/* The same for the options of a stage; object may be NULL (none given). */
int check_options(struct check *check, const struct place *place, struct json_object *object,
		  const struct stage_option *options);

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

/* Values of a checked object: what is there, or what the table says instead. */
const char *key_string(struct json_object *object, const struct keys *keys, const char *name);
double key_number(struct json_object *object, const struct keys *keys, const char *name);
bool key_boolean(struct json_object *object, const struct keys *keys, const char *name);
struct json_object *key_member(struct json_object *object, const char *name);	/* NULL: absent */

/* keys.c */
extern const struct keys config_keys, held_keys, shutdown_keys, events_keys, stage_keys, retry_keys, service_keys,
	restart_keys, ready_keys, watchdog_keys, logs_keys, service_log_keys, api_keys, action_keys, upload_keys,
	refresh_keys, change_keys, hardware_keys;
const struct stage *stage_find(const char *type);

/* launch.c: a service, or an action's command, whose keys are right one by one */
int check_launch(struct check *check, const struct place *place, struct json_object *object);
int check_step(struct check *check, const struct place *place, struct json_object *object);

/* image.c: are the programs and templates of a right configuration in the image? */
int check_image(struct check *check);

/* container-keys.c */
extern const struct keys container_keys, containers_keys, login_keys;
/* a service that is a container has no key that only a program can have */
int check_beside_container(struct check *check, const struct place *place, struct json_object *object);

/* format.c */
#define API_USER "gantry-api"	/* made by the image builder, like root */
#define API_UID  900
#define LOG_USER "gantry-log"	/* likewise; the role service-log */
#define LOG_UID  901
extern const struct format name_format, account_format, path_format, hostname_format, module_format, sysctl_format,
	variable_format, mode_format, umask_format, cgroup_format, address_format, user_format, group_format,
	act_format, verb_format, capability_format, document_key_format, image_format;
extern const char *const signal_names[];	/* NULL-ended */
int signal_number(const char *name);		/* "TERM" -> SIGTERM; -1: unknown */
int limit_number(const char *name);		/* "nofile" -> RLIMIT_NOFILE; -1: unknown */
int capability_number(const char *name);	/* "NET_ADMIN" -> 12; -1: unknown */
const char *limit_name(size_t index);		/* NULL behind the last */
bool address_split(const char *value, char *ret_host, size_t host_size, uint16_t *ret_port);

#endif
