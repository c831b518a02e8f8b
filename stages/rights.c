/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements rights.h. The order matters: places are opened while everything can be opened, the bounding set shrinks
 * while there is CAP_SETPCAP, the user changes before the last capabilities go, and the filter comes last, because it
 * refuses all of these steps.
 */
#define _GNU_SOURCE
#include "rights.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "init/lib/account.h"
#include "init/lib/landlock.h"
#include "init/lib/privilege.h"
#include "init/lib/rootview.h"
#include "init/lib/walk.h"
#include "stages/lib/options.h"
#include "syscalls.h"

#define PASSWD     "/etc/passwd"
#define PLACES_MAX 640		/* as many as an option may have objects, and the folders of their links */
#define GROUPS_MAX 4

#define READS  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITES (READS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | \
		LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
		LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE)

/* What every stage that fetches needs for names. */
static const struct stage_path of_names[] = {
	{.path = "/etc/resolv.conf", .folder = true},
	{.path = "/etc/hosts"},
	{0},
};

struct places {
	struct landlock_place list[PLACES_MAX];
	size_t n;
	gid_t groups[GROUPS_MAX];
	size_t n_groups;
	struct rootview *view;		/* NULL: none */
	int error;
};

static void close_places(struct places *places)
{
	for (size_t i = 0; i < places->n; i++)
		close(places->list[i].fd);
}

static void take_group(struct places *places, int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_gid != 0 && places->n_groups < GROUPS_MAX)
		places->groups[places->n_groups++] = st.st_gid;
}

/* What is missing, or behind a link of another's, gives nothing: its own use reports it. */
static void take_place(struct places *places, const struct stage_path *how, int fd)
{
	struct stat st;

	if (fd < 0) {
		if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP && fd != -EINVAL)
			places->error = fd;
		return;
	}
	if (places->n == PLACES_MAX || fstat(fd, &st) < 0) {
		places->error = -E2BIG;
		close(fd);
		return;
	}
	if (how->group)
		take_group(places, fd);
	places->list[places->n++] = (struct landlock_place){fd, how->access == STAGE_READS ? READS :
		S_ISDIR(st.st_mode) ? WRITES : WRITES | LANDLOCK_ACCESS_FS_IOCTL_DEV};
}

static void open_place(struct places *places, const struct stage_path *how, const char *path)
{
	int fd = how->access == STAGE_WRITES ? walk_open(path) : open(path, O_PATH | O_CLOEXEC);

	take_place(places, how, fd < 0 && how->access != STAGE_WRITES ? -errno : fd);
}

/* Its folder, since the file may come later and is replaced by rename. */
static void open_folder(struct places *places, const struct stage_path *how, const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX] = ".";

	if (slash)
		snprintf(folder, sizeof(folder), "%.*s", slash > path ? (int)(slash - path) : 1, path);
	open_place(places, how, folder);
}

static void open_path(struct places *places, const struct stage_path *how, const char *path)
{
	char target[PATH_MAX], joined[2 * PATH_MAX];
	const char *slash = strrchr(path, '/'), *name;
	int r = how->access == STAGE_WRITES && places->view ? rootview_take(places->view, path) : 0;
	ssize_t n;

	if (r < 0) {
		places->error = r;
		return;
	}
	if (!how->folder) {
		open_place(places, how, path);
		return;
	}
	/* What is written replaces a link. */
	if (how->access == STAGE_WRITES) {
		take_place(places, how, walk_parent(path, WALK_ROOTS_LINKS, 0, &name));
		return;
	}
	open_folder(places, how, path);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return;
	target[n] = '\0';
	snprintf(joined, sizeof(joined), "%.*s/%s", target[0] == '/' || !slash ? 0 : (int)(slash - path), path, target);
	open_folder(places, how, joined);
}

/* "files.path": the member `path` of each object in the list `files`. */
static void open_members(struct places *places, const struct stage_path *how, struct json_object *options)
{
	const char *dot = strchr(how->option, '.');
	char list_name[64];
	struct json_object *list;

	snprintf(list_name, sizeof(list_name), "%.*s", (int)(dot - how->option), how->option);
	if (!json_object_object_get_ex(options, list_name, &list) || !json_object_is_type(list, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *path = option_string_of(json_object_array_get_idx(list, i), dot + 1);

		if (path && path[0] == '/')
			open_path(places, how, path);
	}
}

/* An option that is no path, such as an address, names no place. */
static void open_places(struct places *places, const struct stage_path *how, struct json_object *options)
{
	for (; how && (how->path || how->option); how++) {
		const char *path = how->path;

		if (how->option && strchr(how->option, '.')) {
			open_members(places, how, options);
			continue;
		}
		if (how->option)
			path = option_string_of(options, how->option);
		if (path && path[0] == '/')
			open_path(places, how, path);
	}
}

static int restrict_files(const struct stage *stage, struct places *places)
{
	const struct landlock with = {
		.places = places->list,
		.n_places = places->n,
		.tcp = stage->calls & STAGE_CALLS_FETCH ? LANDLOCK_CONNECTS : LANDLOCK_NO_TCP,
		.scoped = true,
	};

	if (!landlock_version())
		return -ENOSYS;
	return landlock_restrict(&with);
}

/*
 * With CAP_SETPCAP the bounding set shrinks, too; without it there is nothing to bound, because nothing can be gained
 * back under no_new_privs.
 */
static int bound(const struct stage *stage)
{
	uint64_t permitted, effective;
	int r = capabilities_get(&permitted, &effective);

	if (r == 0 && effective & UINT64_C(1) << CAP_SETPCAP)
		r = capabilities_bound(stage->capabilities);
	return r;
}

static int become(uid_t uid, gid_t gid, const struct places *places)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return -errno;
	return privilege_user(uid, gid, places->groups, places->n_groups);
}

static int keep(const struct stage *stage)
{
	uint64_t permitted, effective;
	int r = capabilities_get(&permitted, &effective);

	return r < 0 ? r : capabilities_keep(permitted & stage->capabilities, false);
}

static int set_limit(int resource, rlim_t value)
{
	struct rlimit limit = {.rlim_cur = value, .rlim_max = value};

	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

/* A stage that holds an artifact locks its whole memory: a parser's copies of a secret lie anywhere on the heap. */
static int guard_memory(const struct stage *stage)
{
	int r = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : set_limit(RLIMIT_CORE, 0);

	if (r < 0)
		return r;
	if (((stage->takes && stage->takes[0]) || (stage->gives && stage->gives[0])) &&
	    set_limit(RLIMIT_MEMLOCK, RLIM_INFINITY) == 0)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	return 0;
}

static int restrict_all(const struct stage *stage, struct places *places, char *what, size_t size)
{
	uid_t uid = 0;
	gid_t gid = 0;
	int r = 0;

	if (stage->user && geteuid() == 0) {
		snprintf(what, size, "looking up user %s in " PASSWD, stage->user);
		r = account_user(PASSWD, stage->user, &uid, &gid);
		if (r == 0 && (uid == 0 || gid == 0))
			r = -EPERM;
	}
	if (r == 0) {
		snprintf(what, size, "dropping capabilities");
		r = bound(stage);
	}
	if (r == 0 && !stage->execs) {
		snprintf(what, size, "no_new_privs");
		r = privilege_no_new();
	}
	if (r == 0 && !stage->unbounded) {
		snprintf(what, size, "opening the paths of its options");
		r = places->error;
	}
	if (r == 0 && !stage->unbounded) {
		snprintf(what, size, "restricting files with landlock");
		r = restrict_files(stage, places);
	}
	if (r == 0 && uid) {
		snprintf(what, size, "changing to user %s", stage->user);
		r = become(uid, gid, places);
	}
	if (r == 0) {
		snprintf(what, size, "keeping capabilities");
		r = keep(stage);
	}
	/* A change of user has set it to the machine's default. */
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0) {
		snprintf(what, size, "installing the system call filter");
		r = syscalls_restrict(stage->calls);
	}
	return r;
}

int rights_restrict(const struct stage *stage, struct json_object *options, char *ret_what, size_t size)
{
	static struct places places;
	struct rootview view = ROOTVIEW_NONE;
	int r = guard_memory(stage);

	snprintf(ret_what, size, "forbidding core dumps");
	if (r < 0)
		return r;
	places.view = stage->writes_root ? &view : NULL;
	open_places(&places, stage->paths, options);
	rootview_stay(&view);
	if (stage->calls & STAGE_CALLS_FETCH)
		open_places(&places, of_names, options);
	r = restrict_all(stage, &places, ret_what, size);
	close_places(&places);
	return r;
}
