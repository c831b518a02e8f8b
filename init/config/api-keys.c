/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements api-keys.h. */
#include <errno.h>
#include <string.h>

#include <json-c/json.h>

#include "api-keys.h"
#include "init/lib/config.h"
#include "launch.h"

/* Rules that the tables below cannot express. */

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

/* The tables. */

static const char *const before_unlocks[] = {"events", "nothing", NULL};
static const char *const password_hashes[] = {"sha256", "pbkdf2-sha256", NULL};

/* A command is launched as a service is: see build.c for its defaults. */
static const struct keys action_keys = {(const struct key[]){
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

static const struct keys upload_keys = {(const struct key[]){
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
