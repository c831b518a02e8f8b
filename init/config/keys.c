/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every key of boot.json: type, range, default, format, and where its value goes. The one place for defaults:
 * `gantryctl check --keys` prints them, and a test compares docs/boot.schema.json with that.
 */
#include <errno.h>
#include <string.h>

#include <json-c/json.h>

#include "cgroup.h"
#include "container-keys.h"
#include "hardening.h"
#include "init/lib/config.h"
#include "init/lib/options.h"
#include "keys.h"
#include "launch.h"
#include "netdaemon.h"

#define DAY_S 86400

const struct stage *stage_find(const char *type)
{
	for (size_t i = 0; stage_table[i]; i++)
		if (!strcmp(stage_table[i]->type, type))
			return stage_table[i];
	return NULL;
}

/* Rules that the tables below cannot express. */

static int check_backoff(struct check *check, const struct place *place, struct json_object *object,
			 const struct keys *keys)
{
	double min = key_number(object, keys, "min_s"), max = key_number(object, keys, "max_s");

	if (min <= max)
		return 0;
	return check_fail(check, place, "min_s %.15g is more than max_s %.15g", min, max);
}

static int check_retry(struct check *check, const struct place *place, struct json_object *object)
{
	return check_backoff(check, place, object, &retry_keys);
}

static int check_restart(struct check *check, const struct place *place, struct json_object *object)
{
	return check_backoff(check, place, object, &restart_keys);
}

/* The times of a probe require its program, and each is more than 0. */
static int check_probe(struct check *check, const struct place *place, struct json_object *object)
{
	static const char *const details[] = {"interval_s", "timeout_s", "failures"};
	const struct place at = {.up = place, .key = "exec"}, first = {.up = &at, .index = 0};
	struct json_object *command = key_member(object, "exec");
	const char *program = command ? json_object_get_string(json_object_array_get_idx(command, 0)) : NULL;
	char quoted[CHECK_QUOTED_MAX];

	for (size_t i = 0; i < sizeof(details) / sizeof(details[0]); i++) {
		struct json_object *value = key_member(object, details[i]);

		if (value && !command)
			return check_fail_member(check, place, details[i], "\"%s\" belongs to \"exec\"", details[i]);
		if (value && json_object_get_double(value) < 0.001)
			return check_fail_member(check, place, details[i], "\"%s\" must be at least 0.001", details[i]);
	}
	if (!command || (path_format.fits(check->root, program) && program[1]))
		return 0;
	return check_fail(check, &first, "%s %s", check_quote(quoted, program), path_format.wrong);
}

static int check_ready(struct check *check, const struct place *place, struct json_object *object)
{
	static const char *const trues[] = {"notify", "exit"};

	for (size_t i = 0; i < sizeof(trues) / sizeof(trues[0]); i++) {
		struct json_object *value = key_member(object, trues[i]);
		const struct place at = {.up = place, .key = trues[i]};

		if (value && !json_object_get_boolean(value))
			return check_fail(check, &at, "must be true");
	}
	return check_probe(check, place, object);
}

static int check_watchdog(struct check *check, const struct place *place, struct json_object *object)
{
	struct json_object *notify = key_member(object, "notify_s");

	if (notify && json_object_get_double(notify) < 0.001)
		return check_fail_member(check, place, "notify_s", "\"notify_s\" must be at least 0.001");
	return check_probe(check, place, object);
}

static int check_change(struct check *check, const struct place *place, struct json_object *object)
{
	if (key_member(object, "signal") && strcmp(key_string(object, &change_keys, "action"), "signal"))
		return check_fail_member(check, place, "signal", "\"signal\" requires the action \"signal\"");
	return 0;
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

static int check_cgroup(struct check *check, const struct place *place, struct json_object *cgroup)
{
	char quoted[CHECK_QUOTED_MAX];

	if (!cgroup)
		return 0;
	json_object_object_foreach(cgroup, setting, object) {
		struct place cgroup_at = {.up = place, .key = "cgroup"}, at = {.up = &cgroup_at, .key = setting};
		const char *value = json_object_get_string(object), *wrong = cgroup_value_wrong(setting, value);

		if (wrong)
			return check_fail(check, &at, "%s %s", check_quote(quoted, value), wrong);
	}
	return 0;
}

/* Also of an action that is a command. */
static int check_command(struct check *check, const struct place *place, struct json_object *object)
{
	struct place command_at = {.up = place, .key = "command"}, at = {.up = &command_at, .index = 0};
	struct json_object *command = key_member(object, "command");
	const char *program = json_object_get_string(json_object_array_get_idx(command, 0));
	char quoted[CHECK_QUOTED_MAX];

	if (path_format.fits(check->root, program) && program[1])
		return check_launch(check, place, object);
	return check_fail(check, &at, "%s %s", check_quote(quoted, program), path_format.wrong);
}

/* A container brings its own program, so settings of a program would have no effect. */
static int check_beside_container(struct check *check, const struct place *place, struct json_object *object)
{
	for (const struct key *key = service_keys.keys; key->name; key++)
		if (key->flags & KEY_PROGRAM && key_member(object, key->name))
			return check_fail_member(check, place, key->name, "\"%s\" cannot be set beside \"container\"",
						 key->name);
	if (key_member(key_member(object, "ready"), "fd"))
		return check_fail_member(check, place, "ready", "\"fd\" does not work with \"container\"");
	return 0;
}

static int check_service(struct check *check, const struct place *place, struct json_object *object)
{
	int r = key_member(object, "container") ? check_beside_container(check, place, object)
						: check_command(check, place, object);

	if (r == 0)
		r = check_net_daemon(check, place, object);
	return r < 0 ? r : check_cgroup(check, place, key_member(object, "cgroup"));
}

/* Names within one list are unique. */
static int check_unique(struct check *check, const struct place *place, const char *list, struct json_object *object)
{
	struct json_object *items = key_member(key_member(check->root, "api"), list);
	const char *name = json_object_get_string(key_member(object, "name"));

	for (size_t i = 0; i < place->index; i++)
		if (!strcmp(json_object_get_string(key_member(json_object_array_get_idx(items, i), "name")), name))
			return check_fail_member(check, place, "name", "duplicate name: also the name of %s[%zu]", list,
						 i);
	return 0;
}

static int check_action(struct check *check, const struct place *place, struct json_object *object)
{
	static const char *const of_commands[] = {"user", "group", "environment", "directory", "deadline_s"};

	for (size_t i = 0; key_member(object, "verb") && i < sizeof(of_commands) / sizeof(*of_commands); i++)
		if (key_member(object, of_commands[i]))
			return check_fail_member(check, place, of_commands[i], "\"verb\" has no \"%s\"",
						 of_commands[i]);
	if (key_member(object, "command") && check_command(check, place, object) < 0)
		return -EINVAL;
	return check_unique(check, place, "actions", object);
}

static int check_upload(struct check *check, const struct place *place, struct json_object *object)
{
	return check_unique(check, place, "uploads", object);
}

static int check_api(struct check *check, const struct place *place, struct json_object *object)
{
	struct json_object *certificate = key_member(object, "tls_certificate"), *key = key_member(object, "tls_key");

	if (!certificate != !key)
		return check_fail_member(check, place, certificate ? "tls_certificate" : "tls_key",
					 "\"tls_certificate\" and \"tls_key\" require each other");
	if (certificate && !strcmp(json_object_get_string(certificate), json_object_get_string(key)))
		return check_fail_member(check, place, "tls_key",
					 "\"tls_certificate\" and \"tls_key\" must be different files");
	if (!key_member(object, "password_file") && key_member(object, "password_salt"))
		return check_fail_member(check, place, "password_salt",
					 "\"password_salt\" requires \"password_file\"");
	return 0;
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

static int check_service_log(struct check *check, const struct place *place, struct json_object *object)
{
	(void)object;
	if (!key_member(check->root, "logs"))
		return check_fail(check, place, "\"log\" requires \"logs\" at the top of the file");
	return 0;
}

/* The tables. */

static const char *const held_actions[] = {"hold", "reboot", "poweroff", NULL};
static const char *const before_unlocks[] = {"events", "nothing", NULL};
static const char *const password_hashes[] = {"sha256", "pbkdf2-sha256", NULL};
static const char *const whens[] = {"boot", "held", NULL};
static const char *const profiles[] = {"default", "clock", NULL};	/* init/launch/profile.c */
static const char *const stop_tos[] = {"main", "all", "main-then-all", NULL};	/* of enum stop_to */
static const char *const on_bursts[] = {"slow", "fail", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const policies[] = {"always", "on-failure", "never", NULL};
static const char *const change_actions[] = {"none", "signal", "restart", NULL};

const struct keys held_keys = {(const struct key[]){
	{.name = "action", .type = KEY_STRING, .choices = held_actions, .fallback = "hold",
	 IN_CONFIG(CHOICE, held_action)},
	{.name = "delay_s", .type = KEY_NUMBER, .minimum = 0, .maximum = DAY_S, .fallback = "60",
	 IN_CONFIG(MS, held_delay_ms)},
	{0}}, NULL};

const struct keys shutdown_keys = {(const struct key[]){
	{.name = "timeout_s", .type = KEY_NUMBER, .minimum = 1, .maximum = 86400},
	{0}}, NULL};

const struct keys events_keys = {(const struct key[]){
	{.name = "ring", .type = KEY_INTEGER, .minimum = 16, .maximum = 100000, .fallback = "2000",
	 IN_CONFIG(SIZE, event_ring)},
	{.name = "fifo", .type = KEY_STRING, .format = &path_format, IN_CONFIG(STRING, fifo)},
	{.name = "rate_per_s", .type = KEY_INTEGER, .minimum = 0, .maximum = 1000000, .fallback = "1000",
	 IN_CONFIG(INT64, event_rate_per_s)},
	{.name = "burst", .type = KEY_INTEGER, .minimum = 1, .maximum = 1000000, .fallback = "10000",
	 IN_CONFIG(INT64, event_burst)},
	{0}}, NULL};

const struct keys hardening_keys = {(const struct key[]){
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

/* A command is launched as a service is: see build.c for its defaults. */
const struct keys action_keys = {(const struct key[]){
	{.name = "name", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &act_format,
	 IN(config_action, STRING, name)},
	{.name = "verb", .type = KEY_STRING, .flags = KEY_ONE_OF, .format = &verb_format,
	 IN(config_action, STRING, words)},
	{.name = "command", .type = KEY_STRINGS, .flags = KEY_ONE_OF, .minimum = 1, .maximum = 64},
	{.name = "user", .type = KEY_STRING, .format = &user_format, .fallback = "root"},
	{.name = "group", .type = KEY_STRING, .format = &group_format},
	{.name = "environment", .type = KEY_STRING_MAP, .format = &variable_format},
	{.name = "directory", .type = KEY_STRING, .format = &path_format, .fallback = "/"},
	{.name = "deadline_s", .type = KEY_NUMBER, .minimum = 1, .maximum = 3600, .fallback = "60",
	 IN(config_action, MS, deadline_ms)},
	{0}}, check_action};

const struct keys upload_keys = {(const struct key[]){
	{.name = "name", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &act_format,
	 IN(config_upload, STRING, name)},
	{.name = "path", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &path_format,
	 IN(config_upload, STRING, path)},
	{.name = "max_bytes", .type = KEY_INTEGER, .flags = KEY_WRITTEN, .minimum = 1, .maximum = 64 << 20,
	 .fallback = "16777216", IN(config_upload, INT64, max_bytes)},
	{0}}, check_upload};

const struct keys api_keys = {(const struct key[]){
	{.name = "listen", .type = KEY_STRING, .flags = KEY_WRITTEN, .format = &address_format,
	 .fallback = "0.0.0.0:3535"},
	{.name = "connections", .type = KEY_INTEGER, .flags = KEY_WRITTEN, .minimum = 16, .maximum = 4096,
	 .fallback = "1024"},
	{.name = "connections_per_address", .type = KEY_INTEGER, .flags = KEY_WRITTEN, .minimum = 4, .maximum = 4096,
	 .fallback = "256"},
	{.name = "before_unlock", .type = KEY_STRING, .flags = KEY_WRITTEN, .choices = before_unlocks,
	 .fallback = "events"},
	{.name = "needs", .type = KEY_STRINGS, .maximum = CONFIG_NEEDS_MAX, .format = &name_format},
	{.name = "password_file", .type = KEY_STRING, .format = &path_format},
	{.name = "password_salt", .type = KEY_STRING, .maximum = 256},
	{.name = "password_hash", .type = KEY_STRING, .flags = KEY_WRITTEN, .choices = password_hashes,
	 .fallback = "sha256"},
	{.name = "tls_hosts", .type = KEY_STRINGS, .flags = KEY_WRITTEN, .minimum = 1, .maximum = 16,
	 .format = &certificate_name_format, .fallback = "[\"localhost\"]"},
	{.name = "tls_hosts_file", .type = KEY_STRING, .format = &path_format},
	{.name = "tls_certificate", .type = KEY_STRING, .format = &path_format},
	{.name = "tls_key", .type = KEY_STRING, .format = &path_format},
	{.name = "tls_create", .type = KEY_BOOLEAN, .flags = KEY_WRITTEN, .fallback = "true"},
	{.name = "actions", .type = KEY_OBJECTS, .maximum = CONFIG_ACTIONS_MAX, .members = &action_keys,
	 IN_LIST(config, OBJECTS, actions, n_actions), .item_size = sizeof(struct config_action)},
	{.name = "uploads", .type = KEY_OBJECTS, .maximum = CONFIG_UPLOADS_MAX, .members = &upload_keys,
	 IN_LIST(config, OBJECTS, uploads, n_uploads), .item_size = sizeof(struct config_upload)},
	{0}}, check_api};

static const struct keys user_keys = {(const struct key[]){
	{.name = "name", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &account_format},
	{.name = "uid", .type = KEY_INTEGER, .flags = KEY_REQUIRED, .minimum = 1, .maximum = 65533},
	{.name = "gid", .type = KEY_INTEGER, .flags = KEY_REQUIRED, .minimum = 1, .maximum = 65533},
	{.name = "groups", .type = KEY_STRINGS, .maximum = 32, .format = &account_format},
	{0}}, check_user};

const struct keys retry_keys = {(const struct key[]){
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

const struct keys ready_keys = {(const struct key[]){
	{.name = "path", .type = KEY_STRING, .flags = KEY_ONE_OF, .format = &path_format,
	 IN_NODE(STRING, ready_path)},
	{.name = "tcp", .type = KEY_STRING, .flags = KEY_ONE_OF, .format = &address_format},
	{.name = "notify", .type = KEY_BOOLEAN, .flags = KEY_ONE_OF},
	{.name = "fd", .type = KEY_INTEGER, .flags = KEY_ONE_OF, .minimum = 3, .maximum = 255,
	 IN_NODE(INT, ready_fd)},
	{.name = "exec", .type = KEY_STRINGS, .flags = KEY_ONE_OF, .minimum = 1, .maximum = 64},
	{.name = "exit", .type = KEY_BOOLEAN, .flags = KEY_ONE_OF},
	{.name = "interval_s", .type = KEY_NUMBER, .minimum = 0, .maximum = DAY_S, .fallback = "1",
	 IN_NODE(MS, ready_interval_ms)},
	{.name = "timeout_s", .type = KEY_NUMBER, .minimum = 0, .maximum = 3600, .fallback = "5",
	 IN_NODE(MS, ready_timeout_ms)},
	{0}}, check_ready};

const struct keys watchdog_keys = {(const struct key[]){
	{.name = "notify_s", .type = KEY_NUMBER, .flags = KEY_ONE_OF, .minimum = 0, .maximum = DAY_S,
	 IN_NODE(MS, alive_ms)},
	{.name = "exec", .type = KEY_STRINGS, .flags = KEY_ONE_OF, .minimum = 1, .maximum = 64},
	{.name = "interval_s", .type = KEY_NUMBER, .minimum = 0, .maximum = DAY_S, .fallback = "10",
	 IN_NODE(MS, health_interval_ms)},
	{.name = "timeout_s", .type = KEY_NUMBER, .minimum = 0, .maximum = 3600, .fallback = "5",
	 IN_NODE(MS, health_timeout_ms)},
	{.name = "failures", .type = KEY_INTEGER, .minimum = 1, .maximum = 1000, .fallback = "3",
	 IN_NODE(UNSIGNED, health_failures)},
	{0}}, check_watchdog};

const struct keys restart_keys = {(const struct key[]){
	{.name = "policy", .type = KEY_STRING, .choices = policies, .fallback = "always", IN_NODE(CHOICE, restart)},
	{.name = "min_s", .type = KEY_NUMBER, .minimum = 0, .maximum = DAY_S, .fallback = "1",
	 IN_NODE(MS, retry_min_ms)},
	{.name = "max_s", .type = KEY_NUMBER, .minimum = 0, .maximum = DAY_S, .fallback = "60",
	 IN_NODE(MS, retry_max_ms)},
	{.name = "jitter", .type = KEY_NUMBER, .minimum = 0, .maximum = 1, .fallback = "0.1",
	 IN_NODE(PERMILLE, retry_jitter_permille)},
	{.name = "stable_s", .type = KEY_NUMBER, .minimum = 0, .maximum = DAY_S, .fallback = "10",
	 IN_NODE(MS, stable_ms)},
	{.name = "burst", .type = KEY_INTEGER, .minimum = 0, .maximum = 100000, .fallback = "10",
	 IN_NODE(UNSIGNED, burst)},
	{.name = "burst_s", .type = KEY_NUMBER, .minimum = 1, .maximum = DAY_S, .fallback = "60",
	 IN_NODE(MS, burst_ms)},
	{.name = "on_burst", .type = KEY_STRING, .choices = on_bursts, .fallback = "slow",
	 IN_NODE(SECOND, burst_fails)},
	{0}}, check_restart};

/* Their defaults depend on the kind of step and are those of init/launch/prestart.c: PID 1 only passes them on. */
static const struct keys step_keys = {(const struct key[]){
	{.name = "directory", .type = KEY_STRING, .flags = KEY_ONE_OF, .format = &path_format},
	{.name = "secret", .type = KEY_STRING, .flags = KEY_ONE_OF, .format = &path_format},
	{.name = "remove", .type = KEY_STRING, .flags = KEY_ONE_OF, .format = &path_format},
	{.name = "file", .type = KEY_STRING, .flags = KEY_ONE_OF, .format = &path_format},
	{.name = "path", .type = KEY_STRING, .flags = KEY_ONE_OF, .format = &path_format},
	{.name = "from", .type = KEY_STRING, .format = &path_format},
	{.name = "bytes", .type = KEY_INTEGER, .minimum = 16, .maximum = 256, .fallback = "32"},
	{.name = "user", .type = KEY_STRING, .format = &user_format, .fallback = "root; path: as it was"},
	{.name = "group", .type = KEY_STRING, .format = &group_format, .fallback = "root; path: as it was"},
	{.name = "mode", .type = KEY_STRING, .format = &mode_format,
	 .fallback = "0755, secret: 0400, file: 0644; path: as it was"},
	{0}}, check_step};

static const struct keys when_ready_keys = {(const struct key[]){
	{.name = "path", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &path_format},
	{.name = "user", .type = KEY_STRING, .format = &user_format, .fallback = "as it was"},
	{.name = "group", .type = KEY_STRING, .format = &group_format, .fallback = "as it was"},
	{.name = "mode", .type = KEY_STRING, .format = &mode_format, .fallback = "as it was"},
	{0}}, check_step};

const struct keys change_keys = {(const struct key[]){
	{.name = "files", .type = KEY_STRINGS, .flags = KEY_REQUIRED, .minimum = 1, .maximum = 32,
	 .format = &path_format, IN_LIST(config_node, STRINGS, change_files, n_change_files)},
	{.name = "action", .type = KEY_STRING, .flags = KEY_REQUIRED, .choices = change_actions,
	 IN_NODE(CHOICE, change_action)},
	{.name = "signal", .type = KEY_STRING, .choices = signal_names, .fallback = "HUP",
	 IN_NODE(SIGNAL, change_signal)},
	{0}}, check_change};

const struct keys service_log_keys = {(const struct key[]){
	{.name = "max_bytes", .type = KEY_INTEGER, .minimum = 65536, .maximum = 1LL << 40,
	 IN_NODE(INT64, log_max_bytes)},
	{.name = "files", .type = KEY_INTEGER, .minimum = 2, .maximum = 100, IN_NODE(UNSIGNED, log_files)},
	{.name = "format", .type = KEY_STRING, .choices = log_formats, .fallback = "text", IN_NODE(SECOND, log_json)},
	{.name = "events", .type = KEY_BOOLEAN, .fallback = "false", IN_NODE(BOOL, log_events)},
	{0}}, check_service_log};

const struct keys service_keys = {(const struct key[]){
	{.name = "name", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &name_format, IN_NODE(STRING, name)},
	{.name = "command", .type = KEY_STRINGS, .flags = KEY_ONE_OF, .minimum = 1, .maximum = 256},
	{.name = "container", .type = KEY_OBJECT, .flags = KEY_ONE_OF, .members = &container_keys},
	{.name = "user", .type = KEY_STRING, .flags = KEY_PROGRAM | KEY_WRITTEN, .format = &user_format,
	 .fallback = "root"},
	{.name = "group", .type = KEY_STRING, .flags = KEY_PROGRAM, .format = &group_format,
	 .fallback = "the user's own"},
	{.name = "groups", .type = KEY_STRINGS, .flags = KEY_PROGRAM, .maximum = 32, .format = &group_format},
	{.name = "environment", .type = KEY_STRING_MAP, .format = &variable_format},
	{.name = "directory", .type = KEY_STRING, .flags = KEY_PROGRAM | KEY_WRITTEN, .format = &path_format,
	 .fallback = "/"},
	{.name = "needs", .type = KEY_STRINGS, .maximum = CONFIG_NEEDS_MAX, .format = &name_format},
	{.name = "after", .type = KEY_STRINGS, .maximum = CONFIG_NEEDS_MAX, .format = &name_format},
	{.name = "wants", .type = KEY_STRINGS, .maximum = CONFIG_NEEDS_MAX, .format = &name_format},
	{.name = "follows_needs", .type = KEY_BOOLEAN, .fallback = "false", IN_NODE(BOOL, follows_needs)},
	{.name = "enabled", .type = KEY_BOOLEAN, .fallback = "true", IN_NODE(BOOL, enabled)},
	{.name = "enabled_if", .type = KEY_STRING, .format = &document_key_format, IN_NODE(STRING, enabled_if)},
	{.name = "on_change", .type = KEY_OBJECT, .members = &change_keys},
	{.name = "required", .type = KEY_BOOLEAN, .fallback = "true", IN_NODE(BOOL, required)},
	{.name = "ready", .type = KEY_OBJECT, .members = &ready_keys},
	{.name = "ready_deadline_s", .type = KEY_NUMBER, .minimum = 0, .maximum = DAY_S, .fallback = "60",
	 IN_NODE(MS, ready_deadline_ms)},
	{.name = "watchdog", .type = KEY_OBJECT, .members = &watchdog_keys},
	{.name = "restart", .type = KEY_OBJECT, .flags = KEY_IMPLIED, .members = &restart_keys},
	{.name = "stop_signal", .type = KEY_STRING, .choices = signal_names, .fallback = "TERM",
	 IN_NODE(SIGNAL, stop_signal)},
	{.name = "stop_to", .type = KEY_STRING, .choices = stop_tos, .fallback = "main-then-all",
	 IN_NODE(CHOICE, stop_to)},
	{.name = "stop_grace_s", .type = KEY_NUMBER, .minimum = 0, .maximum = 3600, .fallback = "10",
	 IN_NODE(MS, stop_grace_ms)},
	{.name = "before_start", .type = KEY_OBJECTS, .maximum = 64, .members = &step_keys},
	{.name = "when_ready", .type = KEY_OBJECTS, .minimum = 1, .maximum = 64, .members = &when_ready_keys,
	 IN_NODE(JSON, when_ready)},
	{.name = "cgroup", .type = KEY_STRING_MAP, .format = &cgroup_format},
	{.name = "umask", .type = KEY_STRING, .flags = KEY_PROGRAM | KEY_WRITTEN, .format = &umask_format,
	 .fallback = "0022"},
	{.name = "nice", .type = KEY_INTEGER, .minimum = -20, .maximum = 19, .fallback = "0"},
	{.name = "limits", .type = KEY_LIMIT_MAP},
	{.name = "environment_file", .type = KEY_STRING, .flags = KEY_PROGRAM, .format = &path_format},
	{.name = "oom_score_adj", .type = KEY_INTEGER, .minimum = -1000, .maximum = 1000},
	{.name = "no_new_privs", .type = KEY_BOOLEAN, .flags = KEY_PROGRAM | KEY_WRITTEN, .fallback = "true"},
	{.name = "capabilities", .type = KEY_STRINGS, .flags = KEY_PROGRAM, .maximum = 64,
	 .format = &capability_format},
	{.name = "keep", .type = KEY_STRINGS, .flags = KEY_PROGRAM, .minimum = 1, .maximum = 32,
	 .format = &path_format},
	{.name = "private_tmp", .type = KEY_BOOLEAN, .flags = KEY_PROGRAM, .fallback = "false"},
	{.name = "read_only", .type = KEY_STRINGS, .flags = KEY_PROGRAM, .minimum = 1, .maximum = 64,
	 .format = &path_format},
	{.name = "seccomp", .type = KEY_STRING, .flags = KEY_PROGRAM, .choices = profiles},
	{.name = "log", .type = KEY_OBJECT, .flags = KEY_IMPLIED, .members = &service_log_keys},
	{0}}, check_service};

const struct keys refresh_keys = {(const struct key[]){
	{.name = "stage", .type = KEY_STRING, .flags = KEY_REQUIRED, .format = &name_format},
	{.name = "every_s", .type = KEY_NUMBER, .minimum = 0, .maximum = 30 * DAY_S, .fallback = "300",
	 IN_CONFIG(MS, refresh_every_ms)},
	{.name = "jitter", .type = KEY_NUMBER, .minimum = 0, .maximum = 1, .fallback = "0.1",
	 IN_CONFIG(DOUBLE, refresh_jitter)},
	{0}}, NULL};

/* The machine's own watchdog. */
const struct keys hardware_keys = {(const struct key[]){
	{.name = "device", .type = KEY_STRING, .format = &path_format, .fallback = "/dev/watchdog0",
	 IN_CONFIG(STRING, watchdog_device)},
	{.name = "timeout_s", .type = KEY_INTEGER, .minimum = 5, .maximum = 3600, .fallback = "60",
	 IN_CONFIG(MS, watchdog_timeout_ms)},
	{0}}, NULL};

const struct keys tpm_keys = {(const struct key[]){
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
