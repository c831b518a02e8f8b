/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements resolv.h. The copy is written in place: the container has that very file mounted. The process that keeps
 * it has a user of its own, reads what everybody may, and has no call for a network. Root makes not even the first
 * copy: the file belongs to a DHCP client, which can put a link to any other in its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>
#include <gantry/role.h>
#include <gantry/stage.h>

#include "init/lib/landlock.h"
#include "init/lib/member.h"
#include "init/lib/privilege.h"
#include "init/lib/restrict.h"
#include "init/lib/words.h"
#include "resolv.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define TEXT_MAX    65536
#define AGAIN_MS    1000	/* if there is nothing to watch */
#define COPY_FD     0
#define FIRST_FD    1		/* a byte, when the first copy is made */

/* Missing or unreadable: empty, as no name server is known then. */
static size_t read_all(char *text)
{
	_cleanup_(cleanup_close) int fd = open(RESOLV_CONF, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t size = 0;
	ssize_t n;

	while (fd >= 0 && size < TEXT_MAX && (n = read(fd, text + size, TEXT_MAX - size)) > 0)
		size += (size_t)n;
	return size;
}

static void copy(int to)
{
	static char text[TEXT_MAX], old[TEXT_MAX];
	static size_t old_size = SIZE_MAX;
	size_t size = read_all(text);

	if (size == old_size && !memcmp(text, old, size))
		return;
	if (pwrite(to, text, size, 0) != (ssize_t)size || ftruncate(to, (off_t)size) < 0)
		return;		/* again at the next change */
	memcpy(old, text, size);
	old_size = size;
}

/* The folder of the path, or the nearest one above it that exists. */
static bool watch(int fd, const char *path)
{
	const uint32_t changes = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE | IN_DELETE_SELF;
	char folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s", path);
	for (char *slash; (slash = strrchr(folder, '/'));) {
		slash[slash == folder] = '\0';
		if (inotify_add_watch(fd, folder, changes) >= 0)
			return true;
		if (!folder[1])
			break;
	}
	return false;
}

/* First the watches, then the copy: no change in between is missed. */
static _Noreturn void follow(void)
{
	for (bool first = true;; first = false) {
		struct pollfd changed = {.fd = inotify_init1(IN_CLOEXEC), .events = POLLIN};
		char target[PATH_MAX];
		ssize_t n = readlink(RESOLV_CONF, target, sizeof(target) - 1);
		bool watched = changed.fd >= 0 && watch(changed.fd, RESOLV_CONF);

		target[n > 0 ? n : 0] = '\0';
		if (target[0] == '/')
			watched = changed.fd >= 0 && watch(changed.fd, target) && watched;
		copy(COPY_FD);
		if (first && (write(FIRST_FD, "", 1) != 1 || close(FIRST_FD) < 0))
			_exit(1);
		poll(&changed, 1, watched ? -1 : AGAIN_MS);
		if (changed.fd >= 0)
			close(changed.fd);
	}
}

static const int calls[] = {
	SCMP_SYS(close), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(ftruncate), SCMP_SYS(inotify_add_watch),
	SCMP_SYS(inotify_init1), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(poll), SCMP_SYS(pwrite64), SCMP_SYS(read),
	SCMP_SYS(readlink), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn), SCMP_SYS(write),
};

/* The signal at the parent's end is asked for after the change of user, which cancels it. */
static int confine(pid_t parent)
{
	const struct restriction filter = {.lists = {SYSFILTER_LIST(SCMP_ACT_ALLOW, calls)}};
	_cleanup_(cleanup_close) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct landlock_place place = {root, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR};
	int r = root < 0 ? -errno : 0;

	if (r == 0 && geteuid() == 0) {
		r = capabilities_bound(0);
		if (r == 0)
			r = privilege_user(RESOLV_UID, RESOLV_UID, NULL, 0);
	}
	if (r == 0)
		r = restrict_capabilities();
	if (r == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
		r = -ESRCH;
	if (r == 0)
		r = landlock_restrict(&(struct landlock){.places = &place, .n_places = 1, .scoped = true});
	return r < 0 ? r : restrict_calls(&filter);
}

void resolv_follow(const struct podman *podman)
{
	const char *name = json_object_get_string(key_member(podman->service, "name"));
	_cleanup_(cleanup_close) int fd = -1;
	pid_t parent = getpid(), child;
	char path[128], byte;
	int first[2];
	ssize_t n;

	podman_directory(RESOLV_COPIES, 0700);
	snprintf(path, sizeof(path), RESOLV_COPIES "/%s", name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		podman_fail(STAGE_AGAIN, "%s: %s", path, error_words(errno));
	if (pipe2(first, O_CLOEXEC) < 0 || (child = fork()) < 0)
		podman_fail(STAGE_AGAIN, "a process for name servers: %s", error_words(errno));
	if (child > 0) {
		close(first[1]);
		do
			n = read(first[0], &byte, 1);
		while (n < 0 && errno == EINTR);
		close(first[0]);
		if (n != 1)
			podman_fail(STAGE_AGAIN, "the process for name servers has ended");
		return;
	}
	prctl(PR_SET_NAME, "resolv-conf");
	if (dup2(fd, COPY_FD) < 0 || dup2(first[1], FIRST_FD) < 0 ||
	    syscall(SYS_close_range, FIRST_FD + 1, ~0U, 0) < 0 || confine(parent) < 0)
		_exit(1);
	follow();
}
