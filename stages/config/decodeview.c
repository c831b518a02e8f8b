/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The view of a document in which "x#base64": "aGk=" is "x": "hi". Only templates that are named unsafe see it:
 * decoded bytes can be anything. Decoding is strict (RFC 4648, padded, no white space), and a key that would hide
 * another is refused.
 */
#define _GNU_SOURCE
#include "decodeview.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stages/lib/base64.h"

#define SUFFIX "#base64"

static int copy_value(struct json_object *value, struct json_object **ret, char *error, size_t error_size);

static int copy_member(struct json_object *from, struct json_object *to, const char *key, struct json_object *value,
		       char *error, size_t error_size)
{
	size_t n = strlen(key), suffix = strlen(SUFFIX), size;
	struct json_object *copy = NULL;
	char *name, *bytes = NULL;
	int r;

	if (n <= suffix || strcmp(key + n - suffix, SUFFIX) != 0) {
		r = copy_value(value, &copy, error, error_size);
		return r < 0 ? r : json_object_object_add(to, key, copy) < 0 ? -ENOMEM : 0;
	}
	name = strndup(key, n - suffix);
	if (!name)
		return -ENOMEM;
	r = json_object_is_type(value, json_type_string) ?
		base64_decode(json_object_get_string(value), (size_t)json_object_get_string_len(value), false, &bytes,
			      &size) : -EBADMSG;
	if (r < 0) {
		snprintf(error, error_size, "%.100s: not base64", key);
	} else if (json_object_object_get_ex(from, name, NULL)) {
		snprintf(error, error_size, "%.100s: there is a key %.100s too", key, name);
		r = -EBADMSG;
	} else {
		copy = json_object_new_string_len(bytes, (int)size);
		r = copy && json_object_object_add(to, name, copy) == 0 ? 0 : -ENOMEM;
	}
	if (bytes)
		explicit_bzero(bytes, size);
	free(bytes);
	free(name);
	return r;
}

static int copy_value(struct json_object *value, struct json_object **ret, char *error, size_t error_size)
{
	struct json_object *copy;
	int r = 0;

	if (json_object_is_type(value, json_type_object)) {
		copy = json_object_new_object();
		json_object_object_foreach(value, key, member) {
			if (copy && r == 0)
				r = copy_member(value, copy, key, member, error, error_size);
		}
	} else if (json_object_is_type(value, json_type_array)) {
		copy = json_object_new_array();
		for (size_t i = 0; copy && r == 0 && i < json_object_array_length(value); i++) {
			struct json_object *item = NULL;

			r = copy_value(json_object_array_get_idx(value, i), &item, error, error_size);
			if (r == 0 && json_object_array_add(copy, item) < 0)
				r = -ENOMEM;
		}
	} else {
		*ret = json_object_get(value);
		return 0;
	}
	if (!copy || r < 0) {
		json_object_put(copy);
		return r < 0 ? r : -ENOMEM;
	}
	*ret = copy;
	return 0;
}

int decode_view(struct json_object *document, struct json_object **ret, char *error, size_t error_size)
{
	snprintf(error, error_size, "out of memory");
	return copy_value(document, ret, error, error_size);
}
