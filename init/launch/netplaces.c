/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements netplaces.h. A path that is not there gives nothing. /etc is read as a whole: which of its files a program
 * includes is in its configuration, and what is secret there is root's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "init/config/netdaemon.h"
#include "init/lib/landlock.h"
#include "init/lib/member.h"
#include "netplaces.h"

#define PLACES_MAX  64
#define RESOLV_CONF "/etc/resolv.conf"

#define READS    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define EXECUTES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE)
#define SETS     (READS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define DEVICE   (SETS | LANDLOCK_ACCESS_FS_IOCTL_DEV)
#define OWNS     (SETS | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)

struct row {
	const char *path;
	uint64_t rights;
};

static const struct row of_both[] = {
	{"/etc", READS}, {"/dev/null", DEVICE}, {"/dev/urandom", READS},
	/* a program with shared libraries */
	{"/lib", EXECUTES}, {"/lib64", EXECUTES}, {"/usr/lib", EXECUTES}, {NULL, 0},
};

static const struct row of_dhcpcd[] = {
	{"/proc/sys/net", SETS}, {"/sys/class/net", READS}, {"/sys/devices", READS},
	{"/proc/cpuinfo", READS},	/* it tells servers what it runs on */
	{"/proc/self/exe", EXECUTES},	/* the role dhcp-hook */
	{NULL, 0},
};

static const struct row of_chronyd[] = {
	{"/dev/ptp0", DEVICE}, {"/dev/ptp1", DEVICE}, {"/dev/ptp_hyperv", DEVICE}, {"/dev/pps0", DEVICE},
	{"/dev/rtc0", DEVICE}, {"/usr/share/zoneinfo", READS}, {NULL, 0},
};

static const struct {
	const char *program;
	const struct row *rows;
} programs[] = {
	{"dhcpcd", of_dhcpcd},
	{"chronyd", of_chronyd},
};

struct opened {
	struct landlock_place list[PLACES_MAX];
	size_t n;
	int error;
};

static void open_place(struct opened *opened, const char *path, uint64_t rights)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
		opened->error = -errno;
	else if (fd >= 0 && opened->n == PLACES_MAX)
		opened->error = -E2BIG;
	else if (fd >= 0)
		opened->list[opened->n++] = (struct landlock_place){fd, rights};
}

static void open_rows(struct opened *opened, const struct row *rows)
{
	for (; rows->path; rows++)
		open_place(opened, rows->path, rows->rights);
}

/* The folder of what it is a link to. */
static void open_resolv_conf(struct opened *opened)
{
	char target[PATH_MAX];
	ssize_t n = readlink(RESOLV_CONF, target, sizeof(target) - 1);
	char *slash;

	target[n > 0 ? n : 0] = '\0';
	slash = strrchr(target, '/');
	if (target[0] != '/' || slash == target)
		return;
	*slash = '\0';
	open_place(opened, target, READS);
}

/* What the service's steps make for its user. */
static void open_own(struct opened *opened, struct json_object *service)
{
	struct json_object *steps = key_member(service, "before_start");
	const char *user = json_object_get_string(key_member(service, "user"));

	for (size_t i = 0; user && steps && i < json_object_array_length(steps); i++) {
		struct json_object *step = json_object_array_get_idx(steps, i);
		const char *path = json_object_get_string(key_member(step, "directory"));
		const char *owner = json_object_get_string(key_member(step, "user"));

		if (path && owner && !strcmp(owner, user))
			open_place(opened, path, OWNS);
	}
}

int netplaces_restrict(struct json_object *service)
{
	const char *program = json_object_get_string(json_object_array_get_idx(key_member(service, "command"), 0));
	const char *name = program && strrchr(program, '/') ? strrchr(program, '/') + 1 : "";
	struct opened opened = {.n = 0};
	struct landlock with = {.places = opened.list, .tcp = LANDLOCK_NO_TCP, .scoped = true};
	int r;

	if (!net_daemon_is(name))
		return 0;
	if (!landlock_version())
		return -ENOSYS;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (!strcmp(programs[i].program, name))
			open_rows(&opened, programs[i].rows);
	open_rows(&opened, of_both);
	open_place(&opened, program, EXECUTES);
	open_resolv_conf(&opened);
	open_own(&opened, service);
	with.n_places = opened.n;
	r = opened.error ? opened.error : landlock_restrict(&with);
	for (size_t i = 0; i < opened.n; i++)
		close(opened.list[i].fd);
	return r;
}
