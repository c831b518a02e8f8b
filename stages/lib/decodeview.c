/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The view of a document in which "x#base64": "aGk=" is "x": "hi". Only templates that are named unsafe see it:
 * decoded bytes can be anything. Decoding is strict (RFC 4648, padded, no white space), and a key that would hide
 * another is refused.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template.h"

#define SUFFIX "#base64"

static int digit(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52 :
		c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes in place of a new buffer; NULL if it is not base64 (or memory ran out). */
static char *decode(const char *text, size_t size, size_t *ret_size)
{
	char *out;
	size_t used = 0;

	if (size % 4 != 0)
		return NULL;
	out = malloc(size / 4 * 3 + 1);
	for (size_t i = 0; out && i < size; i += 4) {
		int pad = i + 4 == size ? (text[i + 3] == '=') + (text[i + 3] == '=' && text[i + 2] == '=') : 0;
		int bits = 0;

		for (int k = 0; k < 4; k++) {
			int d = k >= 4 - pad ? 0 : digit((unsigned char)text[i + (size_t)k]);

			if (d < 0)
				goto bad;
			bits = bits << 6 | d;
		}
		if ((pad == 1 && (bits & 0xFF)) || (pad == 2 && (bits & 0xFFFF)))
			goto bad;
		for (int k = 0; k < 3 - pad; k++)
			out[used++] = (char)(bits >> (16 - 8 * k));
	}
	*ret_size = used;
	return out;
bad:
	free(out);
	return NULL;
}

static int copy_value(struct json_object *value, struct json_object **ret, char *error, size_t error_size);

static int copy_member(struct json_object *from, struct json_object *to, const char *key, struct json_object *value,
		       char *error, size_t error_size)
{
	size_t n = strlen(key), suffix = strlen(SUFFIX), size;
	struct json_object *copy = NULL;
	char *name, *bytes;
	int r;

	if (n <= suffix || strcmp(key + n - suffix, SUFFIX) != 0) {
		r = copy_value(value, &copy, error, error_size);
		return r < 0 ? r : json_object_object_add(to, key, copy) < 0 ? -ENOMEM : 0;
	}
	name = strndup(key, n - suffix);
	if (!name)
		return -ENOMEM;
	bytes = json_object_is_type(value, json_type_string) ?
		decode(json_object_get_string(value), (size_t)json_object_get_string_len(value), &size) : NULL;
	r = -EBADMSG;
	if (!bytes) {
		snprintf(error, error_size, "%.100s: not base64", key);
	} else if (json_object_object_get_ex(from, name, NULL)) {
		snprintf(error, error_size, "%.100s: there is a key %.100s too", key, name);
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

int template_decode_view(struct json_object *document, struct json_object **ret, char *error, size_t error_size)
{
	snprintf(error, error_size, "out of memory");
	return copy_value(document, ret, error, error_size);
}
