/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements service-keys.h. */
#include <errno.h>
#include <string.h>

#include <json-c/json.h>

#include "cgroup.h"
#include "container-keys.h"
#include "init/lib/config.h"
#include "launch.h"
#include "netdaemon.h"
#include "root-keys.h"
#include "service-keys.h"

#define DAY_S 86400

static const struct keys restart_keys, change_keys;

/* Rules that the tables below cannot express. */

int check_backoff(struct check *check, const struct place *place, struct json_object *object, const struct keys *keys)
{
	double min = key_number(object, keys, "min_s"), max = key_number(object, keys, "max_s");

	if (min <= max)
		return 0;
	return check_fail(check, place, "min_s %.15g is more than max_s %.15g", min, max);
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
	if (r == 0)
		r = check_root(check, place, object);
	return r < 0 ? r : check_cgroup(check, place, key_member(object, "cgroup"));
}

static int check_service_log(struct check *check, const struct place *place, struct json_object *object)
{
	(void)object;
	if (!key_member(check->root, "logs"))
		return check_fail(check, place, "\"log\" requires \"logs\" at the top of the file");
	return 0;
}

/* The tables. */

static const char *const profiles[] = {"default", "clock", NULL};	/* init/launch/profile.c */
static const char *const stop_tos[] = {"main", "all", "main-then-all", NULL};	/* of enum stop_to */
static const char *const on_bursts[] = {"slow", "fail", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const policies[] = {"always", "on-failure", "never", NULL};
static const char *const change_actions[] = {"none", "signal", "restart", NULL};

static const struct keys ready_keys = {(const struct key[]){
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

static const struct keys watchdog_keys = {(const struct key[]){
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

static const struct keys restart_keys = {(const struct key[]){
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

static const struct keys change_keys = {(const struct key[]){
	{.name = "files", .type = KEY_STRINGS, .flags = KEY_REQUIRED, .minimum = 1, .maximum = 32,
	 .format = &path_format, IN_LIST(config_node, STRINGS, change_files, n_change_files)},
	{.name = "action", .type = KEY_STRING, .flags = KEY_REQUIRED, .choices = change_actions,
	 IN_NODE(CHOICE, change_action)},
	{.name = "signal", .type = KEY_STRING, .choices = signal_names, .fallback = "HUP",
	 IN_NODE(SIGNAL, change_signal)},
	{0}}, check_change};

static const struct keys service_log_keys = {(const struct key[]){
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
	{.name = "root", .type = KEY_OBJECT, .flags = KEY_PROGRAM, .members = &root_keys},
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
