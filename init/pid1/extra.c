/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements extra.h. Folders count for nothing: a file has to be in them. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "extra.h"
#include "init/config/check.h"
#include "init/lib/config.h"
#include "init/lib/words.h"

#define DEPTH_MAX 8

static int not_allowed(const char *path, char *reason, size_t size)
{
	char quoted[CHECK_QUOTED_MAX];		/* printable, and cut: the name is the host's */

	snprintf(reason, size, "%s is not of this image: the host added it, and hardening.extra does not allow it",
		 check_quote(quoted, path));
	return -EPERM;
}

static int look(const struct config *config, const char *folder, int depth, char *reason, size_t size)
{
	DIR *names = opendir(folder);
	int r = 0;

	if (!names && errno == ENOENT)
		return 0;
	if (!names) {
		snprintf(reason, size, "%s cannot be read: %s", folder, error_words(errno));
		return -EPERM;
	}
	for (const struct dirent *entry; r == 0 && (entry = readdir(names));) {
		char path[PATH_MAX];
		struct stat st;
		bool allowed = false;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		for (size_t i = 0; i < config->n_extra; i++)
			allowed |= !strcmp(config->extra[i], path);
		if (depth < DEPTH_MAX && lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
			r = look(config, path, depth + 1, reason, size);
		else if (!allowed)
			r = not_allowed(path, reason, size);
	}
	closedir(names);
	return r;
}

int extra_check(const struct config *config, char *reason, size_t size)
{
	/* Most machines have none: then not even the stack for a path is touched, which PID 1 would keep. */
	return access("/.extra", F_OK) < 0 && errno == ENOENT ? 0 : look(config, "/.extra", 0, reason, size);
}
