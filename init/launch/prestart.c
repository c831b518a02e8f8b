/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Root works here in directories that services own, so no step uses a whole path (init/lib/walk.h): each one follows
 * no symbolic link, and changes only the file that it holds open. A file or secret is complete from the
 * moment it has its name, also on the disk. An existing secret is kept, because two services may want the same one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>

#include "init/lib/account.h"
#include "init/lib/hex.h"
#include "init/lib/io.h"
#include "init/lib/rootview.h"
#include "init/lib/walk.h"
#include "init/lib/words.h"
#include "prestart.h"

#define SECRET_BYTES_DEFAULT 32
#define SECRET_BYTES_MAX     256
#define DIRECTORY_MODE       0755
#define SECRET_MODE          0400
#define FILE_MODE            0644
#define FILE_SIZE_MAX        (64 << 20)

/* Owner and mode that a step does not change. */
#define SAME_OWNER ((uid_t)-1)
#define SAME_MODE  ((mode_t)-1)

struct step {
	const char *path;
	const char *from;	/* of a file */
	uid_t uid;
	gid_t gid;
	mode_t mode;
	size_t bytes;
};

static const char *member(struct json_object *object, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : NULL;
}

static int open_parent(const char *path, bool make, const char **ret_name)
{
	return walk_parent(path, WALK_NO_LINKS, make ? DIRECTORY_MODE : 0, ret_name);
}

/*
 * To the disk with the file's content before it has its name, and with the name before the service starts: what
 * depends on a secret may be durable a moment later, and after a power cut the secret must be there, too.
 */
static int sync_content(int fd)
{
	return fsync(fd) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;
}

static int sync_name(int parent)
{
	_cleanup_(cleanup_close) int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : sync_content(fd);
}

/* Owner before mode: a change of owner clears set-id bits. */
static int set_owner(int fd, const struct step *step)
{
	return fchown(fd, step->uid, step->gid) < 0 || fchmod(fd, step->mode) < 0 ? -errno : 0;
}

static int make_directory(const struct step *step)
{
	_cleanup_(cleanup_close) int parent = -1, fd = -1;
	const char *name;

	parent = open_parent(step->path, true, &name);
	if (parent < 0)
		return parent;
	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : set_owner(fd, step);
}

/* n random bytes as small hex digits, without a newline. */
static int write_random(int fd, size_t n)
{
	unsigned char bytes[SECRET_BYTES_MAX];
	char hex[HEX_SIZE(SECRET_BYTES_MAX)];
	ssize_t written;

	if (getrandom(bytes, n, 0) != (ssize_t)n)
		return -EIO;
	hex_encode(bytes, n, hex);
	written = write(fd, hex, 2 * n);
	explicit_bzero(bytes, sizeof(bytes));
	explicit_bzero(hex, sizeof(hex));
	return written == (ssize_t)(2 * n) ? 0 : written < 0 ? -errno : -ENOSPC;
}

static int make_secret(const struct step *step)
{
	_cleanup_(cleanup_close) int parent = -1, fd = -1;
	char temporary[64];
	const char *name;
	struct stat st;
	int r;

	parent = open_parent(step->path, false, &name);
	if (parent < 0)
		return parent;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISREG(st.st_mode) || st.st_size > 0)
			return S_ISREG(st.st_mode) ? 0 : -EEXIST;
		/* No secret: what a power cut left of a write that was not synced. */
		if (unlinkat(parent, name, 0) < 0)
			return -errno;
	}
	snprintf(temporary, sizeof(temporary), ".gantry-secret-%d", getpid());
	if (unlinkat(parent, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_random(fd, step->bytes);
	if (r == 0)
		r = set_owner(fd, step);
	if (r == 0)
		r = sync_content(fd);
	/* link(), not rename(): of two services the first one makes the secret, and the second keeps it. */
	if (r == 0 && linkat(parent, temporary, parent, name, 0) < 0 && errno != EEXIST)
		r = -errno;
	unlinkat(parent, temporary, 0);
	return r == 0 ? sync_name(parent) : r;
}

/* All files of the directory that match. */
static int remove_matching(int parent, const char *pattern)
{
	int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(cleanup_closedir) DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!directory)
		return -errno;
	while ((entry = readdir(directory)))
		if (fnmatch(pattern, entry->d_name, FNM_PERIOD) == 0 && unlinkat(parent, entry->d_name, 0) < 0 &&
		    errno != ENOENT)
			return -errno;
	return 0;
}

static int remove_file(const struct step *step)
{
	_cleanup_(cleanup_close) int parent = -1;
	const char *name;

	parent = open_parent(step->path, false, &name);
	if (parent < 0)
		return parent == -ENOENT ? 0 : parent;
	if (strpbrk(name, "*?["))
		return remove_matching(parent, name);
	return unlinkat(parent, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int copy_content(int from, int to)
{
	char buffer[65536];
	size_t total = 0;
	ssize_t n;
	int r;

	while ((n = read(from, buffer, sizeof(buffer))) > 0) {
		total += (size_t)n;
		if (total > FILE_SIZE_MAX)
			return -EFBIG;
		r = io_write(to, buffer, (size_t)n);
		if (r < 0)
			return r;
	}
	return n < 0 ? -errno : 0;
}

/* The source of a copy: no symbolic link in its path, and no wait for a FIFO's writer. */
static int open_source(const char *path)
{
	_cleanup_(cleanup_close) int parent = -1, fd = -1;
	const char *name;
	struct stat st;

	parent = open_parent(path, false, &name);
	if (parent < 0)
		return parent;
	fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -EINVAL;
}

static int install_file(const struct step *step)
{
	_cleanup_(cleanup_close) int from = open_source(step->from), parent = -1, fd = -1;
	char temporary[64];
	const char *name;
	int r;

	if (from < 0)
		return from;
	parent = open_parent(step->path, false, &name);
	if (parent < 0)
		return parent;
	snprintf(temporary, sizeof(temporary), ".gantry-file-%d", getpid());
	if (unlinkat(parent, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = copy_content(from, fd);
	if (r == 0)
		r = set_owner(fd, step);
	if (r == 0)
		r = sync_content(fd);
	if (r == 0 && renameat(parent, temporary, parent, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(parent, temporary, 0);
	return r == 0 ? sync_name(parent) : r;
}

/*
 * Of any kind of file, sockets too, which can be held by O_PATH but not opened. A file with more than one hard link is
 * refused: its other name may be in a directory whose owner did not agree.
 */
static int change_owner_and_mode(const struct step *step)
{
	_cleanup_(cleanup_close) int parent = -1, fd = -1;
	char held[40];
	const char *name;
	struct stat st;

	parent = open_parent(step->path, false, &name);
	if (parent < 0)
		return parent;
	fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return -ELOOP;
	if (!S_ISDIR(st.st_mode) && st.st_nlink > 1)
		return -EMLINK;
	if (fchownat(fd, "", step->uid, step->gid, AT_EMPTY_PATH) < 0)
		return -errno;
	snprintf(held, sizeof(held), "/proc/self/fd/%d", fd);
	return step->mode != SAME_MODE && chmod(held, step->mode) < 0 ? -errno : 0;
}

static const struct {
	const char *name;
	int (*run)(const struct step *step);
	mode_t mode;
} kinds[] = {
	{"directory", make_directory, DIRECTORY_MODE},
	{"secret", make_secret, SECRET_MODE},
	{"remove", remove_file, 0},
	{"file", install_file, FILE_MODE},
	{"path", change_owner_and_mode, SAME_MODE},
};

static const char *step_words(int error, bool secret)
{
	switch (error) {
	case ELOOP:
		return "symbolic link in the path";
	case ENOTDIR:
		return "not a directory, or a symbolic link in the path";
	case EEXIST:
		return secret ? "exists and is not a regular file" : error_words(error);
	case EISDIR:
		return "is a directory";
	case EMLINK:
		return "has more than one name (hard links)";
	case EFBIG:
		return "is larger than 64 MiB";
	default:
		return error_words(error);
	}
}

/* Fills owner, mode and size of the step from its object. */
static int read_step(struct json_object *object, struct step *step, char *reason, size_t size)
{
	const char *user = member(object, "user"), *group = member(object, "group"), *mode = member(object, "mode");
	struct json_object *bytes;
	gid_t own;
	int r = 0;

	if (user)
		r = account_user("/etc/passwd", user, &step->uid, &own);
	if (r < 0) {
		snprintf(reason, size, "%s: user \"%s\": %s", step->path, user,
			 r == -ENOENT ? "no such user" : error_words(-r));
		return r;
	}
	if (group)
		r = account_group("/etc/group", group, &step->gid);
	if (r < 0) {
		snprintf(reason, size, "%s: group \"%s\": %s", step->path, group,
			 r == -ENOENT ? "no such group" : error_words(-r));
		return r;
	}
	if (mode)
		step->mode = (mode_t)strtoul(mode, NULL, 8) & 07777;
	step->bytes = SECRET_BYTES_DEFAULT;
	if (json_object_object_get_ex(object, "bytes", &bytes))
		step->bytes = (size_t)json_object_get_int(bytes);
	if (step->bytes > SECRET_BYTES_MAX)
		step->bytes = SECRET_BYTES_MAX;
	return 0;
}

static int run_step(struct json_object *object, struct rootview *view, char *reason, size_t size)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct step step = {.path = member(object, kinds[i].name), .from = member(object, "from"),
				    .mode = kinds[i].mode};
		int r;

		if (!step.path)
			continue;
		if (step.mode == SAME_MODE)
			step.uid = step.gid = SAME_OWNER;
		if (kinds[i].run == install_file && !step.from) {
			snprintf(reason, size, "file %s: key \"from\" is missing", step.path);
			return -EINVAL;
		}
		r = read_step(object, &step, reason, size);
		if (r < 0)
			return r;
		r = rootview_take(view, step.path);
		if (r == 0)
			r = kinds[i].run(&step);
		if (r < 0)
			snprintf(reason, size, "%s %s%s%s: %s", kinds[i].name, step.path,
				 step.from ? " from " : "", step.from ? step.from : "",
				 step_words(-r, kinds[i].run == make_secret));
		return r;
	}
	snprintf(reason, size, "a step needs one of the keys directory, secret, file, path, remove");
	return -EINVAL;
}

bool prestart_may_pass(int error)
{
	return error == -ENOSPC || error == -EDQUOT || error == -ENOMEM || error == -EIO || error == -ENFILE;
}

int prestart_run(struct json_object *steps, char *reason, size_t size)
{
	size_t n = steps ? json_object_array_length(steps) : 0;
	struct rootview view = ROOTVIEW_NONE;
	int r = 0, left;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = run_step(json_object_array_get_idx(steps, i), &view, reason, size);
	left = rootview_leave(&view);
	if (r == 0 && left < 0) {
		snprintf(reason, size, "leaving the mount namespace of before_start: %s", error_words(-left));
		r = left;
	}
	return r;
}
