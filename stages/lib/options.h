/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stage's options. PID 1 has checked types and bounds against the stage's table and the role has added its defaults,
 * so these only fetch; what is absent and has no default gives NULL, 0 or false. Strings live as long as the context.
 */
#ifndef STAGES_LIB_OPTIONS_H
#define STAGES_LIB_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include <gantry/stage.h>

static inline const char *option_string_of(struct json_object *object, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(object, name, &value) && json_object_is_type(value, json_type_string) ?
		json_object_get_string(value) : NULL;
}

static inline const char *option_string(const struct stage_context *c, const char *name)
{
	return option_string_of(c->options, name);
}

static inline int64_t option_integer(const struct stage_context *c, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(c->options, name, &value) && json_object_is_type(value, json_type_int) ?
		json_object_get_int64(value) : 0;
}

static inline double option_number(const struct stage_context *c, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(c->options, name, &value) && json_object_is_type(value, json_type_double) ?
		json_object_get_double(value) :
		json_object_is_type(value, json_type_int) ? (double)json_object_get_int64(value) : 0;
}

static inline bool option_boolean(const struct stage_context *c, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(c->options, name, &value) && json_object_is_type(value, json_type_boolean) ?
		json_object_get_boolean(value) : false;
}

/* An array option and its length; NULL and 0 when absent. */
static inline struct json_object *option_array(const struct stage_context *c, const char *name, size_t *ret_length)
{
	struct json_object *value;

	if (!json_object_object_get_ex(c->options, name, &value) || !json_object_is_type(value, json_type_array)) {
		*ret_length = 0;
		return NULL;
	}
	*ret_length = json_object_array_length(value);
	return value;
}

#endif
