/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The partner of the stage render: writes what the stage has made of its templates. It alone may write and give files
 * away, and it parses nothing: it knows the files from boot.json, and of the stage it takes a number and a sealed
 * memfd. When the stage has ended, also by a signal, what was not renamed is removed.
 */
#define _GNU_SOURCE
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "init/lib/fdpass.h"
#include "init/lib/io.h"
#include "init/lib/memfd.h"
#include "init/lib/walk.h"
#include "stages/lib/file.h"
#include "template.h"

#define PATH_SIZE 512

struct request {
	uint32_t order;
	uint32_t index;
};

enum order {
	WRITE = 1,		/* with a memfd; answers whether it is the same */
	COMMIT,			/* renames all that were written, and syncs their folders; never in STAGE_CHECK */
	END,			/* without an answer */
};

struct target {
	const char *name;		/* the path's last */
	int folder;
	char temporary[PATH_SIZE];	/* a name in the folder; "" until it was created */
};

static struct target targets[WRITER_FILES_MAX];

/* ---- the writer's side ------------------------------------------------------------------------------------------ */

static int copy(int from, int to, size_t size)
{
	char bytes[4096];

	for (size_t done = 0; done < size;) {
		size_t n = size - done < sizeof(bytes) ? size - done : sizeof(bytes);
		int r = file_read_at(from, bytes, n, done);

		if (r == 0)
			r = io_write(to, bytes, n);
		if (r < 0)
			return r;
		done += n;
	}
	return 0;
}

/* Mode and owner are right before the first byte is readable under any name. */
static int write_temporary(const struct writer_file *f, struct target *t, int content, size_t size)
{
	_cleanup_(cleanup_close) int fd = -1;
	int r;

	if ((size_t)snprintf(t->temporary, sizeof(t->temporary), "%s.gantry-new", t->name) >= sizeof(t->temporary)) {
		t->temporary[0] = '\0';
		return -ENAMETOOLONG;
	}
	(void)unlinkat(t->folder, t->temporary, 0);	/* left by an attempt that was killed */
	fd = openat(t->folder, t->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		t->temporary[0] = '\0';
		return -errno;
	}
	r = copy(content, fd, size);
	if (r < 0)
		return r;
	if (fchmod(fd, f->mode) < 0 || fchown(fd, f->uid, f->gid) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

/* Whether the file is already there as it shall be, to the byte, the mode and the owner. */
static bool is_same(const struct writer_file *f, const struct target *t, int content, size_t size)
{
	_cleanup_(cleanup_close) int fd = openat(t->folder, t->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
								    O_CLOEXEC);
	char bytes[4096], expected[4096];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 07777) != f->mode ||
	    st.st_uid != f->uid || st.st_gid != f->gid || st.st_size != (off_t)size)
		return false;
	for (size_t done = 0; done < size;) {
		size_t n = size - done < sizeof(bytes) ? size - done : sizeof(bytes);

		if (file_read_at(fd, bytes, n, done) < 0 || file_read_at(content, expected, n, done) < 0 ||
		    memcmp(bytes, expected, n) != 0)
			return false;
		done += n;
	}
	return true;
}

/* Checks the folder, so that an error of write_temporary() is found without writing. */
static int can_write(const struct target *t)
{
	return faccessat(t->folder, ".", W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static struct writer_answer write_one(const struct writer_file *f, struct target *t, int content,
				      enum stage_mode mode)
{
	struct writer_answer a = {0};
	struct stat st, there;

	if (fstat(content, &st) < 0 || memfd_check(content, TEMPLATE_OUTPUT_MAX) < 0)
		return (struct writer_answer){.trouble = WRITER_FILE, .error = EINVAL};
	t->folder = walk_parent(f->path, WALK_ROOTS_LINKS, 0, &t->name);
	if (t->folder < 0)
		return (struct writer_answer){.trouble = WRITER_FOLDER, .error = -t->folder};
	if (mode != STAGE_BOOT)
		a.same = is_same(f, t, content, (size_t)st.st_size);
	/* The only thing that can still stop a rename once its neighbours were renamed. */
	if (fstatat(t->folder, t->name, &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(there.st_mode))
		return (struct writer_answer){.trouble = WRITER_DIRECTORY, .error = EISDIR};
	if (!a.same) {
		int r = mode == STAGE_CHECK ? can_write(t) : write_temporary(f, t, content, (size_t)st.st_size);

		if (r < 0)
			return (struct writer_answer){.trouble = WRITER_FILE, .error = -r};
	}
	return a;
}

static int sync_name(const struct target *t)
{
	_cleanup_(cleanup_close) int fd = openat(t->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || (fsync(fd) < 0 && errno != EINVAL && errno != EROFS) ? -errno : 0;
}

/*
 * The names are on the disk, too, before the stage reports them. Also those of files that are the same: an attempt
 * before this one may have been killed between the two.
 */
static struct writer_answer commit(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct target *t = &targets[i];

		if (!t->temporary[0])
			continue;
		if (renameat(t->folder, t->temporary, t->folder, t->name) < 0)
			return (struct writer_answer){.trouble = WRITER_FILE, .error = errno, .index = (uint32_t)i};
		t->temporary[0] = '\0';
	}
	for (size_t i = 0; i < n; i++) {
		int r = targets[i].name ? sync_name(&targets[i]) : 0;

		if (r < 0)
			return (struct writer_answer){.trouble = WRITER_FILE, .error = -r, .index = (uint32_t)i};
	}
	return (struct writer_answer){0};
}

static void discard(size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (targets[i].temporary[0])
			unlinkat(targets[i].folder, targets[i].temporary, 0);
}

/* False: the stage has ended, or sent what it never would. The mode is what this process was started for. */
static bool serve(int socket, enum stage_mode mode, const struct writer_file *files, size_t n)
{
	struct request request;
	struct iovec part = {&request, sizeof(request)};
	struct fd_received received;
	struct writer_answer answer;
	bool good = fd_receive(socket, &part, 1, 1, &received, 0) == (ssize_t)sizeof(request) && !received.cut;

	if (good && request.order == WRITE && received.n == 1 && request.index < n &&
	    !targets[request.index].name)
		answer = write_one(&files[request.index], &targets[request.index], received.fds[0],
				   mode);
	else if (good && request.order == COMMIT && mode != STAGE_CHECK)
		answer = commit(n);
	else
		good = false;
	fd_close(&received);
	return good && send(socket, &answer, sizeof(answer), MSG_NOSIGNAL) == (ssize_t)sizeof(answer);
}

int writer_serve(int socket, enum stage_mode mode, const struct writer_file *files, size_t n)
{
	while (serve(socket, mode, files, n))
		;
	discard(n);
	return STAGE_DONE;
}

/* ---- the stage's side ------------------------------------------------------------------------------------------- */

static int hear(int socket, struct writer_answer *ret)
{
	ssize_t n;

	do
		n = recv(socket, ret, sizeof(*ret), 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n != (ssize_t)sizeof(*ret) ? -EPIPE : 0;
}

int writer_write(int socket, size_t index, const struct template_output *text, struct writer_answer *ret)
{
	struct request request = {WRITE, (uint32_t)index};
	struct iovec part = {&request, sizeof(request)};
	_cleanup_(cleanup_close) int fd = memfd_sealed("rendered", text->bytes, text->size);
	int r;

	if (fd < 0)
		return fd;
	r = fd_send(socket, &part, 1, &fd, 1, 0);
	return r < 0 ? r : hear(socket, ret);
}

int writer_commit(int socket, struct writer_answer *ret)
{
	struct request request = {.order = COMMIT};
	struct iovec part = {&request, sizeof(request)};
	int r = fd_send(socket, &part, 1, NULL, 0, 0);

	return r < 0 ? r : hear(socket, ret);
}

/* Its socket ends after all was removed. */
void writer_end(int socket)
{
	struct request request = {.order = END};
	struct iovec part = {&request, sizeof(request)};
	struct writer_answer none;

	if (fd_send(socket, &part, 1, NULL, 0, 0) == 0)
		(void)hear(socket, &none);
}
