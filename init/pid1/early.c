/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements early.h. Modules are loaded before the loop and not in parallel to it, so that stages can rely on drivers
 * for existing devices, and the platform can be detected at once. A child loads them, because a kernel oops kills the
 * loading task, and that must not be PID 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "early.h"
#include "init/event/event.h"
#include "init/lib/landlock.h"
#include "init/lib/loop.h"
#include "init/lib/words.h"

#define MODULES_DEADLINE_MS 20000
#define IMAGE_FILE          "image"
#define IMAGE_WORD_MAX      63	/* as in struct control_boot */
#define MODULES_LIST_MAX    65536
#define UNKNOWN_SYMBOL      4096	/* above every errno; the kernel's ENOENT would look like a missing file */

#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000	/* Linux 5.8 */
#endif

struct mount {
	const char *type, *target;
	unsigned long flags;
	const char *options;
	mode_t mode;		/* of the directory, if it is missing */
};

#define PLAIN (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static const struct mount mounts[] = {
	{"proc", "/proc", PLAIN, NULL, 0555},
	{"sysfs", "/sys", PLAIN, NULL, 0555},
	{"devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC, "mode=0755", 0755},
	{"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666", 0755},
	{"tmpfs", "/dev/shm", PLAIN, "mode=1777", 01777},
	{"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755,size=25%", 0755},
	{"tmpfs", "/run/lock", PLAIN, "mode=1777,size=1m,nr_inodes=1k", 01777},	/* everybody's: it must not fill /run */
	{"tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777", 01777},
	{"cgroup2", "/sys/fs/cgroup", PLAIN, "nsdelegate,memory_recursiveprot", 0755},
	{"securityfs", "/sys/kernel/security", PLAIN, NULL, 0755},
};

static const struct mount late_mounts[] = {
	{"configfs", "/sys/kernel/config", PLAIN, NULL, 0755},
};

static const struct {
	const char *path;
	mode_t mode;
} directories[] = {
	{"/run/gantry", 0755},	/* sockets and the FIFO */
	{"/run/gantry/rendered", 0755},	/* for files that the stage render makes for one boot: init/config/sockets.h */
	{"/run/dhcp", 0755},	/* of dhcpcd's user; here, so that it can be watched before that service has started */
};

static const char *const links[][2] = {
	{"/proc/self/fd", "/dev/fd"},
	{"/proc/self/fd/0", "/dev/stdin"},
	{"/proc/self/fd/1", "/dev/stdout"},
	{"/proc/self/fd/2", "/dev/stderr"},
};

static bool is_mount_point(const char *path)
{
	struct statx st;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &st) == 0 &&
		(st.stx_attributes_mask & st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static bool kernel_has(const char *type)
{
	_cleanup_(cleanup_close) int fd = (int)syscall(SYS_fsopen, type, 0);

	return fd >= 0 || errno != ENODEV;
}

/*
 * 0 or negative errno. A file system that the kernel does not have is reported as information, not as an error; also
 * one whose mount point comes with it, such as configfs.
 */
static int mount_one(const struct mount *m)
{
	int r = 0;

	if (mkdir(m->target, m->mode) < 0 && errno != EEXIST && access(m->target, F_OK) < 0)
		r = -errno;
	else if (is_mount_point(m->target))
		return 0;
	else if (mount(m->type, m->target, m->type, m->flags, m->options) < 0 && errno != EBUSY)
		r = -errno;
	if (r == -ENODEV || (r == -ENOENT && !kernel_has(m->type)))
		event_say(EVENT_INFO, "gantry", "%s not mounted: this kernel has no %s", m->target, m->type);
	else if (r < 0)
		event_say(EVENT_ERROR, "gantry", "cannot mount %s at %s: %s", m->type, m->target, error_words(-r));
	return r;
}

int early_mounts(void)
{
	int result = 0;

	umask(0);
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		int r = mount_one(&mounts[i]);

		if (r < 0)
			result = r;
	}
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		if (mkdir(directories[i].path, directories[i].mode) < 0 && errno != EEXIST)
			event_say(EVENT_ERROR, "gantry", "cannot create directory %s: %s", directories[i].path,
				  error_words(errno));
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST)
			event_say(EVENT_WARNING, "gantry", "cannot create link %s: %s", links[i][1],
				  error_words(errno));
	umask(0022);
	return result;
}

/* Services, and stages without a capability, use 127.0.0.1. */
void early_loopback(void)
{
	struct ifreq lo = {.ifr_name = "lo"};
	_cleanup_(cleanup_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool up = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &lo) == 0;

	if (up && !(lo.ifr_flags & IFF_UP)) {
		lo.ifr_flags |= IFF_UP;
		up = ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
	}
	if (!up)
		event_say(EVENT_WARNING, "gantry", "cannot set the network interface lo up: %s", error_words(errno));
}

void early_landlock(void)
{
	int version = landlock_version();

	if (!version)
		event_say(EVENT_ERROR, "gantry", "this kernel has no landlock: stages are not started without it, "
			  "except those that mount disks or run programs");
	else if (version < LANDLOCK_WANTED)
		event_say(EVENT_WARNING, "gantry", "this kernel's landlock is version %d, not %d: a stage that is "
			  "broken into may %s", version, LANDLOCK_WANTED,
			  version < 4 ? "use any TCP port, and send signals to processes of its user" :
			  "send signals to processes of its user");
}

void early_image(const char *configuration, const char **ret_name, const char **ret_version)
{
	static char line[2 * IMAGE_WORD_MAX + 4], name[IMAGE_WORD_MAX + 1], version[IMAGE_WORD_MAX + 1];
	static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+~-";
	const char *slash = strrchr(configuration, '/');
	_cleanup_(cleanup_close) int fd = -1;
	char path[512];
	size_t first, second;
	ssize_t n;

	*ret_name = *ret_version = "";
	snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash + 1 - configuration) : 0, configuration, IMAGE_FILE);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);
	if (n <= 0)
		return;
	first = strspn(line, word);
	second = line[first] == ' ' ? strspn(line + first + 1, word) : 0;
	if (!first || first > IMAGE_WORD_MAX || !second || second > IMAGE_WORD_MAX ||
	    strcmp(line + first + 1 + second, "\n"))
		return;
	memcpy(name, line, first);
	memcpy(version, line + first + 1, second);
	*ret_name = name;
	*ret_version = version;
}

void early_hostname(const char *name)
{
	if (sethostname(name, strlen(name)) < 0)
		event_say(EVENT_WARNING, "gantry", "cannot set hostname %s: %s", name, error_words(errno));
}

static int write_sysctl(const struct config_pair *sysctl)
{
	char path[512], *name;
	_cleanup_(cleanup_close) int fd = -1;
	int n;

	snprintf(path, sizeof(path), "/proc/sys/%s", sysctl->name);
	name = path + strlen("/proc/sys/");
	if (!strchr(name, '/'))		/* in a name with slashes, dots are part of it (eth0.5) */
		for (; *name; name++)
			if (*name == '.')
				*name = '/';
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	if (fd < 0)
		return -errno;
	n = dprintf(fd, "%s\n", sysctl->value);	/* the newline makes an empty value a write, too */
	return n < 0 ? -errno : 0;
}

void early_sysctls(const struct config_pair *sysctls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = write_sysctl(&sysctls[i]);

		if (r < 0)
			event_say(EVENT_WARNING, "gantry", "sysctl %s: %s", sysctls[i].name, error_words(-r));
	}
}

/* ---- modules -------------------------------------------------------------------------------------------------- */

/* Whether the kernel has the module already: it would verify the file's signature before it says so. */
static bool is_loaded(const char *path)
{
	const char *slash = strrchr(path, '/');
	char name[64], state_path[128], state[8] = "";
	_cleanup_(cleanup_close) int fd = -1;

	snprintf(name, sizeof(name), "%s", slash ? slash + 1 : path);
	name[strcspn(name, ".")] = '\0';
	for (char *c = name; *c; c++)
		if (*c == '-')
			*c = '_';
	snprintf(state_path, sizeof(state_path), "/sys/module/%s/initstate", name);
	fd = open(state_path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, state, sizeof(state) - 1) > 0 && !strcmp(state, "live\n");
}

static int load_module(const char *path)
{
	_cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *end = strrchr(path, '.');
	int flags = end && strcmp(end, ".ko") ? MODULE_INIT_COMPRESSED_FILE : 0;

	if (fd < 0)
		return -errno;
	if (is_loaded(path))
		return 0;
	if (syscall(SYS_finit_module, fd, "", flags) == 0 || errno == EEXIST)
		return 0;
	return errno == ENOENT ? -UNKNOWN_SYMBOL : -errno;
}

/* Calls `each` for every line of the list that is not empty or a comment. */
static void for_each_path(char *list, void (*each)(const char *path, void *arg), void *arg)
{
	char *rest = NULL;

	for (char *line = strtok_r(list, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (line[0] && line[0] != '#')
			each(line, arg);
}

/* In the child: loads a module and writes a line to the pipe: errno, microseconds, path. */
static void load_and_report(const char *path, void *arg)
{
	int64_t start_ns = loop_now_ns();
	int r = load_module(path);

	dprintf(*(int *)arg, "%d %lld %s\n", -r, (long long)(loop_now_ns() - start_ns) / 1000, path);
}

struct tally {
	unsigned loaded, failed;
};

/* In PID 1: reports a module, from the child's line. */
static void report_module(const char *line, void *arg)
{
	struct tally *tally = arg;
	char *path;
	long error = strtol(line, &path, 10);
	long took_us = strtol(path, &path, 10);

	if (*path == ' ')
		path++;
	if (error == 0) {
		event_say(EVENT_DEBUG, "gantry", "module %s loaded in %.1f ms", path, (double)took_us / 1e3);
		tally->loaded++;
		return;
	}
	tally->failed++;
	if (error == UNKNOWN_SYMBOL)
		event_say(EVENT_INFO, "gantry", "module %s: needs a module that is not loaded", path);
	else	/* ENODEV: its hardware is missing, which is normal on another platform */
		event_say(error == ENODEV ? EVENT_INFO : EVENT_WARNING, "gantry", "module %s: %s", path,
			  error_words((int)error));
}

/* Reads the child's lines until it exits. Returns false at the deadline. */
static bool read_lines(int fd, int64_t deadline_ns, struct tally *tally)
{
	char buffer[8192];
	size_t used = 0;

	for (;;) {
		int64_t left_ms = (deadline_ns - loop_now_ns()) / 1000000;
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		ssize_t n;
		char *end;

		if (left_ms <= 0)
			return false;
		if (poll(&poll_fd, 1, (int)left_ms) <= 0)
			continue;
		n = read(fd, buffer + used, sizeof(buffer) - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return true;
		used += (size_t)n;
		buffer[used] = '\0';
		end = strrchr(buffer, '\n');
		if (end) {
			size_t lines = (size_t)(end + 1 - buffer);

			*end = '\0';
			for_each_path(buffer, report_module, tally);
			memmove(buffer, buffer + lines, used - lines);
			used -= lines;
		} else if (used == sizeof(buffer) - 1) {
			used = 0;	/* no path is that long */
		}
	}
}

/* Reads the file to *ret, NUL-terminated, which the caller frees. 0 or negative errno. */
static int read_list(const char *path, char **ret)
{
	_cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(cleanup_free) char *list = NULL;
	ssize_t n;

	if (fd < 0)
		return -errno;
	list = malloc(MODULES_LIST_MAX);
	if (!list)
		return -ENOMEM;
	n = read(fd, list, MODULES_LIST_MAX);
	if (n < 0)
		return -errno;
	if (n == MODULES_LIST_MAX)
		return -EFBIG;
	list[n] = '\0';
	*ret = list;
	list = NULL;
	return 0;
}

static void load_all(char *list)
{
	struct tally tally = {0};
	int64_t start_ns = loop_now_ns();
	bool ended;
	int pipe_fds[2];
	pid_t child;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		event_say(EVENT_ERROR, "gantry", "cannot load modules: %s", error_words(errno));
		return;
	}
	child = fork();
	if (child == 0) {
		close(pipe_fds[0]);
		for_each_path(list, load_and_report, &pipe_fds[1]);
		_exit(0);
	}
	close(pipe_fds[1]);
	if (child < 0) {
		event_say(EVENT_ERROR, "gantry", "cannot load modules: %s", error_words(errno));
		close(pipe_fds[0]);
		return;
	}
	ended = read_lines(pipe_fds[0], start_ns + MODULES_DEADLINE_MS * 1000000LL, &tally);
	close(pipe_fds[0]);
	if (ended) {
		waitpid(child, NULL, 0);
	} else {	/* the child may hang in the kernel for ever; the loop reaps it if it exits */
		kill(child, SIGKILL);
		event_say(EVENT_ERROR, "gantry", "module number %u of the list hangs; it and those after it are not "
			  "loaded", tally.loaded + tally.failed + 1);
	}
	if (tally.loaded)
		event_say(EVENT_INFO, "gantry", "%u modules loaded in %.2f s", tally.loaded,
			  (double)(loop_now_ns() - start_ns) / 1e9);
}

void early_modules(const char *path)
{
	_cleanup_(cleanup_free) char *list = NULL;
	int r = read_list(path, &list);

	if (r == 0)
		load_all(list);
	else if (r != -ENOENT)
		event_say(EVENT_ERROR, "gantry", "cannot read the list of modules %s: %s", path, error_words(-r));
	for (size_t i = 0; i < sizeof(late_mounts) / sizeof(late_mounts[0]); i++)
		mount_one(&late_mounts[i]);
}
