/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements envfile.h. A line is empty, a comment from its first character, or KEY=VALUE. A value is the rest of the
 * line as it stands; in double quotes \" and \\ are " and \, and in single quotes nothing is special. There is no
 * `export`, no expansion and no continuation, unlike in a shell.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "envfile.h"
#include "init/lib/words.h"

#define NAME_MAX_BYTES 255

static bool is_name(const char *name, size_t size)
{
	static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

	return size > 0 && size <= NAME_MAX_BYTES && (name[0] < '0' || name[0] > '9') &&
		strspn(name, characters) >= size;
}

/* Removes the quotes, in place. NULL, or the error. */
static const char *unquote(char *value)
{
	char quote = value[0], *to = value;
	const char *from = value + 1;

	for (; *from && *from != quote; from++) {
		if (quote == '"' && *from == '\\') {
			if (from[1] != '"' && from[1] != '\\')
				return "backslash in double quotes not followed by \\ or \"";
			from++;
		}
		*to++ = *from;
	}
	if (!*from)
		return "closing quote is missing";
	if (from[1])
		return "text after the closing quote";
	*to = '\0';
	return NULL;
}

/* The error in the value of a line, or NULL. */
static const char *read_value(char *value)
{
	size_t n = strlen(value);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)value[i] < 0x20 && value[i] != '\t')
			return "control character in the value";
	if (value[0] == '"' || value[0] == '\'')
		return unquote(value);
	if (n && (strchr(" \t", value[0]) || strchr(" \t", value[n - 1])))
		return "value begins or ends with a blank: quote it";
	return NULL;
}

const char *envfile_find(const struct envfile *envfile, const char *name)
{
	for (size_t i = 0; i < envfile->n; i++)
		if (!strcmp(envfile->variables[i].name, name))
			return envfile->variables[i].value;
	return NULL;
}

/* The error in the line, or NULL. */
static const char *take_line(char *line, struct envfile *ret)
{
	char *equals = strchr(line, '=');
	const char *wrong;

	if (!*line || *line == '#')
		return NULL;
	if (!equals || !is_name(line, (size_t)(equals - line)))
		return "not a KEY=VALUE line";
	*equals = '\0';
	if (envfile_find(ret, line))
		return "duplicate key";
	if (ret->n == ENVFILE_VARIABLES_MAX)
		return "more than 512 variables";
	wrong = read_value(equals + 1);
	if (wrong)
		return wrong;
	ret->variables[ret->n].name = line;
	ret->variables[ret->n++].value = equals + 1;
	return NULL;
}

int envfile_parse(char *text, size_t size, struct envfile *ret, char *reason, size_t reason_size)
{
	unsigned number = 1;

	ret->n = 0;
	text[size] = '\0';
	for (char *line = text; line < text + size; number++) {
		size_t n = strcspn(line, "\n");
		const char *wrong = line[n] || line + n == text + size ? NULL : "NUL byte";

		line[n] = '\0';
		if (!wrong)
			wrong = take_line(line, ret);
		if (wrong) {
			snprintf(reason, reason_size, ":%u: %s", number, wrong);
			return -EINVAL;
		}
		line += n + 1;
	}
	return 0;
}

int envfile_read(const char *path, char **ret_text, struct envfile *ret, char *reason, size_t reason_size)
{
	const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
				     .resolve = RESOLVE_NO_SYMLINKS};
	_cleanup_(cleanup_close) int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	_cleanup_(cleanup_free) char *text = malloc(ENVFILE_SIZE_MAX + 2);
	size_t size = 0;
	struct stat st;
	ssize_t n = 1;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		snprintf(reason, reason_size, ": %s", errno == ELOOP ? "symbolic link in the path"
								     : error_words(errno));
		return -EINVAL;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(reason, reason_size, ": is not a regular file");
		return -EINVAL;
	}
	while (text && n > 0 && size <= ENVFILE_SIZE_MAX) {
		n = read(fd, text + size, ENVFILE_SIZE_MAX + 1 - size);
		size += n > 0 ? (size_t)n : 0;
	}
	if (!text || n < 0 || size > ENVFILE_SIZE_MAX) {
		snprintf(reason, reason_size, ": %s", !text ? error_words(ENOMEM) : n < 0 ? error_words(errno)
								       : "is larger than 64 KiB");
		return -EINVAL;
	}
	r = envfile_parse(text, size, ret, reason, reason_size);
	if (r < 0)
		return r;
	*ret_text = text;
	text = NULL;
	return 0;
}
