/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The child answers each path by a 32-bit length and that many bytes over a pipe; ~0 stands for "no such
 * string". A child that breaks on the document is an error here like any other.
 */
#define _GNU_SOURCE
#include "pick.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>

#include "init/lib/io.h"
#include "init/lib/privilege.h"
#include "stages/lib/file.h"

#define PATH_MAX_BYTES 256
#define DEPTH_MAX      32
#define PATIENCE_MS    20000
#define MISSING        UINT32_MAX

static struct json_object *follow(struct json_object *object, const char *path)
{
	char name[PATH_MAX_BYTES];

	while (object && *path) {
		size_t size = strcspn(path, ".");

		if (size >= sizeof(name))
			return NULL;
		memcpy(name, path, size);
		name[size] = '\0';
		if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, name, &object))
			return NULL;
		path += size + (path[size] == '.');
	}
	return object;
}

static void put(int fd, const void *bytes, size_t size)
{
	/* A pipe takes a few kilobytes at once, or we wait for the parent, which is reading. */
	if (io_write(fd, bytes, size) < 0)
		_exit(1);
}

static _Noreturn void child(int artifact, const char *const paths[], int out)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *root;
	struct secret text;

	if (capabilities_keep(0, false) < 0 || !tokener || secret_read(artifact, ARTIFACT_SIZE_MAX, &text) < 0)
		_exit(1);
	root = json_tokener_parse_ex(tokener, (const char *)text.bytes, (int)text.size + 1);
	if (json_tokener_get_error(tokener) != json_tokener_success)
		_exit(2);
	for (size_t i = 0; paths[i]; i++) {
		struct json_object *found = follow(root, paths[i]);
		uint32_t size = MISSING;

		if (found && json_object_is_type(found, json_type_string))
			size = (uint32_t)json_object_get_string_len(found);
		if (size != MISSING && (size > PICK_SIZE_MAX || strlen(json_object_get_string(found)) != size))
			size = MISSING;
		put(out, &size, sizeof(size));
		if (size != MISSING)
			put(out, json_object_get_string(found), size);
	}
	_exit(0);
}

static int get(int fd, void *bytes, size_t size)
{
	for (char *p = bytes; size;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&wait, 1, PATIENCE_MS) == 0)
			return -ETIMEDOUT;
		n = read(fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

static int collect(int fd, const char *const paths[], struct secret ret[], const char **ret_missing)
{
	struct secret picked[16] = { 0 };
	size_t count = 0;
	int r = 0;

	for (; paths[count] && !r; count++) {
		uint32_t size;

		if (count == sizeof(picked) / sizeof(*picked))
			r = -E2BIG;
		if (!r)
			r = get(fd, &size, sizeof(size));
		if (!r && size > PICK_SIZE_MAX) {
			*ret_missing = paths[count];
			r = -ENOENT;
		}
		if (!r)
			r = secret_new(size, &picked[count]);
		if (!r)
			r = get(fd, picked[count].bytes, size);
	}
	for (size_t i = 0; i < count && i < sizeof(picked) / sizeof(*picked); i++) {
		if (r)
			secret_wipe(&picked[i]);
		else
			ret[i] = picked[i];
	}
	return r;
}

int pick_strings(int fd, const char *const paths[], struct secret ret[], const char **ret_missing)
{
	int pipe_fds[2], r;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		child(fd, paths, pipe_fds[1]);
	r = pid < 0 ? -errno : 0;
	close(pipe_fds[1]);
	if (!r)
		r = collect(pipe_fds[0], paths, ret, ret_missing);
	close(pipe_fds[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return r;
}
