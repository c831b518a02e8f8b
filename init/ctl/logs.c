/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gantryctl logs: the output of a service, from its log files in the directory that boot.json names. PID 1 reads no
 * files, so it is not asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "init/config/load.h"
#include "init/lib/config.h"
#include "init/lib/words.h"
#include "init/show/logback.h"
#include "logs.h"

#define CONFIG_PATH "/etc/gantry/boot.json"
#define LINES       20

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "gantryctl: logs: %s: %s\n", what, why);
	return 1;
}

/* Waits for a change in the directory. */
static int wait_for_change(int watch)
{
	_Alignas(struct inotify_event) char events[4096];

	return read(watch, events, sizeof(events)) < 0 && errno != EINTR ? -errno : 0;
}

/* Copies the file from `at` to its end and waits for more; after a rotation continues with the new file. */
static int follow(int directory, const char *path, const char *name, int fd, off_t at)
{
	_cleanup_(cleanup_close) int watch = inotify_init1(IN_CLOEXEC), current = fd;
	char file[300];
	int r = watch < 0 || inotify_add_watch(watch, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0 ? -errno : 0;

	snprintf(file, sizeof(file), "%s.log", name);
	while (r == 0) {
		struct stat now, newest;
		bool rotated = fstatat(directory, file, &newest, AT_SYMLINK_NOFOLLOW) == 0 &&
			       fstat(current, &now) == 0 && newest.st_ino != now.st_ino;

		if (fstat(current, &now) == 0)
			r = logback_copy(current, &at, now.st_size, stdout);
		if (fflush(stdout) == EOF)
			return -EPIPE;
		if (rotated) {
			int next = openat(directory, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

			if (next >= 0) {
				close(current);
				current = next;
				at = 0;
				continue;
			}
		}
		if (r == 0)
			r = wait_for_change(watch);
	}
	return r;
}

static int show(const char *path, const char *name, uint64_t lines, bool on)
{
	_cleanup_(cleanup_close) int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct logback log;
	int r = directory < 0 ? -errno : logback_open(&log, directory, name);

	if (r == -ENOENT)
		return complain(name, "there is no log yet; its last lines are in `gantryctl status --json`");
	if (r < 0)
		return complain(path, error_words(-r));
	r = logback_write(&log, lines, stdout);
	if (r == 0 && on)
		r = follow(directory, path, name, dup(log.files[0].fd), log.files[0].size);
	logback_close(&log);
	return r < 0 && r != -EPIPE ? complain(name, error_words(-r)) : r < 0;
}

static bool is_service(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_nodes; i++)
		if (config->nodes[i].kind == NODE_SERVICE && strcmp(config->nodes[i].name, name) == 0)
			return true;
	return false;
}

static int usage(void)
{
	fprintf(stderr, "usage: gantryctl logs NAME [-n LINES] [-f]\n");
	return 2;
}

int ctl_logs(int argc, char **argv)
{
	const char *name = NULL, *path = getenv("GANTRY_CONFIG");
	struct config *config = NULL;
	char error[512], *end;
	long lines = LINES;
	bool on = false;
	int r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-f") == 0) {
			on = true;
		} else if (strcmp(argv[i], "-n") == 0 && i + 1 < argc) {
			lines = strtol(argv[++i], &end, 10);
			if (*end || lines < 1 || lines > LOGBACK_LINES_MAX)
				return usage();
		} else if (!name && argv[i][0] != '-') {
			name = argv[i];
		} else {
			return usage();
		}
	}
	if (!name)
		return usage();
	if (config_load(path ? path : CONFIG_PATH, &config, error, sizeof(error)) < 0) {
		fprintf(stderr, "gantryctl: logs: %s\n", error);
		return 1;
	}
	r = !is_service(config, name) ? complain(name, "no such service") :
	    !config->logs ? complain(name, "boot.json has no \"logs\": see `gantryctl events`") :
	    show(config->logs_directory, name, (uint64_t)lines, on);
	config_free(config);
	return r;
}
