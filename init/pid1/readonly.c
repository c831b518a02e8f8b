/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements readonly.h. The mount becomes read-only and not the file system, so that a folder mounted over itself
 * stays writable, with its content and without a size of its own.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "init/config/hardening.h"
#include "init/lib/config.h"
#include "init/lib/words.h"
#include "readonly.h"

/* Of a service's `private_tmp`. */
#define VAR_TMP "/var/tmp"

static int make_folder(const char *path)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *at = strchr(part + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	return mkdir(part, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* What is on another file system, and a file, is left as it is. */
static int keep_writable(const char *path, dev_t root)
{
	struct stat st;
	int r = make_folder(path);

	if (r < 0)
		return r;
	if (stat(path, &st) < 0)
		return -errno;
	if (st.st_dev != root || !S_ISDIR(st.st_mode))
		return 0;
	return mount(path, path, NULL, MS_BIND, NULL) < 0 ||
	       mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL) < 0 ? -errno : 0;
}

static int close_root(void)
{
	struct statvfs now;

	if (statvfs("/", &now) < 0)
		return -errno;
	/* The same numbers for statvfs(3) and mount(2). */
	now.f_flag &= ST_NOSUID | ST_NODEV | ST_NOEXEC;
	return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | now.f_flag, NULL) < 0 ? -errno : 0;
}

static int failed(const char *path, int r, char *reason, size_t size)
{
	snprintf(reason, size, "making the root file system read-only failed: %s: %s", path, error_words(-r));
	return r;
}

int readonly_root(const struct config *config, bool own_machine, char *reason, size_t size)
{
	struct stat root;
	int r;

	if (hardening_kept(config, HARDENING_ROOT) || (!own_machine && !config->root_given))
		return 0;
	if (stat("/", &root) < 0)
		return failed("/", -errno, reason, size);
	for (size_t i = 0; i < config->n_mounts; i++) {
		r = make_folder(config->mounts[i]);
		if (r < 0)
			return failed(config->mounts[i], r, reason, size);
	}
	(void)make_folder(VAR_TMP);
	for (size_t i = 0; i < config->n_writable; i++) {
		r = keep_writable(config->writable[i], root.st_dev);
		if (r < 0)
			return failed(config->writable[i], r, reason, size);
	}
	r = close_root();
	return r < 0 ? failed("/", r, reason, size) : 0;
}
