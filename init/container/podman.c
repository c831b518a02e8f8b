/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements podman.h. Mounts, the registry's password and podman's overlay live in a mount namespace that
 * ends with the last process in it: no mount is left behind, however that process ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>
#include <gantry/stage.h>

#include "init/lib/member.h"
#include "init/lib/privilege.h"
#include "init/lib/report.h"
#include "init/lib/words.h"
#include "listing.h"
#include "podman.h"

#define SECOND_NS       1000000000LL
#define LOOK_S          60	/* for answers from podman's storage */
#define CAUSE_MAX       80	/* bytes of podman's error in a result, beside the image's name */
#define REMOVE_ATTEMPTS 3	/* the first may fail: podman notices only then that a container is dead */
#define ROOT            CONTAINER_RUNTIME "/root"
#define LOCKS           CONTAINER_RUNTIME "/locks"

_Noreturn void podman_fail(int status, const char *fmt, ...)
{
	char reason[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	if (report_result("%s", reason) < 0)
		dprintf(2, "container: %s\n", reason);
	exit(status);
}

static void must(int r, const char *what)
{
	if (r < 0)
		podman_fail(STAGE_AGAIN, "%s: %s", what, error_words(errno));
}

/* ---- where it happens ----------------------------------------------------------------------------------------- */

void podman_directory(const char *path, mode_t mode)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *at = strchr(part + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			podman_fail(STAGE_AGAIN, "directory %s: %s", part, error_words(errno));
		*at = '/';
	}
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		podman_fail(STAGE_AGAIN, "directory %s: %s", path, error_words(errno));
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	if (walk->level > 0)
		(void)remove(path);
	return 0;
}

void podman_empty(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Replaced by rename(): roles of several services write it at the same time. */
static void make_file(const char *name, const char *text)
{
	char path[128], temporary[128];
	_cleanup_(cleanup_close) int fd = -1;
	size_t n = strlen(text);

	snprintf(path, sizeof(path), CONTAINER_RUNTIME "/%s", name);
	snprintf(temporary, sizeof(temporary), CONTAINER_RUNTIME "/.%s.%d", name, getpid());
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, n) != (ssize_t)n || rename(temporary, path) < 0)
		podman_fail(STAGE_AGAIN, "%s: %s", path, error_words(errno));
}

/* Instead of /etc/containers. The digest identifies the image, so the signature policy accepts any. */
static void make_configuration(void)
{
	podman_directory(CONTAINER_RUNTIME, 0700);
	podman_directory(PODMAN_LOGIN, 0700);
	podman_directory(ROOT, 0700);
	podman_directory(LOCKS, 0700);
	make_file("containers.conf", "[containers]\n[engine]\n");
	make_file("storage.conf", "[storage]\ndriver = \"overlay\"\n");
	make_file("registries.conf", "unqualified-search-registries = []\n");
	make_file("policy.json", "{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}\n");
}

/*
 * The machine's root may be the kernel's first one, out of which nothing can pivot; a copy of it, moved on top of it,
 * can be left. Slave: later mounts are seen here, and mounts made here are not seen elsewhere.
 */
static void enter_namespace(void)
{
	must(unshare(CLONE_NEWNS), "creating the mount namespace failed");
	must(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "making / a slave mount failed");
	must(mount("/", ROOT, NULL, MS_BIND | MS_REC, NULL), "mounting the root failed");
	must(chdir(ROOT), ROOT);
	must(mount(".", "/", NULL, MS_MOVE, NULL), "mounting the root failed");
	must(chroot("."), ROOT);
	must(chdir("/"), "/");
	must(mount("login", PODMAN_LOGIN, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=1m"),
	     PODMAN_LOGIN);
}

/* A link of /proc cannot be mounted out of another mount namespace, so it has to be the path, as it was before. */
static void keep_own_path(struct podman *podman)
{
	ssize_t n = readlink("/proc/self/exe", podman->own, sizeof(podman->own) - 1);

	podman->own[n > 0 ? n : 0] = '\0';
}

bool podman_has_own_path(const struct podman *podman)
{
	struct stat own, found;

	return stat("/proc/self/exe", &own) == 0 && stat(podman->own, &found) == 0 && own.st_dev == found.st_dev &&
	       own.st_ino == found.st_ino;
}

/* ---- its rights ----------------------------------------------------------------------------------------------- */

/* What podman, conmon, crun and netavark do not need; a container that lists one of them gets it all the same. */
static const struct {
	const char *name;
	int number;
} dropped[] = {
	{"SYS_MODULE", CAP_SYS_MODULE}, {"SYS_RAWIO", CAP_SYS_RAWIO}, {"SYS_BOOT", CAP_SYS_BOOT},
	{"SYS_TIME", CAP_SYS_TIME}, {"SYS_PACCT", CAP_SYS_PACCT}, {"LINUX_IMMUTABLE", CAP_LINUX_IMMUTABLE},
	{"LEASE", CAP_LEASE}, {"MAC_OVERRIDE", CAP_MAC_OVERRIDE}, {"MAC_ADMIN", CAP_MAC_ADMIN},
	{"SYSLOG", CAP_SYSLOG}, {"WAKE_ALARM", CAP_WAKE_ALARM}, {"BLOCK_SUSPEND", CAP_BLOCK_SUSPEND},
	{"AUDIT_CONTROL", CAP_AUDIT_CONTROL}, {"AUDIT_READ", CAP_AUDIT_READ}, {"PERFMON", CAP_PERFMON},
	{"BPF", CAP_BPF}, {"CHECKPOINT_RESTORE", CAP_CHECKPOINT_RESTORE},
};

static bool lists(struct json_object *names, const char *name)
{
	for (size_t i = 0; names && i < json_object_array_length(names); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(names, i)), name))
			return true;
	return false;
}

/* Of this process and of every podman that it starts. */
static void drop_rights(struct json_object *service)
{
	struct json_object *wanted = key_member(key_member(service, "container"), "capabilities");
	uint64_t permitted, effective, kept = UINT64_MAX;
	int r;

	for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
		if (!lists(wanted, dropped[i].name))
			kept &= ~(UINT64_C(1) << dropped[i].number);
	r = capabilities_bound(kept);
	if (r == 0)
		r = capabilities_get(&permitted, &effective);
	if (r == 0)
		r = capabilities_keep(permitted & kept, false);
	if (r < 0)
		podman_fail(STAGE_AGAIN, "dropping capabilities: %s", error_words(-r));
}

/* ---- asking podman -------------------------------------------------------------------------------------------- */

/*
 * "Error: ..." without that word and without the image at its beginning. Other lines of podman are kept only until
 * there is an error.
 */
void podman_keep_error(void *with, const char *line)
{
	struct podman *podman = with;
	static const char error[] = "Error: ", source[] = "initializing source docker://";
	bool is_error = !strncmp(line, error, sizeof(error) - 1);
	size_t size = podman->image ? strlen(podman->image) : 0;

	podman->mismatch |= container_is_mismatch(line);
	if (!is_error && podman->last[0])
		return;
	if (is_error)
		line += sizeof(error) - 1;
	if (size > 0 && !strncmp(line, source, sizeof(source) - 1) &&
	    !strncmp(line + sizeof(source) - 1, podman->image, size) &&
	    !strncmp(line + sizeof(source) - 1 + size, ": ", 2))
		line += sizeof(source) - 1 + size + 2;
	snprintf(podman->last, sizeof(podman->last), "%s", line);
}

/* podman 5.4: libimage's ErrImageUnknown, after the image's name. */
bool podman_lacks_image(const struct podman *podman)
{
	static const char end[] = ": image not known";
	size_t n = strlen(podman->last);

	return n > sizeof(end) - 1 && !strcmp(podman->last + n - (sizeof(end) - 1), end) &&
	       !strncmp(podman->last, podman->image, strlen(podman->image));
}

/* The end of "doing this: doing that: why" is nearest to the reason: as much of it as a result has room for. */
const char *podman_cause(const struct podman *podman)
{
	const char *text = podman->last, *next;

	while (strlen(text) > CAUSE_MAX && (next = strstr(text, ": ")))
		text = next + 2;
	return text;
}

int podman_ask(struct podman *podman, const struct podman_ask *ask)
{
	struct container_words words;
	struct run run = {
		.environment = podman->environment.words,
		.input = ask->input,
		.input_size = ask->input_size,
		.deadline_ns = ask->deadline_ns ? ask->deadline_ns : run_now_ns() + LOOK_S * SECOND_NS,
		.tick_ns = ask->tick_ns,
		.line = ask->line ? ask->line : podman_keep_error,
		.tick = ask->tick,
		.with = podman,
	};
	int r = -ENOMEM;

	container_command(ask->what, podman->service, ask->argument, &words);
	run.words = words.words;
	podman->last[0] = '\0';
	if (!words.failed)
		r = run_program(&run);
	podman->late = r == -ETIMEDOUT;
	if (r < 0)
		snprintf(podman->last, sizeof(podman->last), "%s",
			 r == -ETIMEDOUT ? "podman did not end in time" : error_words(-r));
	container_free(&words);
	return r;
}

void podman_begin(struct podman *podman, struct json_object *service)
{
	struct json_object *containers = key_member(service, "containers");
	const char *path = json_object_get_string(key_member(containers, "podman"));

	podman->service = service;
	podman->image = json_object_get_string(key_member(key_member(service, "container"), "image"));
	if (access(path, X_OK) < 0)
		podman_fail(STAGE_NEVER, "%s: %s", path, error_words(errno));
	container_environment(service, &podman->environment);
	if (podman->environment.failed)
		podman_fail(STAGE_AGAIN, "environment: %s", error_words(ENOMEM));
	keep_own_path(podman);
	make_configuration();
	enter_namespace();
	drop_rights(service);
}

/* ---- one who has the name ------------------------------------------------------------------------------------- */

/* Not closed by exec: podman has it as long as it runs, and closes it for the container. */
bool podman_lock(struct podman *podman, bool wait)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), LOCKS "/%s",
		 json_object_get_string(key_member(podman->service, "name")));
	fd = open(path, O_RDONLY | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0)
		podman_fail(STAGE_AGAIN, "%s: %s", path, error_words(errno));
	while (flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return false;
		if (errno != EINTR)
			podman_fail(STAGE_AGAIN, "%s: %s", path, error_words(errno));
	}
	return true;
}

int podman_try_lock(const char *name)
{
	char path[128];
	int fd;

	if (*name == '.' || strchr(name, '/') || snprintf(path, sizeof(path), LOCKS "/%s", name) >= (int)sizeof(path))
		return -EINVAL;
	fd = open(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return -EWOULDBLOCK;
	}
	return fd < 0 ? -errno : fd;
}

/* ---- remains of a container ----------------------------------------------------------------------------------- */

static void network_line(void *with, const char *line)
{
	struct podman *podman = with;

	if (listing_is_network(line) && strlen(line) < sizeof(podman->network))
		snprintf(podman->network, sizeof(podman->network), "%s", line);
	podman_keep_error(podman, line);
}

/*
 * A container's network namespace ends with its processes, but netavark's rules on the machine do not: they redirect
 * its ports to an address that is gone, ahead of the next container's rules. podman removes them only from inside the
 * namespace, and does not try again after a failure; so an empty namespace is mounted in its place.
 */
static void stand_in_network(const char *path)
{
	_cleanup_(cleanup_close) int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_(cleanup_close) int place = -1;

	must(own, "opening the network namespace failed");
	podman_directory("/run/netns", 0755);
	place = open(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	must(place, path);
	must(unshare(CLONE_NEWNET), "creating a network namespace failed");
	must(mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL), path);
	must(setns(own, CLONE_NEWNET), "leaving the new network namespace failed");
}

int podman_remove(struct podman *podman)
{
	const struct podman_ask remove = {.what = CONTAINER_REMOVE};
	const struct podman_ask look = {.what = CONTAINER_NETWORK, .line = network_line};
	struct json_object *container = key_member(podman->service, "container");

	podman->network[0] = '\0';
	if (!strcmp(json_object_get_string(key_member(container, "network")), "bridge") &&
	    podman_ask(podman, &look) == 0 && podman->network[0])
		stand_in_network(podman->network);
	for (int i = 0; i < REMOVE_ATTEMPTS; i++)
		if (podman_ask(podman, &remove) == 0)
			return 0;
	return -EIO;
}
