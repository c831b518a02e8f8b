/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements options.h. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/stage.h>

#include "options.h"

int options_text(size_t max, char **ret, size_t *ret_size)
{
	_cleanup_(cleanup_free) char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(OPTIONS_FD, &st) < 0)
		return -errno;
	if (st.st_size <= 0)
		return -ENODATA;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = pread(OPTIONS_FD, text, (size_t)st.st_size, 0);
	if (n != st.st_size)
		return n < 0 ? -errno : -EIO;
	close(OPTIONS_FD);
	if (ret_size)
		*ret_size = (size_t)n;
	*ret = text;
	text = NULL;
	return 0;
}

int options_json(size_t max, struct json_object **ret)
{
	_cleanup_(cleanup_free) char *text = NULL;
	int r = options_text(max, &text, NULL);

	if (r < 0)
		return r;
	*ret = json_tokener_parse(text);
	return *ret ? 0 : -EBADMSG;
}

static int fill_members(struct json_object *array, const struct stage_option *members)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_object_array_length(array); i++)
		r = options_fill(json_object_array_get_idx(array, i), members);
	return r;
}

static int fill_one(struct json_object *options, const struct stage_option *option)
{
	struct json_object *value = option->type == OPTION_STRING ? json_object_new_string(option->fallback) :
				    json_tokener_parse(option->fallback);

	if (value && json_object_object_add(options, option->name, value) == 0)
		return 0;
	json_object_put(value);
	return -ENOMEM;
}

int options_fill(struct json_object *options, const struct stage_option *table)
{
	int r = 0;

	for (const struct stage_option *option = table; r == 0 && option && option->name; option++) {
		struct json_object *value;

		if (!json_object_object_get_ex(options, option->name, &value))
			r = option->fallback ? fill_one(options, option) : 0;
		else if (option->type == OPTION_OBJECTS && json_object_is_type(value, json_type_array))
			r = fill_members(value, option->members);
	}
	return r;
}
