/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements netdaemon.h: a row for each of the two programs. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>

#include "init/lib/account.h"
#include "netdaemon.h"

#define CAPABILITIES_MAX 5

static const struct net_daemon {
	const char *program;
	const char *user;				/* it knows no other; NULL: any but root */
	const char *needs[CAPABILITIES_MAX];		/* NULL-ended */
	const char *may_have[CAPABILITIES_MAX];		/* likewise; besides those */
	bool filters_by_option;				/* as chronyd(8) has them: -U -u USER -F LEVEL */
} net_daemons[] = {
	{"dhcpcd", "dhcpcd", {"NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE", "SYS_CHROOT"}, {NULL}, false},
	/* Those that it may have are for serving time, and for raw sockets bound to a device. */
	{"chronyd", NULL, {NULL}, {"SYS_TIME", "NET_BIND_SERVICE", "NET_RAW"}, true},
};

static const struct net_daemon *find_program(const char *path)
{
	const char *slash = strrchr(path, '/');

	for (size_t i = 0; i < sizeof(net_daemons) / sizeof(net_daemons[0]); i++)
		if (!strcmp(slash ? slash + 1 : path, net_daemons[i].program))
			return &net_daemons[i];
	return NULL;
}

static const struct net_daemon *find(struct json_object *service)
{
	struct json_object *command = key_member(service, "command");

	return command ? find_program(json_object_get_string(json_object_array_get_idx(command, 0))) : NULL;
}

static const char *user_of(struct json_object *service)
{
	struct json_object *user = key_member(service, "user");

	return user ? json_object_get_string(user) : "root";
}

bool net_daemon_is(const char *path)
{
	return find_program(path) != NULL;
}

static bool has(const char *const names[], const char *name)
{
	for (size_t i = 0; names[i]; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static bool lists(struct json_object *array, const char *name)
{
	for (size_t i = 0; array && i < json_object_array_length(array); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(array, i)), name))
			return true;
	return false;
}

static int check_capabilities(struct check *check, const struct place *place, struct json_object *service,
			      const struct net_daemon *daemon)
{
	struct json_object *list = key_member(service, "capabilities");
	const struct place at = {.up = place, .key = "capabilities"};

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const struct place item = {.up = &at, .index = (uint32_t)i};
		const char *name = json_object_get_string(json_object_array_get_idx(list, i));

		if (!has(daemon->needs, name) && !has(daemon->may_have, name))
			return check_fail(check, &item, "%s must not have %s", daemon->program, name);
	}
	for (size_t i = 0; daemon->needs[i]; i++)
		if (!lists(list, daemon->needs[i]))
			return check_fail_member(check, place, "capabilities", "%s requires the capability %s",
						 daemon->program, daemon->needs[i]);
	return 0;
}

/* The value of an option of one letter, beside it or in the next word; "" for one without; NULL: not given. */
static const char *argument(struct json_object *command, char letter)
{
	const char *found = NULL;

	for (size_t i = 1; i < json_object_array_length(command); i++) {
		const char *word = json_object_get_string(json_object_array_get_idx(command, i));

		if (word[0] != '-' || word[1] != letter)
			continue;
		found = word + 2;
		if (!found[0] && i + 1 < json_object_array_length(command))
			found = json_object_get_string(json_object_array_get_idx(command, i + 1));
	}
	return found;
}

/* A negative level goes on without the filter where the kernel refuses it. */
static int check_filter(struct check *check, const struct place *place, struct json_object *service,
			const struct net_daemon *daemon, const char *user)
{
	struct json_object *command = key_member(service, "command");
	const struct place at = {.up = place, .key = "command"};
	const char *level = argument(command, 'F'), *as = argument(command, 'u');

	if (!argument(command, 'U') || !as || strcmp(as, user))
		return check_fail(check, &at, "%s requires \"-U\", \"-u\", \"%s\": otherwise it expects to be root",
				  daemon->program, user);
	if (!level || (strcmp(level, "1") && strcmp(level, "2")))
		return check_fail(check, &at, "%s requires \"-F\", \"2\": otherwise it runs without its system call "
				  "filter", daemon->program);
	return 0;
}

int check_net_daemon(struct check *check, const struct place *place, struct json_object *service)
{
	const struct net_daemon *daemon = find(service);
	const struct place user_at = {.up = place, .key = "user"};
	struct json_object *no_new_privs = key_member(service, "no_new_privs");
	const char *user = user_of(service);
	int r;

	if (!daemon)
		return 0;
	if (daemon->user && strcmp(user, daemon->user))
		return check_fail(check, key_member(service, "user") ? &user_at : place,
				  "%s runs as user \"%s\", and as no other", daemon->program, daemon->user);
	if (!strcmp(user, "root"))
		return check_fail(check, key_member(service, "user") ? &user_at : place,
				  "%s must not run as root: the predefined user for it is \"chrony\"", daemon->program);
	if (no_new_privs && !json_object_get_boolean(no_new_privs))
		return check_fail_member(check, place, "no_new_privs", "%s requires \"no_new_privs\"", daemon->program);
	r = check_capabilities(check, place, service, daemon);
	return r < 0 || !daemon->filters_by_option ? r : check_filter(check, place, service, daemon, user);
}

static int open_in_image(const struct check *check, const char *path, int flags)
{
	const struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	int fd = (int)syscall(SYS_openat2, check->image_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

int check_net_daemon_image(struct check *check, const struct place *place, struct json_object *service)
{
	const char *user = user_of(service);
	const struct place at = {.up = place, .key = "user"};
	_cleanup_(cleanup_close) int passwd = -1, home = -1;
	char path[32], home_path[ACCOUNT_HOME_MAX];
	uid_t uid;
	gid_t gid;
	int r;

	if (!find(service))
		return 0;
	passwd = open_in_image(check, "/etc/passwd", O_RDONLY);
	if (passwd < 0)
		return check_fail(check, &at, "the image has no /etc/passwd: %s", strerror(-passwd));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", passwd);
	r = account_user(path, user, &uid, &gid);
	if (r == 0)
		r = account_home(path, user, home_path);
	if (r < 0 || uid == 0)
		return check_fail(check, &at, "\"%s\" is not a user of the image", user);
	home = open_in_image(check, home_path, O_PATH | O_DIRECTORY);
	if (home < 0)
		return check_fail(check, &at, "the home directory of \"%s\" is not in the image: %s", user,
				  strerror(-home));
	return 0;
}
