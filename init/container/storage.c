/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements storage.h. What is durable is in the storage itself, beside podman's own: `pulls/NAME` is there from
 * before a pull until all it wrote is on the disk, `aside/TIME` has storage that did not work. What is true for one
 * boot is below /run: `begun` (the first start has looked for pulls that did not end), `looked`, `aside` and
 * `starts/NAME`.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>
#include <gantry/stage.h>

#include "init/lib/member.h"
#include "init/lib/report.h"
#include "init/lib/words.h"
#include "listing.h"
#include "storage.h"

#define BOOT       CONTAINER_RUNTIME "/storage"
#define SECOND_NS  1000000000LL
#define SHORT_LIFE (60 * SECOND_NS)
#define LIVES      2		/* so many short ones in a row make the storage suspect */

/* All that podman and its storage library keep below their root, except volumes and the temporary files of a pull. */
static const char *const parts[] = {
	"cache", "db.sql", "db.sql-journal", "db.sql-shm", "db.sql-wal", "defaultNetworkBackend", "libpod", "mounts",
	"overlay", "overlay-containers", "overlay-images", "overlay-layers", "storage.lock", "userns.lock",
};

/* ---- paths ---------------------------------------------------------------------------------------------------- */

static const char *root(const struct podman *podman)
{
	return json_object_get_string(key_member(key_member(podman->service, "containers"), "storage"));
}

static const char *name(const struct podman *podman)
{
	return json_object_get_string(key_member(podman->service, "name"));
}

static void join(char *path, const char *folder, const char *entry)
{
	snprintf(path, PATH_MAX, "%.2000s/%.1000s", folder, entry);
}

static bool is_entry(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static bool has_entry(const char *path)
{
	_cleanup_(cleanup_closedir) DIR *folder = opendir(path);
	const struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (is_entry(entry))
			return true;
	return false;
}

static int sync_path(const char *path)
{
	_cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int sync_all(const char *path)
{
	_cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || syncfs(fd) < 0 ? -errno : 0;
}

/* ---- facts of this boot --------------------------------------------------------------------------------------- */

static bool is_told(const char *fact)
{
	return access(fact, F_OK) == 0;
}

static void tell(const char *fact, const char *text)
{
	_cleanup_(cleanup_close) int fd = open(fact, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		report_event(EVENT_WARNING, "%s: %s", fact, error_words(errno));
}

/* Of all launchers: exclusive for a look, shared for a pull. Closed by an exec. */
static int lock_fd = -1;
static int held = LOCK_UN;

static bool lock(int how)
{
	if (lock_fd < 0) {
		podman_directory(BOOT, 0700);
		lock_fd = open(BOOT "/lock", O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	}
	while (flock(lock_fd, how) < 0)
		if (errno != EINTR)
			return false;
	return true;
}

/* "LIVES WHEN" of the latest start: how many short lives were before it, and the time in ns. */
static void starts_path(const struct podman *podman, char *path)
{
	podman_directory(BOOT "/starts", 0700);
	join(path, BOOT "/starts", name(podman));
}

static unsigned short_lives(const struct podman *podman)
{
	_cleanup_(cleanup_fclose) FILE *file = NULL;
	char path[PATH_MAX];
	unsigned lives;
	long long at;

	starts_path(podman, path);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%u %lld", &lives, &at) != 2 || run_now_ns() - at >= SHORT_LIFE)
		return 0;
	return lives + 1;
}

bool storage_is_suspect(const struct podman *podman)
{
	return short_lives(podman) >= LIVES;
}

void storage_starts(const struct podman *podman)
{
	char path[PATH_MAX], text[64];

	snprintf(text, sizeof(text), "%u %lld", short_lives(podman), (long long)run_now_ns());
	starts_path(podman, path);
	tell(path, text);
}

/* ---- a look --------------------------------------------------------------------------------------------------- */

static struct {
	struct listing listing;
	char damage[RUN_LINE_MAX];	/* the first that podman named */
	unsigned removed;
	bool late;			/* podman was killed at a deadline: nothing follows from that */
} look;

static int ask(struct podman *podman, const struct podman_ask *what)
{
	int r = podman_ask(podman, what);

	look.late |= podman->late;
	return r;
}

static bool is_none(void *with, const char *name_)
{
	(void)with;
	(void)name_;
	return false;
}

static void list_line(void *with, const char *line)
{
	listing_container(&look.listing, line);
	podman_keep_error(with, line);
}

/* Whether podman can use its storage at all; its containers are in look.listing. */
static bool list_containers(struct podman *podman)
{
	const struct podman_ask list = {.what = CONTAINER_LIST, .line = list_line};

	look.listing = (struct listing){.is_named = is_none};
	return ask(podman, &list) == 0;
}

/*
 * What dead containers of other services have is in use for podman, and would be left as it is. Their own launchers do
 * the same.
 */
static void remove_dead(struct podman *podman)
{
	for (size_t i = 0; i < look.listing.n; i++) {
		const struct thing *thing = &look.listing.things[i];
		const struct podman_ask remove = {.what = CONTAINER_REMOVE_OTHER, .argument = thing->id};
		_cleanup_(cleanup_close) int fd = -1;

		if (strcmp(thing->name, name(podman)) != 0) {
			fd = podman_try_lock(thing->name);
			if (fd < 0)
				continue;
		}
		ask(podman, &remove);
	}
}

static void check_line(void *with, const char *line)
{
	const char *at = line + strspn(line, "\t ");

	if (!strncmp(at, "* ", 2) && !look.damage[0])
		snprintf(look.damage, sizeof(look.damage), "%s", at + 2);
	if (!strncmp(line, "Deleted ", 8)) {
		look.removed++;
		report_event(EVENT_WARNING, "podman's storage: %s (%.300s)", line, look.damage);
	}
	podman_keep_error(with, line);
}

static void repair(struct podman *podman, int64_t deadline_ns)
{
	struct podman_ask check = {.what = CONTAINER_CHECK, .deadline_ns = deadline_ns, .line = check_line};

	look.damage[0] = '\0';
	look.removed = 0;
	if (ask(podman, &check) == 0)
		return;
	if (look.damage[0]) {
		remove_dead(podman);
		check.what = CONTAINER_REPAIR;
		ask(podman, &check);
	}
	if (!look.removed)
		report_event(EVENT_WARNING, "podman's storage was not repaired: %.300s",
			     look.damage[0] ? look.damage : podman->last);
}

/* Whether a container of the image can be made; true: or there is no image. */
static bool can_make(struct podman *podman)
{
	const struct podman_ask exists = {.what = CONTAINER_INSPECT};
	const struct podman_ask create = {.what = CONTAINER_CREATE};
	const struct podman_ask mount = {.what = CONTAINER_MOUNT};
	char reason[RUN_LINE_MAX];
	bool good;

	if (ask(podman, &exists) != 0)
		return podman_lacks_image(podman);
	good = ask(podman, &create) == 0 && ask(podman, &mount) == 0;
	memcpy(reason, podman->last, sizeof(reason));
	(void)podman_remove(podman);
	memcpy(podman->last, reason, sizeof(reason));
	return good;
}

/* A file of its size is no proof of a disk that is full for an image. */
static int try_disk(const struct podman *podman)
{
	static const char block[65536];
	_cleanup_(cleanup_close) int fd = -1;
	char path[PATH_MAX];
	int r = 0;

	join(path, root(podman), ".gantry-try");
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block) || fsync(fd) < 0)
		r = errno ? -errno : -ENOSPC;
	unlink(path);
	return r;
}

/* ---- set aside ------------------------------------------------------------------------------------------------ */

static void move_parts(const char *from, const char *to)
{
	char old[PATH_MAX], new[PATH_MAX];

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		join(old, from, parts[i]);
		join(new, to, parts[i]);
		umount2(old, MNT_DETACH);	/* podman mounts `overlay` on itself, in this namespace */
		if (rename(old, new) < 0 && errno != ENOENT)
			podman_fail(STAGE_AGAIN, "setting %s aside: %s", old, error_words(errno));
	}
}

static bool set_aside(struct podman *podman)
{
	char folder[PATH_MAX], path[PATH_MAX], stamp[32], reason[RUN_LINE_MAX];
	time_t now = time(NULL);
	struct tm tm;
	int r = try_disk(podman);

	memcpy(reason, podman->last, sizeof(reason));
	if (r < 0 || is_told(BOOT "/aside")) {
		report_event(EVENT_WARNING, "podman's storage does not work: %.300s; not set aside: %s", reason,
			     r < 0 ? error_words(-r) : "once in this boot already");
		return false;
	}
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	(void)storage_remove_aside(podman, false);	/* one is enough to look at */
	join(folder, root(podman), "aside");
	join(path, folder, stamp);
	podman_directory(path, 0700);
	tell(BOOT "/aside", stamp);
	move_parts(root(podman), path);
	(void)sync_all(folder);
	report_event(EVENT_ERROR, "podman's storage does not work: %.300s; it was set aside as %.300s and is made "
		     "anew, so every image is pulled again", reason, path);
	return true;
}

bool storage_remove_aside(const struct podman *podman, bool keep_new)
{
	char folder[PATH_MAX], path[PATH_MAX], new[64] = "";
	_cleanup_(cleanup_closedir) DIR *entries = NULL;
	const struct dirent *entry;
	bool any = false;

	if (keep_new) {
		_cleanup_(cleanup_close) int fd = open(BOOT "/aside", O_RDONLY | O_CLOEXEC);

		if (fd >= 0 && read(fd, new, sizeof(new) - 1) < 0)
			new[0] = '\0';
	}
	join(folder, root(podman), "aside");
	entries = opendir(folder);
	while (entries && (entry = readdir(entries))) {
		if (!is_entry(entry) || !strcmp(entry->d_name, new))
			continue;
		join(path, folder, entry->d_name);
		podman_empty(path);
		if (rmdir(path) < 0)
			report_event(EVENT_WARNING, "%.300s: %s", path, error_words(errno));
		else
			report_event(EVENT_NOTICE, "removed %.300s, podman's storage that did not work", path);
		any = true;
	}
	return any;
}

bool storage_is_short(const struct podman *podman)
{
	struct statvfs space;

	return statvfs(root(podman), &space) == 0 && space.f_bavail < space.f_blocks / 4;
}

/* ---- when ----------------------------------------------------------------------------------------------------- */

bool storage_is_to_blame(const struct podman *podman)
{
	return strstr(podman->last, root(podman)) && !strstr(podman->last, "no space left on device");
}

/* The image alone, where that is enough. */
static bool remove_image(struct podman *podman)
{
	const struct podman_ask remove = {.what = CONTAINER_REMOVE_IMAGE, .argument = podman->image};
	char reason[RUN_LINE_MAX];

	memcpy(reason, podman->last, sizeof(reason));
	if (ask(podman, &remove) == 0) {
		report_event(EVENT_WARNING, "podman's storage: removed %.100s, of which no container could be made: "
			     "%.300s", podman->image, reason);
		return true;
	}
	memcpy(podman->last, reason, sizeof(reason));
	return false;
}

/* Under the exclusive lock. */
static bool look_and_mend(struct podman *podman, int64_t deadline_ns, const char *why, bool broken)
{
	char blamed[RUN_LINE_MAX];

	memcpy(blamed, podman->last, sizeof(blamed));
	report_event(EVENT_NOTICE, "looking for damage in podman's storage: %s", why);
	look.late = false;
	if (!list_containers(podman))
		return !look.late && set_aside(podman);
	repair(podman, deadline_ns);
	if (!can_make(podman))
		return !look.late && (remove_image(podman) || set_aside(podman));
	if (broken && !look.removed && !look.late) {
		memcpy(podman->last, blamed, sizeof(blamed));
		return set_aside(podman);
	}
	return look.removed > 0;
}

bool storage_look(struct podman *podman, int64_t deadline_ns, const char *why, bool broken)
{
	bool changed = false;

	/* If another one pulls, the next start looks. */
	if (!is_told(BOOT "/looked") && lock(LOCK_EX | LOCK_NB) && !is_told(BOOT "/looked")) {
		tell(BOOT "/looked", "");
		changed = look_and_mend(podman, deadline_ns, why, broken);
	}
	lock(held);
	return changed;
}

static void forget_pulls(const char *folder)
{
	_cleanup_(cleanup_closedir) DIR *entries = opendir(folder);
	const struct dirent *entry;
	char path[PATH_MAX];

	while (entries && (entry = readdir(entries))) {
		if (!is_entry(entry))
			continue;
		join(path, folder, entry->d_name);
		unlink(path);
	}
}

void storage_begin(struct podman *podman, int64_t deadline_ns)
{
	char pulls[PATH_MAX];

	if (is_told(BOOT "/begun"))
		return;
	join(pulls, root(podman), "pulls");
	lock(LOCK_EX);
	if (!is_told(BOOT "/begun")) {
		if (has_entry(pulls)) {
			(void)look_and_mend(podman, deadline_ns, "a pull of an earlier boot did not end", false);
			(void)sync_all(root(podman));
			forget_pulls(pulls);
		}
		tell(BOOT "/begun", "");
	}
	lock(LOCK_UN);
}

/* ---- a pull --------------------------------------------------------------------------------------------------- */

int storage_pull_begins(const struct podman *podman)
{
	_cleanup_(cleanup_close) int fd = -1;
	char folder[PATH_MAX], path[PATH_MAX];
	int r;

	held = LOCK_SH;
	lock(held);
	join(folder, root(podman), "pulls");
	join(path, folder, name(podman));
	podman_directory(folder, 0700);
	fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	r = sync_path(folder);
	return r == 0 ? sync_path(root(podman)) : r;
}

int storage_pull_ends(const struct podman *podman)
{
	char folder[PATH_MAX], path[PATH_MAX];
	int r = sync_all(root(podman));

	join(folder, root(podman), "pulls");
	join(path, folder, name(podman));
	if (r == 0 && unlink(path) < 0 && errno != ENOENT)
		r = -errno;
	held = LOCK_UN;
	lock(held);
	return r;
}
