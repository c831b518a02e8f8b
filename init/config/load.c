/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads boot.json in steps, each of which relies on the one before: the scan (strict JSON, and the position of each
 * value), the parse, the check against the tables of keys, the structs, and the plan (names, needs, circles,
 * artifacts). It runs before PID 1's loop starts, and otherwise only in gantryctl.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "build.h"
#include "image.h"
#include "init/lib/words.h"
#include "keys.h"
#include "load.h"
#include "plan.h"
#include "shutdown.h"
#include "sockets.h"
#include "warn.h"
#include "writable.h"

void config_free(struct config *config)
{
	if (!config)
		return;
	pool_free(&config->pool);
	free(config->nodes);
	free(config);
}

/* The place of a value of the scan, for errors of the scan itself, before objects exist. */
static void scan_place(const struct jsonpos *pos, uint32_t value, char *text, size_t size)
{
	const struct jsonpos_value *at = &pos->values[value];
	size_t n;

	text[0] = '\0';
	if (!value)
		return;
	scan_place(pos, at->parent, text, size);
	n = strlen(text);
	if (at->key_size == UINT32_MAX)
		snprintf(text + n, size - n, "[%u]", at->index);
	else
		snprintf(text + n, size - n, "%s%.*s", n ? "." : "", (int)(at->key_size > 64 ? 64 : at->key_size),
			 pos->text + at->key);
}

static int scan_failed(const char *name, const struct jsonpos *pos, char *error, size_t error_size)
{
	char place[256] = "";

	if (pos->n_values)
		scan_place(pos, pos->error_value, place, sizeof(place));
	snprintf(error, error_size, "%s:%u: %s: %s", name, pos->error_line, place[0] ? place : "top level",
		 pos->error);
	return -EINVAL;
}

static int parse(struct check *check, const char *text, size_t size, struct config *config)
{
	static const struct place top;
	struct json_tokener *tokener = json_tokener_new_ex(JSONPOS_DEPTH_MAX + 1);
	int r, of_image = 0;

	if (!tokener)
		return -ENOMEM;
	/* The scan was stricter than JSON_TOKENER_STRICT, which in json-c 0.18 refuses every byte beyond ASCII. */
	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
	check->root = json_tokener_parse_ex(tokener, text, (int)size + 1);	/* with its NUL */
	if (json_tokener_get_error(tokener) != json_tokener_success)
		r = check_fail(check, &top, "%s", json_tokener_error_desc(json_tokener_get_error(tokener)));
	else if (!json_object_is_type(check->root, json_type_object))
		r = check_fail(check, &top, "must be an object");
	else
		r = check_object(check, &top, check->root, &config_keys);
	if (r == 0)
		r = build_config(config, check->root);
	if (r == 0)
		r = config_plan(check, config);
	if (r == 0)
		r = config_sockets(check);
	if (r == 0)
		r = config_writable(check, config);
	if (r == 0 && check->image_fd >= 0)
		of_image = check_image(check, config);
	if (r == 0 && of_image == 0)
		r = config_shutdown(check, config);
	if (r == 0)
		config_warn(check, config);
	if (r == 0)
		r = of_image;
	json_object_put(check->root);
	json_tokener_free(tokener);
	return r;
}

static int parse_for(int image_fd, FILE *warnings, const char *name, const char *text, size_t size,
		     struct config **ret, char *error, size_t error_size)
{
	struct config *config = calloc(1, sizeof(*config));
	char *copy = malloc(size + 1);
	struct jsonpos pos = {0};
	struct check check = {.file = name, .pos = &pos, .image_fd = image_fd, .error = error,
			      .error_size = error_size, .warnings = warnings};
	int r = -ENOMEM;

	if (error_size)
		error[0] = '\0';
	if (config && copy) {
		memcpy(copy, text, size);
		copy[size] = '\0';
		r = jsonpos_scan(&pos, copy, size);
		if (r == -EINVAL)
			scan_failed(name, &pos, error, error_size);
		else if (r == 0)
			r = parse(&check, copy, size, config);
	}
	if (r < 0 && error_size && !error[0])
		snprintf(error, error_size, "%s: %s", name, error_words(-r));
	if (r == 0)
		*ret = config;
	else
		config_free(config);
	jsonpos_deinit(&pos);
	free(copy);
	return r;
}

int config_parse(const char *name, const char *text, size_t size, struct config **ret, char *error, size_t error_size)
{
	return parse_for(-1, NULL, name, text, size, ret, error, error_size);
}

/* The whole file in *ret, to be freed; its size, -EFBIG, or the errno of open or read. */
static ssize_t read_file(const char *path, char **ret)
{
	size_t size = 0;
	char *text = malloc(CONFIG_SIZE_MAX + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n = fd < 0 ? -errno : text ? 0 : -ENOMEM;

	while (n == 0 && size <= CONFIG_SIZE_MAX) {
		ssize_t got = read(fd, text + size, CONFIG_SIZE_MAX + 1 - size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			n = -errno;
		if (got <= 0)
			break;
		size += (size_t)got;
	}
	if (fd >= 0)
		close(fd);
	if (n == 0 && size > CONFIG_SIZE_MAX)
		n = -EFBIG;
	if (n < 0) {
		free(text);
		return n;
	}
	*ret = text;
	return (ssize_t)size;
}

int config_load_for(int image_fd, const char *path, FILE *warnings, struct config **ret, char *error,
		    size_t error_size)
{
	char *text = NULL;
	ssize_t size = read_file(path, &text);
	int r;

	if (size < 0) {
		if (size == -EFBIG)
			snprintf(error, error_size, "%s: larger than %u bytes", path, CONFIG_SIZE_MAX);
		else
			snprintf(error, error_size, "%s: %s", path, error_words((int)-size));
		return (int)size;
	}
	r = parse_for(image_fd, warnings, path, text, (size_t)size, ret, error, error_size);
	free(text);
	return r;
}

int config_load(const char *path, struct config **ret, char *error, size_t error_size)
{
	return config_load_for(-1, path, NULL, ret, error, error_size);
}
