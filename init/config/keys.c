/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements keys.h. */
#include <errno.h>
#include <string.h>

#include <json-c/json.h>

#include "api-keys.h"
#include "container-keys.h"
#include "hardening.h"
#include "init/lib/config.h"
#include "init/lib/options.h"
#include "keys.h"
#include "service-keys.h"

#define DAY_S 86400

static const struct keys retry_keys;

const struct stage *stage_find(const char *type)
{
	for (size_t i = 0; stage_table[i]; i++)
		if (!strcmp(stage_table[i]->type, type))
			return stage_table[i];
	return NULL;
}

/* Rules that the tables below cannot express. */

static int check_retry(struct check *check, const struct place *place, struct json_object *object)
{
	return check_backoff(check, place, object, &retry_keys);
}

/* A copy of the stage's options, the caller's to put; NULL: no memory. */
static struct json_object *with_defaults(struct json_object *object, const struct stage *stage)
{
	struct json_object *options = key_member(object, "options"), *filled = NULL;

	if (options ? json_object_deep_copy(options, &filled, NULL) == 0 : (filled = json_object_new_object()) != NULL)
		if (options_fill(filled, stage->options) == 0)
			return filled;
	json_object_put(filled);
	return NULL;
}

/* After all checks of the stage by itself. */
static int check_other_stages(struct check *check, const struct place *place, struct json_object *object,
			      const struct stage *stage, struct json_object *options)
{
	struct json_object *stages = key_member(check->root, "stages");
	const struct place options_at = {.up = place, .key = "options"};

	for (size_t i = 0; stage->conflict && i < place->index; i++) {
		struct json_object *other = json_object_array_get_idx(stages, i), *others;
		const char *same;

		if (strcmp(json_object_get_string(key_member(other, "type")), stage->type))
			continue;
		others = with_defaults(other, stage);
		same = options && others ? stage->conflict(options, others) : NULL;
		json_object_put(others);
		if (same)
			return check_fail(check, key_member(object, "options") ? &options_at : place,
					  "has the same \"%s\" as stages[%zu] \"%s\"", same, i,
					  json_object_get_string(key_member(other, "name")));
	}
	return 0;
}

/* What the table cannot express, of options that fit it. */
static int check_together(struct check *check, const struct place *place, struct json_object *object,
			  const struct stage *stage)
{
	const struct place options_at = {.up = place, .key = "options"};
	struct json_object *options = with_defaults(object, stage);
	const char *wrong = options && stage->check ? stage->check(options) : NULL;
	int r = !options ? -ENOMEM : wrong ? check_fail(check, &options_at, "%s", wrong) :
		check_other_stages(check, place, object, stage, options);

	json_object_put(options);
	return r;
}

static int check_stage(struct check *check, const struct place *place, struct json_object *object)
{
	struct json_object *options = key_member(object, "options");
	struct place type_at = {.up = place, .key = "type"}, options_at = {.up = place, .key = "options"};
	const char *type = json_object_get_string(key_member(object, "type"));
	const struct stage *stage = stage_find(type);
	struct nearest nearest = {.value = type};
	char quoted[CHECK_QUOTED_MAX], hint[CHECK_NEAREST_MAX];

	if (stage) {
		int r = check_options(check, &options_at, options, stage->options);

		return r < 0 ? r : check_together(check, place, object, stage);
	}
	for (size_t i = 0; stage_table[i]; i++)
		nearest_try(&nearest, stage_table[i]->type);
	return check_fail(check, &type_at, "unknown stage type %s%s", check_quote(quoted, type),
			  nearest_hint(&nearest, hint));
}

/* Of a user's `uid` and `gid`: not one of the predefined accounts, whose groups have the same numbers. */
static int check_number(struct check *check, const struct place *place, struct json_object *user, const char *key)
{
	int64_t number = json_object_get_int64(key_member(user, key));
	const struct predefined *predefined = predefined_find(NULL, (unsigned)number);

	if (predefined)
		return check_fail_member(check, place, key, "%s %lld is already the %s of \"%s\"", key,
					 (long long)number, key, predefined->name);
	if (number >= OWN_UID_MIN && number <= OWN_UID_MAX)
		return check_fail_member(check, place, key, "%s %lld is reserved: %d to %d are for Gantry's own "
					 "processes", key, (long long)number, OWN_UID_MIN, OWN_UID_MAX);
	return 0;
}

static int check_groups(struct check *check, const struct place *place, struct json_object *groups)
{
	const struct place list = {.up = place, .key = "groups"};
	char quoted[CHECK_QUOTED_MAX];

	for (size_t i = 0; groups && i < json_object_array_length(groups); i++) {
		const struct place at = {.up = &list, .index = (uint32_t)i};
		const char *name = json_object_get_string(json_object_array_get_idx(groups, i));

		if (!strcmp(name, "root") || predefined_find(name, 0))
			return check_fail(check, &at, "%s is the group of a predefined account",
					  check_quote(quoted, name));
	}
	return 0;
}

static int check_user(struct check *check, const struct place *place, struct json_object *object)
{
	struct json_object *users = key_member(check->root, "users");
	const char *name = json_object_get_string(key_member(object, "name"));
	int64_t uid = json_object_get_int64(key_member(object, "uid"));
	char quoted[CHECK_QUOTED_MAX];

	if (!strcmp(name, "root") || predefined_find(name, 0))
		return check_fail_member(check, place, "name", "%s is a predefined account", check_quote(quoted, name));
	if (check_number(check, place, object, "uid") < 0 || check_number(check, place, object, "gid") < 0 ||
	    check_groups(check, place, key_member(object, "groups")) < 0)
		return -EINVAL;
	for (size_t i = 0; i < place->index; i++) {
		struct json_object *other = json_object_array_get_idx(users, i);
		const char *other_name = json_object_get_string(key_member(other, "name"));

		if (!strcmp(other_name, name))
			return check_fail_member(check, place, "name", "duplicate name: also the name of users[%zu]",
						 i);
		if (json_object_get_int64(key_member(other, "uid")) == uid)
			return check_fail_member(check, place, "uid", "uid %lld is already the uid of \"%s\"",
						 (long long)uid, other_name);
	}
	return 0;
}

/* Each path is that of a file below /.extra. */
static int check_hardening(struct check *check, const struct place *place, struct json_object *object)
{
	const struct place list = {.up = place, .key = "extra"};
	struct json_object *extra = key_member(object, "extra");
	char quoted[CHECK_QUOTED_MAX];

	for (size_t i = 0; extra && i < json_object_array_length(extra); i++) {
		const struct place at = {.up = &list, .index = (uint32_t)i};
		const char *path = json_object_get_string(json_object_array_get_idx(extra, i));

		if (strncmp(path, "/.extra/", strlen("/.extra/")))
			return check_fail(check, &at, "%s is not below /.extra", check_quote(quoted, path));
	}
	return 0;
}

static int check_logs(struct check *check, const struct place *place, struct json_object *object)
{
	struct json_object *directory = key_member(object, "directory");

	if (directory && json_object_get_string_len(directory) > 200)
		return check_fail_member(check, place, "directory", "is longer than 200 bytes");
	return 0;
}

/* The tables. */

static const char *const held_actions[] = {"hold", "reboot", "poweroff", NULL};
static const char *const whens[] = {"boot", "held", NULL};

static const struct keys held_keys = {(const struct key[]){
	{.name = "action", .type = KEY_STRING, .choices = held_actions, .fallback = "hold",
	 IN_CONFIG(CHOICE, held_action)},
	{.name = "delay_s", .type = KEY_NUMBER, .minimum = 0, .maximum = DAY_S, .fallback = "60",
	 IN_CONFIG(MS, held_delay_ms)},
	{0}}, NULL};

static const struct keys shutdown_keys = {(const struct key[]){
	{.name = "timeout_s", .type = KEY_NUMBER, .minimum = 1, .maximum = 86400},
	{0}}, NULL};

static const struct keys events_keys = {(const struct key[]){
	{.name = "ring", .type = KEY_INTEGER, .minimum = 16, .maximum = 100000, .fallback = "2000",
	 IN_CONFIG(SIZE, event_ring)},
	{.name = "fifo", .type = KEY_STRING, .format = &path_format, IN_CONFIG(STRING, fifo)},
	{.name = "rate_per_s", .type = KEY_INTEGER, .minimum = 0, .maximum = 1000000, .fallback = "1000",
	 IN_CONFIG(INT64, event_rate_per_s)},
	{.name = "burst", .type = KEY_INTEGER, .minimum = 1, .maximum = 1000000, .fallback = "10000",
	 IN_CONFIG(INT64, event_burst)},
	{0}}, NULL};

static const struct keys hardening_keys = {(const struct key[]){
	{.name = "keep", .type = KEY_STRINGS, .maximum = 32, .choices = hardening_names,
	 IN_LIST(config, STRINGS, keep, n_keep)},
	{.name = "extra", .type = KEY_STRINGS, .maximum = 64, .format = &path_format,
	 IN_LIST(config, STRINGS, extra, n_extra)},
	{.name = "writable", .type = KEY_STRINGS, .maximum = 64, .format = &path_format},
	{0}}, check_hardening};

static const struct keys log_keys = {(const struct key[]){
	{.name = "directory", .type = KEY_STRING, .flags = KEY_WRITTEN, .format = &path_format,
	 .fallback = "/persistent/gantry/log"},
	{.name = "max_bytes", .type = KEY_INTEGER, .flags = KEY_WRITTEN, .minimum = 65536, .maximum = 1LL << 40,
	 .fallback = "16777216"},
	{.name = "needs", .type = KEY_STRINGS, .maximum = CONFIG_NEEDS_MAX, .format = &name_format},
	{0}}, NULL};

const struct keys logs_keys = {(const struct key[]){
	{.name = "directory", .type = KEY_STRING, .flags = KEY_WRITTEN, .format = &path_format,
	 .fallback = "/var/log/gantry", IN_CONFIG(STRING, logs_directory)},
	{.name = "group", .type = KEY_STRING, .flags = KEY_WRITTEN, .format = &group_format, .fallback = "root",
	 IN_CONFIG(STRING, logs_group)},
	{.name = "max_bytes", .type = KEY_INTEGER, .flags = KEY_WRITTEN, .minimum = 65536, .maximum = 1LL << 40,
	 .fallback = "16777216"},
	{.name = "files", .type = KEY_INTEGER, .flags = KEY_WRITTEN, .minimum = 2, .maximum = 100, .fallback = "4"},
	{.name = "needs", .type = KEY_STRINGS, .maximum = CONFIG_NEEDS_MAX, .format = &name_format},
	{0}}, check_logs};

static const struct keys user_keys = {(const struct key[]){
	{.name = "name", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &account_format},
	{.name = "uid", .type = KEY_INTEGER, .flags = KEY_REQUIRED, .minimum = 1, .maximum = 65533},
	{.name = "gid", .type = KEY_INTEGER, .flags = KEY_REQUIRED, .minimum = 1, .maximum = 65533},
	{.name = "groups", .type = KEY_STRINGS, .maximum = 32, .format = &account_format},
	{0}}, check_user};

static const struct keys retry_keys = {(const struct key[]){
	{.name = "min_s", .type = KEY_NUMBER, .minimum = 0, .maximum = DAY_S, .fallback = "1",
	 IN_NODE(MS, retry_min_ms)},
	{.name = "max_s", .type = KEY_NUMBER, .minimum = 0, .maximum = DAY_S, .fallback = "60",
	 IN_NODE(MS, retry_max_ms)},
	{.name = "limit", .type = KEY_INTEGER, .minimum = 0, .maximum = 1000000, IN_NODE(UNSIGNED, retry_limit)},
	{0}}, check_retry};

const struct keys stage_keys = {(const struct key[]){
	{.name = "name", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &name_format, IN_NODE(STRING, name)},
	{.name = "type", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &name_format},
	{.name = "needs", .type = KEY_STRINGS, .maximum = CONFIG_NEEDS_MAX, .format = &name_format},
	{.name = "after", .type = KEY_STRINGS, .maximum = CONFIG_NEEDS_MAX, .format = &name_format},
	{.name = "required", .type = KEY_BOOLEAN, .fallback = "true", IN_NODE(BOOL, required)},
	{.name = "when", .type = KEY_STRING, .choices = whens, .fallback = "boot", IN_NODE(CHOICE, when)},
	{.name = "deadline_s", .type = KEY_NUMBER, .minimum = 0, .maximum = 30 * DAY_S, IN_NODE(MS, deadline_ms)},
	{.name = "retry", .type = KEY_OBJECT, .flags = KEY_IMPLIED, .members = &retry_keys},
	{.name = "options", .type = KEY_OPTIONS, IN_NODE(JSON, json)},
	{0}}, check_stage};

static const struct keys refresh_keys = {(const struct key[]){
	{.name = "stage", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &name_format},
	{.name = "every_s", .type = KEY_NUMBER, .minimum = 0, .maximum = 30 * DAY_S, .fallback = "300",
	 IN_CONFIG(MS, refresh_every_ms)},
	{.name = "jitter", .type = KEY_NUMBER, .minimum = 0, .maximum = 1, .fallback = "0.1",
	 IN_CONFIG(DOUBLE, refresh_jitter)},
	{0}}, NULL};

/* The machine's own watchdog. */
static const struct keys hardware_keys = {(const struct key[]){
	{.name = "device", .type = KEY_STRING, .format = &path_format, .fallback = "/dev/watchdog0",
	 IN_CONFIG(STRING, watchdog_device)},
	{.name = "timeout_s", .type = KEY_INTEGER, .minimum = 5, .maximum = 3600, .fallback = "60",
	 IN_CONFIG(MS, watchdog_timeout_ms)},
	{0}}, NULL};

static const struct keys tpm_keys = {(const struct key[]){
	{.name = "tcti", .type = KEY_STRING, .format = &tcti_format, .fallback = "device:/dev/tpmrm0"},
	{0}}, NULL};

const struct keys config_keys = {(const struct key[]){
	{.name = "$schema", .type = KEY_STRING},
	{.name = "hostname", .type = KEY_STRING, .format = &hostname_format, .fallback = "gantry",
	 IN_CONFIG(STRING, hostname)},
	{.name = "modules", .type = KEY_STRINGS, .maximum = 256, .format = &module_format},
	{.name = "sysctls", .type = KEY_STRING_MAP, .format = &sysctl_format,
	 IN_LIST(config, PAIRS, sysctls, n_sysctls)},
	{.name = "hardening", .type = KEY_OBJECT, .members = &hardening_keys},
	{.name = "boot_deadline_s", .type = KEY_NUMBER, .minimum = 0, .maximum = 30 * DAY_S, .fallback = "900",
	 IN_CONFIG(MS, boot_deadline_ms)},
	{.name = "held", .type = KEY_OBJECT, .flags = KEY_IMPLIED, .members = &held_keys},
	{.name = "shutdown", .type = KEY_OBJECT, .members = &shutdown_keys},
	{.name = "watchdog", .type = KEY_OBJECT, .members = &hardware_keys},
	{.name = "tpm", .type = KEY_OBJECT, .members = &tpm_keys, IN_CONFIG(JSON, tpm_json)},
	{.name = "events", .type = KEY_OBJECT, .flags = KEY_IMPLIED, .members = &events_keys},
	{.name = "log", .type = KEY_OBJECT, .members = &log_keys, IN_CONFIG(JSON, log_json)},
	{.name = "logs", .type = KEY_OBJECT, .members = &logs_keys, IN_CONFIG(JSON, logs_json)},
	{.name = "api", .type = KEY_OBJECT, .members = &api_keys, IN_CONFIG(JSON, api_json)},
	{.name = "refresh", .type = KEY_OBJECT, .members = &refresh_keys},
	{.name = "containers", .type = KEY_OBJECT, .flags = KEY_IMPLIED | KEY_WRITTEN, .members = &containers_keys},
	{.name = "users", .type = KEY_OBJECTS, .maximum = 256, .members = &user_keys},
	{.name = "stages", .type = KEY_OBJECTS, .maximum = CONFIG_NODES_MAX, .members = &stage_keys},
	{.name = "services", .type = KEY_OBJECTS, .maximum = CONFIG_NODES_MAX, .members = &service_keys},
	{0}}, NULL};
