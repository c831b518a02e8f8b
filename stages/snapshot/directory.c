/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each step leaves a state from which the next boot can tell where it was: the plan replaces the old one by rename, a
 * part has its full size from the start, the journal is written anew when it is loaded (so its entries and the files
 * agree), and only a directory without a plan of ours is judged by what else it holds.
 */
#define _GNU_SOURCE
#include "directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "journal.h"
#include "stages/lib/file.h"
#include "init/lib/hex.h"
#include "init/lib/io.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

#define DIRECTORY_MODE 0750
#define FILE_MODE      0640

static int fail(struct directory *d, int result, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct directory *d, int result, const char *fmt, ...)
{
	va_list arguments;

	va_start(arguments, fmt);
	vsnprintf(d->reason, sizeof(d->reason), fmt, arguments);
	va_end(arguments);
	return result;
}

static int fail_errno(struct directory *d, const char *doing, const char *what)
{
	int r = -errno;

	return fail(d, r, "%s: %s %.160s: %s", d->path, doing, what, strerror(-r));
}

/* --- opening --- */

static int open_directory(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* A new directory belongs to the owner from the start; one that is there stays as it is. */
static int make_directory(const struct directory *d, int at, const char *name)
{
	int fd, made = mkdirat(at, name, DIRECTORY_MODE);

	if (made < 0 && errno != EEXIST)
		return -errno;
	fd = open_directory(at, name);
	if (fd < 0)
		return -errno;
	if (!made && (fchmod(fd, DIRECTORY_MODE) < 0 || fchown(fd, d->uid, d->gid) < 0)) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

int directory_open(struct directory *d, const char *path, uid_t uid, gid_t gid, const struct whole_rules *rules)
{
	*d = (struct directory)DIRECTORY_CLOSED;
	d->path = path;
	d->uid = uid;
	d->gid = gid;
	d->rules = rules;
	d->fd = make_directory(d, AT_FDCWD, path);
	if (d->fd < 0) {
		errno = -d->fd;
		d->fd = -1;
		return fail_errno(d, "opening", "the directory");
	}
	return 0;
}

void directory_close(struct directory *d)
{
	cleanup_close(&d->journal_fd);
	cleanup_close(&d->parts_fd);
	cleanup_close(&d->state_fd);
	cleanup_close(&d->fd);
	d->fd = d->state_fd = d->parts_fd = d->journal_fd = -1;
}

/*
 * The owner of DIRECTORY could replace the state folder: one that another user owns or can write to is not trusted.
 */
static int open_state(struct directory *d)
{
	struct stat st, here;

	if (d->state_fd >= 0)
		return 0;
	d->state_fd = open_directory(d->fd, MANIFEST_STATE);
	if (d->state_fd < 0)
		return errno == ENOENT ? -ENOENT : fail_errno(d, "opening", MANIFEST_STATE);
	if (fstat(d->state_fd, &st) < 0 || fstat(d->fd, &here) < 0)
		return fail_errno(d, "reading", MANIFEST_STATE);
	if ((st.st_uid != geteuid() && st.st_uid != 0) || st.st_mode & 022)
		return fail(d, -EPERM, "%s/%s is owned or writable by another user", d->path, MANIFEST_STATE);
	if (st.st_dev != here.st_dev)
		return fail(d, -EXDEV, "%s/%s is another file system", d->path, MANIFEST_STATE);
	d->parts_fd = open_directory(d->state_fd, "parts");
	return 0;
}

static int make_state(struct directory *d)
{
	int r = open_state(d);

	if (r == -ENOENT) {
		if (mkdirat(d->fd, MANIFEST_STATE, 0700) < 0)
			return fail_errno(d, "making", MANIFEST_STATE);
		r = open_state(d);
		if (r == 0 && d->uid != (uid_t)-1 && fchown(d->state_fd, 0, 0) < 0)	/* nor do workers get in */
			r = fail_errno(d, "making", MANIFEST_STATE);
	}
	if (r)
		return r;
	if (d->parts_fd < 0) {
		if (mkdirat(d->state_fd, "parts", 0700) < 0 && errno != EEXIST)
			return fail_errno(d, "making", "parts");
		d->parts_fd = open_directory(d->state_fd, "parts");
	}
	return d->parts_fd < 0 ? fail_errno(d, "opening", "parts") : 0;
}

static int replace_file(struct directory *d, const char *name, const char *bytes, size_t size)
{
	int r = file_replace(d->state_fd, name, bytes, size, 0600);

	if (!r)
		return 0;
	errno = -r;
	return fail_errno(d, "writing", name);
}

/* --- content of the directory --- */

static size_t format_mark(const struct manifest *m, char *ret, size_t room)
{
	char hash[HEX_SIZE(MANIFEST_HASH_SIZE)];

	hex_encode(m->hash, MANIFEST_HASH_SIZE, hash);
	return (size_t)snprintf(ret, room, "gantry-snapshot-complete 1\nname %s\nmanifest %s\nfiles %zu\n"
				"bytes %" PRIu64 "\n", m->name, hash, m->count, m->total);
}

static bool is_empty_directory(int at, const char *name)
{
	_cleanup_(cleanup_closedir) DIR *stream = NULL;
	int fd = open_directory(at, name);
	struct dirent *entry;

	if (fd < 0)
		return false;
	stream = fdopendir(fd);
	if (!stream) {
		close(fd);
		return false;
	}
	while ((entry = readdir(stream)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			return false;
	return true;
}

/* Holds it files that a snapshot could collide with or that an operator may want to keep? reason names one. */
static int look_for_others(struct directory *d, bool *ret)
{
	_cleanup_(cleanup_closedir) DIR *stream = NULL;
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;

	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream) {
		cleanup_close(&fd);
		return fail_errno(d, "reading", "the directory");
	}
	*ret = false;
	while ((entry = readdir(stream))) {
		const char *name = entry->d_name;

		if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, MANIFEST_STATE) ||
		    !strcmp(name, "lost+found") || manifest_is_node_local(name) || is_empty_directory(d->fd, name))
			continue;
		snprintf(d->reason, sizeof(d->reason), "%.200s", name);
		*ret = true;
		break;
	}
	return 0;
}

static int load_manifest(struct directory *d, struct manifest *ret)
{
	_cleanup_(cleanup_free) char *text = NULL;
	char reason[S3_ERROR_MAX];
	size_t size;
	int r;

	r = file_read(d->state_fd, "manifest", MANIFEST_SIZE_MAX, &text, &size);
	return r ? r : manifest_parse(text, size, ret, reason);
}

/* A mark holds while it is that of the manifest beside it. */
static bool mark_holds(struct directory *d, const struct manifest *m)
{
	_cleanup_(cleanup_free) char *mark = NULL;
	char expected[512];
	size_t size;

	if (file_read(d->state_fd, "complete", sizeof(expected), &mark, &size))
		return false;
	return size == format_mark(m, expected, sizeof(expected)) && !memcmp(mark, expected, size);
}

/* What became of a complete snapshot. One that was emptied is fetched again. */
static int look_at_complete(struct directory *d, const struct manifest *m, enum directory_standing *ret)
{
	const char *lacks = whole_lacks(m, d->rules);
	bool others;
	int r;

	if (!lacks && !whole_planned(d->fd, m, d->rules, d->reason)) {
		snprintf(d->reason, sizeof(d->reason), "%s", m->name);
		*ret = DIRECTORY_COMPLETE;
		return 0;
	}
	r = look_for_others(d, &others);
	if (r)
		return r;
	*ret = others ? DIRECTORY_LOST : DIRECTORY_EMPTY;
	if (lacks)
		snprintf(d->reason, sizeof(d->reason), "%.200s was never in it", lacks);
	else
		(void)whole_planned(d->fd, m, d->rules, d->reason);
	return 0;
}

static int look_without_state(struct directory *d, enum directory_standing *ret)
{
	char why[S3_ERROR_MAX];
	bool others;
	int r = look_for_others(d, &others);

	if (r)
		return r;
	*ret = !others ? DIRECTORY_EMPTY : DIRECTORY_POPULATED;
	if (others && whole_found(d->fd, d->rules, why)) {
		*ret = DIRECTORY_HALF;
		memcpy(d->reason, why, sizeof(d->reason));
	}
	return 0;
}

int directory_look(struct directory *d, enum directory_standing *ret)
{
	struct manifest m = { 0 };
	struct stat st;
	bool others;
	int r = open_state(d);

	if (r == -ENOENT)
		return look_without_state(d, ret);
	if (r)
		return r;
	r = load_manifest(d, &m);
	if (!r && mark_holds(d, &m)) {
		r = look_at_complete(d, &m, ret);
	} else if (!r && fstatat(d->state_fd, "complete", &st, AT_SYMLINK_NOFOLLOW) < 0) {
		*ret = DIRECTORY_PARTIAL;
	} else {
		/*
		 * Emptied since, or interrupted before there was a plan: begin. Files in it are of unknown origin.
		 */
		r = look_for_others(d, &others);
		if (!r)
			*ret = others ? DIRECTORY_DAMAGED : DIRECTORY_EMPTY;
	}
	manifest_free(&m);
	return r;
}

/* --- plan and journal --- */

static int write_journal(struct directory *d, const struct manifest *m)
{
	_cleanup_(cleanup_free) char *text = NULL;
	size_t size = 0;
	char line[128];
	FILE *out = open_memstream(&text, &size);
	int r;

	if (!out)
		return fail(d, -ENOMEM, "out of memory");
	fwrite(line, 1, journal_format_head(m, line), out);
	for (uint32_t i = 0; i < m->count; i++) {
		const struct manifest_file *file = &m->files[i];
		struct blocks_run run = { .file = i };

		for (uint64_t b = 0; b < file->blocks; b = run.first + run.count) {
			run.first = b;
			run.count = 0;
			while (run.first + run.count < file->blocks &&
			       blocks_is_done(m, i, run.first + run.count))
				run.count++;
			if (run.count)
				fwrite(line, 1, journal_format_record(&run, line), out);
			else
				run.count = 1;
		}
	}
	if (fclose(out))
		return fail(d, -ENOMEM, "out of memory");
	r = replace_file(d, "journal", text, size);
	if (r)
		return r;
	cleanup_close(&d->journal_fd);
	d->journal_fd = openat(d->state_fd, "journal", O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	return d->journal_fd < 0 ? fail_errno(d, "opening", "journal") : 0;
}

static bool has_size(int at, const char *name, uint64_t size)
{
	struct stat st;

	return !fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

/* The journal cannot know that a part was lost since; then that file begins anew. */
static void forget_lost_parts(struct directory *d, struct manifest *m)
{
	for (uint32_t i = 0; i < m->count; i++) {
		const struct manifest_file *file = &m->files[i];
		char name[33];

		if (!file->blocks_done)
			continue;
		manifest_part_name(file, name);
		if (has_size(d->parts_fd, name, file->size))
			continue;
		/* Cut while the files got their names: it may have its own already. */
		if (file->blocks_done == file->blocks && has_size(d->fd, file->path, file->size))
			continue;
		blocks_forget(m, i);
	}
}

int directory_load(struct directory *d, struct manifest *ret)
{
	_cleanup_(cleanup_free) char *journal = NULL;
	size_t size, valid;
	int r;

	r = make_state(d);
	if (r)
		return r;
	r = load_manifest(d, ret);
	if (r)
		return fail(d, r, "%s: manifest not readable: %s", d->path, strerror(-r));
	/* Without a journal, or with another plan's, everything is fetched again. */
	if (!file_read(d->state_fd, "journal", JOURNAL_SIZE_MAX, &journal, &size))
		(void)journal_replay(journal, size, ret, &valid);
	forget_lost_parts(d, ret);
	r = write_journal(d, ret);
	if (r)
		manifest_free(ret);
	return r;
}

static int by_name(const void *a, const void *b)
{
	return memcmp(a, b, 33);
}

static void drop_stale_parts(struct directory *d, const struct manifest *m)
{
	_cleanup_(cleanup_closedir) DIR *stream = NULL;
	_cleanup_(cleanup_free) char (*names)[33] = m ? calloc(m->count, sizeof(*names)) : NULL;
	int fd = openat(d->parts_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;

	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream || (m && !names)) {
		if (!stream)
			cleanup_close(&fd);
		return;
	}
	for (size_t i = 0; m && i < m->count; i++)
		manifest_part_name(&m->files[i], names[i]);
	if (m)
		qsort(names, m->count, sizeof(*names), by_name);
	while ((entry = readdir(stream))) {
		char key[33] = "";

		if (entry->d_name[0] == '.')
			continue;
		snprintf(key, sizeof(key), "%.32s", entry->d_name);
		if (!m || strlen(entry->d_name) != 32 || !bsearch(key, names, m->count, sizeof(*names), by_name))
			(void)unlinkat(d->parts_fd, entry->d_name, 0);
	}
}

int directory_adopt(struct directory *d, struct manifest *m)
{
	_cleanup_(cleanup_free) char *text = NULL;
	size_t size;
	int r;

	r = make_state(d);
	if (r)
		return r;
	r = manifest_format(m, &text, &size);
	if (r)
		return fail(d, r, "manifest: %s", strerror(-r));
	/* A mark of an earlier snapshot must be gone before there is a plan that is not whole. */
	if (unlinkat(d->state_fd, "complete", 0) < 0 && errno != ENOENT)
		return fail_errno(d, "removing", "complete");
	r = replace_file(d, "manifest", text, size);
	if (r)
		return r;
	forget_lost_parts(d, m);
	r = write_journal(d, m);
	if (r)
		return r;
	drop_stale_parts(d, m);
	return 0;
}

int directory_record(struct directory *d, const struct blocks_run *run)
{
	char line[JOURNAL_RECORD_MAX];
	int r = io_write(d->journal_fd, line, journal_format_record(run, line));

	if (r) {
		errno = -r;
		return fail_errno(d, "writing", "journal");
	}
	return 0;
}

int directory_sync_journal(struct directory *d)
{
	return fdatasync(d->journal_fd) < 0 ? fail_errno(d, "syncing", "journal") : 0;
}

/* --- parts --- */

int directory_space(struct directory *d, const struct manifest *m, uint64_t *ret_needed, uint64_t *ret_free)
{
	struct statvfs fs;
	uint64_t needed = 0;

	if (fstatvfs(d->fd, &fs) < 0)
		return fail_errno(d, "reading", "free space");
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_file *file = &m->files[i];
		uint64_t here = 0;
		struct stat st;
		char name[33];

		manifest_part_name(file, name);
		if (!fstatat(d->parts_fd, name, &st, AT_SYMLINK_NOFOLLOW))
			here = (uint64_t)st.st_blocks * 512;
		else if (has_size(d->fd, file->path, file->size))
			here = file->size;
		needed += here < file->size ? file->size - here : 0;
	}
	*ret_needed = needed;
	*ret_free = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

int directory_open_part(struct directory *d, const struct manifest *m, uint32_t index)
{
	const struct manifest_file *file = &m->files[index];
	struct stat st;
	char name[33];
	int fd, r = 0;

	manifest_part_name(file, name);
	fd = openat(d->parts_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_errno(d, "opening the partial file of", file->path);
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else if ((uint64_t)st.st_size != file->size || !file->size) {
		/*
		 * All its space at once: it ends up in few pieces, and a full disk shows before the transfer.
		 */
		if ((st.st_uid != geteuid() && fchown(fd, geteuid(), (gid_t)-1) < 0) ||	/* whose mode it is */
		    fchmod(fd, FILE_MODE) < 0 || fchown(fd, d->uid, d->gid) < 0)
			r = -errno;
		else if (file->size && fallocate(fd, 0, 0, (off_t)file->size) < 0)
			r = errno == EOPNOTSUPP ? (ftruncate(fd, (off_t)file->size) < 0 ? -errno : 0) : -errno;
		if (!r && (uint64_t)st.st_size > file->size && ftruncate(fd, (off_t)file->size) < 0)
			r = -errno;
	}
	if (r) {
		close(fd);
		errno = -r;
		return fail_errno(d, "allocating", file->path);
	}
	return fd;
}

/* --- the end --- */

/* The directory that a path's last component is in, made on the way; *ret_leaf points into path. */
static int open_parent(struct directory *d, const char *path, const char **ret_leaf)
{
	char component[256];
	int at = dup(d->fd);
	const char *slash;

	while (at >= 0 && (slash = strchr(path, '/'))) {
		int next;

		snprintf(component, sizeof(component), "%.*s", (int)(slash - path), path);
		next = make_directory(d, at, component);
		close(at);
		if (next < 0) {
			errno = -next;
			return -1;
		}
		at = next;
		path = slash + 1;
	}
	*ret_leaf = path;
	return at;
}

static int give_name(struct directory *d, struct manifest *m, uint32_t index)
{
	const struct manifest_file *file = &m->files[index];
	_cleanup_(cleanup_close) int parent = -1;
	const char *leaf;
	char name[33];

	manifest_part_name(file, name);
	parent = open_parent(d, file->path, &leaf);
	if (parent < 0)
		return fail_errno(d, "making the directory of", file->path);
	if (!has_size(d->parts_fd, name, file->size)) {
		int fd;

		if (has_size(parent, leaf, file->size))
			return 0;
		if (file->size)
			return fail(d, -ENODATA, "%s: part of %.160s is missing", d->path, file->path);
		fd = directory_open_part(d, m, index);
		if (fd < 0)
			return fd;
		close(fd);
	}
	if (syscall(SYS_renameat2, d->parts_fd, name, parent, leaf, RENAME_NOREPLACE) < 0)
		return fail_errno(d, "naming", file->path);
	return 0;
}

int directory_finish(struct directory *d, struct manifest *m)
{
	char mark[512], why[S3_ERROR_MAX];
	int r;

	/* Data was synced run by run; this is for sizes, owners and modes. */
	if (syncfs(d->fd) < 0)
		return fail_errno(d, "syncing", "the directory");
	for (uint32_t i = 0; i < m->count; i++) {
		r = give_name(d, m, i);
		if (r)
			return r;
	}
	if (syncfs(d->fd) < 0)
		return fail_errno(d, "syncing", "the directory");
	r = whole_planned(d->fd, m, NULL, why);
	if (r)
		return fail(d, r, "%.100s: %.340s", d->path, why);
	r = replace_file(d, "complete", mark, format_mark(m, mark, sizeof(mark)));
	if (r)
		return r;
	/* From here on it is complete; leftovers do not matter. */
	drop_stale_parts(d, NULL);
	(void)unlinkat(d->state_fd, "parts", AT_REMOVEDIR);
	(void)unlinkat(d->state_fd, "journal", 0);
	return 0;
}
