/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements member.h. */
#include <stddef.h>

#include <json-c/json.h>

#include "member.h"

struct json_object *key_member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	if (object)
		json_object_object_get_ex(object, name, &value);
	return value;
}
