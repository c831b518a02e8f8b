/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements rootview.h. What is read-only is the mount and not the file system, so that a namespace of its own can
 * change it. Nothing that is mounted later elsewhere appears there, so it is for short work.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "rootview.h"
#include "walk.h"

/* The same numbers for statvfs(3) and mount(2). */
#define KEPT (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* Is the nearest folder to the path that exists on the root file system, where that is read-only? */
static bool is_closed(const char *path)
{
	_cleanup_(cleanup_close) int nearest = -1;
	struct stat root, here;
	struct statvfs mount;

	if (path[0] != '/' || statvfs("/", &mount) < 0 || !(mount.f_flag & ST_RDONLY) || stat("/", &root) < 0)
		return false;
	nearest = walk_nearest(path);
	return nearest >= 0 && fstat(nearest, &here) == 0 && here.st_dev == root.st_dev &&
	       fstatvfs(nearest, &mount) == 0 && mount.f_flag & ST_RDONLY;
}

int rootview_take(struct rootview *view, const char *path)
{
	_cleanup_(cleanup_close) int namespace = -1, root = -1;
	struct statvfs mount_now;

	if (view->namespace >= 0 || !is_closed(path))
		return 0;
	namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (namespace < 0 || root < 0 || statvfs("/", &mount_now) < 0)
		return -errno;
	/* Slave: mounts made here stay here. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | (mount_now.f_flag & KEPT), NULL) < 0)
		return -errno;
	*view = (struct rootview){namespace, root};
	namespace = root = -1;
	return 0;
}

void rootview_stay(struct rootview *view)
{
	cleanup_close(&view->namespace);
	cleanup_close(&view->root);
	*view = (struct rootview)ROOTVIEW_NONE;
}

int rootview_leave(struct rootview *view)
{
	_cleanup_(cleanup_close) int namespace = view->namespace, root = view->root;

	if (namespace < 0)
		return 0;
	*view = (struct rootview)ROOTVIEW_NONE;
	/* It leads to the root of the namespace, which need not be this process's. */
	return setns(namespace, CLONE_NEWNS) < 0 || fchdir(root) < 0 || chroot(".") < 0 || chdir("/") < 0 ? -errno : 0;
}
