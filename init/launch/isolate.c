/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements isolate.h. Devices are bind mounts on a small tmpfs with `nodev`, so that a device that the service makes
 * there is none. What is kept is cloned first, since the mounts made here hide it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/control.h>

#include "init/lib/landlock.h"
#include "init/lib/words.h"
#include "isolate.h"
#include "sandbox.h"

#define KEPT_MAX 80

/* What any program may use. */
static const char *const devices[] = {
	"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/pts", "/dev/log",
};

/* Files of others, too. */
static const char *const shared[] = {"/dev/shm", "/dev/mqueue", "/dev/hugepages"};

static const char *const links[][2] = {
	{"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"},
	{"/proc/self/fd/2", "/dev/stderr"}, {"pts/ptmx", "/dev/ptmx"},
};

/* The kernel's own files, and in /proc those of all processes of this user, such as oom_score_adj. */
static const char *const settings[] = {"/sys", "/proc"};

static struct kept {
	const char *path;
	int tree;
} kept[KEPT_MAX];
static size_t n_kept;
static bool kept_control;

static int keep_one(const char *path, unsigned how)
{
	int tree = sandbox_clone(path, how);

	if (tree == -ENOENT || tree == -ENOTDIR || tree == -ENXIO)
		return 0;
	if (tree < 0)
		return tree;
	if (n_kept == KEPT_MAX)
		return -E2BIG;
	kept[n_kept++] = (struct kept){path, tree};
	return 0;
}

/* In the new /dev, the place to mount it at; elsewhere it is there. */
static int make_place(const struct kept *one)
{
	char part[PATH_MAX];
	struct stat st;
	int fd;

	if (strncmp(one->path, "/dev/", 5))
		return 0;
	if (fstat(one->tree, &st) < 0)
		return -errno;
	snprintf(part, sizeof(part), "%s", one->path);
	for (char *at = strchr(part + 5, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	if (S_ISDIR(st.st_mode))
		return mkdir(part, 0755) < 0 && errno != EEXIST ? -errno : 0;
	fd = open(part, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/*
 * A folder of the machine's devices is kept read-only: their nodes can be written to, and none can be made or removed.
 * Another file system below /dev is as it is mounted.
 */
static unsigned kept_how(const char *path)
{
	struct stat dev, st;

	return !strncmp(path, "/dev/", 5) && stat("/dev", &dev) == 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_dev == dev.st_dev ? SANDBOX_READ_ONLY : 0;
}

static int put_back(const struct kept *one)
{
	int r = make_place(one);

	if (r == 0)
		r = sandbox_place(one->tree, one->path);
	close(one->tree);
	return r;
}

static int new_dev(void)
{
	if (mount("dev", "/dev", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=1m,nr_inodes=1k") < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) < 0)
			return -errno;
	return 0;
}

/* Sockets in it can be connected to, but for the one whose peer PID 1 takes for the operator if it is uid 0. */
static int close_sockets(bool control)
{
	int r = sandbox_read_only("/run/gantry");

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (control || access(CONTROL_PATH, F_OK) < 0)
		return 0;
	return mount("/dev/null", CONTROL_PATH, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

static int failed(const char *path, int r, char *reason, size_t size)
{
	snprintf(reason, size, "taking the machine away from a root without SYS_ADMIN: %s: %s", path, error_words(-r));
	return r;
}

/* The default devices, and what boot.json names. */
int isolate_keep(struct json_object *keep, bool net, bool own_root, char *reason, size_t size)
{
	size_t n = keep ? json_object_array_length(keep) : 0;
	const char *path = "/proc/sys/net";
	int r = net ? keep_one(path, 0) : 0;

	for (size_t i = 0; r == 0 && i < sizeof(devices) / sizeof(devices[0]); i++)
		r = own_root && !strcmp(devices[i], "/dev/pts") ? 0 : keep_one(path = devices[i], 0);
	for (size_t i = 0; r == 0 && !own_root && i < sizeof(shared) / sizeof(shared[0]); i++)
		r = keep_one(path = shared[i], 0);
	for (size_t i = 0; r == 0 && i < n; i++) {
		path = json_object_get_string(json_object_array_get_idx(keep, i));
		if (!strcmp(path, CONTROL_PATH))
			kept_control = true;
		else
			r = keep_one(path, kept_how(path));
	}
	return r < 0 ? failed(path, r, reason, size) : 0;
}

/* What is of all processes elsewhere: its files in memory, and its terminals. */
static int own_places(void)
{
	if (mkdir("/dev/shm", 0755) < 0 ||
	    mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777") < 0)
		return -errno;
	return mkdir("/dev/pts", 0755) < 0 || mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
						    "newinstance,mode=0620,ptmxmode=0666") < 0 ? -errno : 0;
}

int isolate_mounts(bool own_root, char *reason, size_t size)
{
	int r = new_dev();

	if (r == 0 && own_root)
		r = own_places();
	if (r < 0)
		return failed("/dev", r, reason, size);
	for (size_t i = 0; !own_root && i < sizeof(settings) / sizeof(settings[0]); i++) {
		r = sandbox_read_only(settings[i]);
		if (r < 0 && r != -ENOENT)
			return failed(settings[i], r, reason, size);
	}
	for (size_t i = 0; i < n_kept; i++) {
		r = put_back(&kept[i]);
		if (r < 0)
			return failed(kept[i].path, r, reason, size);
	}
	r = own_root ? 0 : close_sockets(kept_control);
	return r < 0 ? failed("/run/gantry", r, reason, size) : 0;
}

int isolate_processes(bool own_root)
{
	return landlock_scope(own_root);
}
