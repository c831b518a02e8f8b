/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The launcher: everything between PID 1's fork and a service's first instruction. PID 1 must not read files or walk
 * directories, so this process does, as root with the capabilities that the service's keys need, and then executes the
 * program, which closes the report socket; or it reports the reason of the failure. It has no other end. It runs in a
 * fork of PID 1 or of the fork server, without an exec of its own, which would cost more than all the rest; so it uses
 * neither atexit nor stdio of that memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/role.h>
#include <gantry/stage.h>

#include "envfile.h"
#include "init/config/format.h"
#include "init/config/interpreter.h"
#include "init/config/netdaemon.h"
#include "init/container/container.h"
#include "init/lib/account.h"
#include "init/lib/member.h"
#include "init/lib/options.h"
#include "init/lib/privilege.h"
#include "init/lib/report.h"
#include "init/lib/words.h"
#include "init/process/birth.h"
#include "isolate.h"
#include "launch.h"
#include "netplaces.h"
#include "prestart.h"
#include "profile.h"
#include "sandbox.h"
#include "trace.h"
#include "tree.h"

#define SERVICE_SIZE_MAX (1u << 20)
#define GROUPS_MAX       64
#define PATH_DEFAULT     "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define AS_USUAL         UINT64_MAX	/* no capabilities configured: root keeps its own, another user has none */
#define PASSWD_PATH      "/etc/passwd"
#define GROUP_PATH       "/etc/group"

/* Every failure ends here, in fail() those that no retry can mend. */
static _Noreturn void end(int status, const char *reason)
{
	if (report_result("%s", reason) < 0)
		dprintf(2, "launch: %s\n", reason);
	_exit(status);
}

static _Noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void fail(const char *fmt, ...)
{
	char reason[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	end(STAGE_NEVER, reason);
}

static const char *string(struct json_object *service, const char *name)
{
	return json_object_get_string(key_member(service, name));
}

/* Every service has these keys: the check of boot.json adds their defaults. */
static void require(struct json_object *service)
{
	static const char *const names[] = {"user", "directory", "umask", "no_new_privs"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!key_member(service, names[i]))
			fail("the service has no \"%s\"", names[i]);
}

static size_t length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static const char *item(struct json_object *array, size_t i)
{
	return json_object_get_string(json_object_array_get_idx(array, i));
}

/* As a role of its own: its descriptors are not known. */
static void own_descriptors(void)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null_fd < 0 || dup2(null_fd, 0) < 0)
		fail("/dev/null: %s", error_words(errno));
	if (fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(OPTIONS_FD, F_SETFD, FD_CLOEXEC) < 0 ||
	    syscall(SYS_close_range, OPTIONS_FD + 1, ~0U, 0) < 0)
		fail("descriptors: %s", error_words(errno));
}

static char *read_service(void)
{
	char *text;
	int r = options_text(SERVICE_SIZE_MAX, &text, NULL);

	if (r < 0)
		fail("descriptor %d does not hold a service: %s", OPTIONS_FD, error_words(-r));
	return text;
}

static void set_limits(struct json_object *limits)
{
	if (!limits)
		return;
	json_object_object_foreach(limits, name, value) {
		bool unlimited = json_object_is_type(value, json_type_string);
		rlim_t n = unlimited ? RLIM_INFINITY : (rlim_t)json_object_get_int64(value);
		struct rlimit limit = {.rlim_cur = n, .rlim_max = n};
		int number = limit_number(name);

		if (number < 0 || setrlimit(number, &limit) < 0)
			fail("limit %s %s: %s", name, json_object_get_string(value),
			     error_words(number < 0 ? EINVAL : errno));
	}
}

static void set_nice(struct json_object *value)
{
	if (value && setpriority(PRIO_PROCESS, 0, json_object_get_int(value)) < 0)
		fail("nice %s: %s", json_object_get_string(value), error_words(errno));
}

/* The kernel takes it as text only. */
static void set_oom_score(struct json_object *value)
{
	const char *text = value ? json_object_get_string(value) : "";
	int fd;

	if (!value)
		return;
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail("oom_score_adj %s: %s", text, error_words(errno));
	close(fd);
}

/* The user and groups that the program runs as. */
struct identity {
	uid_t uid;
	gid_t gid;
	gid_t groups[GROUPS_MAX];
	size_t n_groups;
};

static void find_group(const char *name, gid_t *ret)
{
	int r = account_group(GROUP_PATH, name, ret);

	if (r < 0)
		fail("group \"%s\": %s", name, r == -ENOENT ? "no such group" : error_words(-r));
}

/* By the accounts of its own root. */
static void find_in_tree(struct json_object *root, const char *user, struct identity *identity)
{
	struct tree_user found = {.groups = identity->groups, .n_groups = &identity->n_groups, .max = GROUPS_MAX};
	char reason[400];

	if (tree_find_user(string(root, "path"), user, &found, reason, sizeof(reason)) < 0)
		fail("%s", reason);
	identity->uid = found.uid;
	identity->gid = found.gid;
}

static void find_identity(struct json_object *service, struct identity *identity)
{
	struct json_object *tree = key_member(service, "root");
	const char *user = string(service, "user");
	const char *group = string(service, "group");
	struct json_object *groups = key_member(service, "groups");
	bool root = !strcmp(user, "root");	/* 0, even if the files disagree */
	int r;

	if (tree && string(tree, "user")) {
		find_in_tree(tree, string(tree, "user"), identity);
		return;
	}
	r = root ? 0 : account_user(PASSWD_PATH, user, &identity->uid, &identity->gid);
	if (r < 0)
		fail("user \"%s\": %s", user, r == -ENOENT ? "no such user" : error_words(-r));
	if (group)
		find_group(group, &identity->gid);
	if (!root)
		r = account_memberships(GROUP_PATH, user, identity->groups, &identity->n_groups, GROUPS_MAX);
	for (size_t i = 0; r == 0 && i < length(groups); i++) {
		if (identity->n_groups == GROUPS_MAX)
			r = -E2BIG;
		else
			find_group(item(groups, i), &identity->groups[identity->n_groups++]);
	}
	if (r < 0)
		fail("groups of \"%s\": %s", user, error_words(-r));
}

/* Of the two whose root the home directory may become, and which would go on without it. */
static void check_home(const char *program, const char *user)
{
	char home[ACCOUNT_HOME_MAX];
	struct stat st;
	int r = net_daemon_is(program) ? account_home(PASSWD_PATH, user, home) : 0;

	if (r < 0)
		fail("home directory of \"%s\": %s", user, error_words(-r));
	if (net_daemon_is(program) && (stat(home, &st) < 0 || !S_ISDIR(st.st_mode)))
		fail("home directory of \"%s\": %s is not a directory", user, home);
}

static uint64_t capabilities(struct json_object *names)
{
	uint64_t wanted = 0;

	if (!names)
		return AS_USUAL;
	for (size_t i = 0; i < length(names); i++) {
		int number = capability_number(item(names, i));

		if (number < 0)
			fail("capability \"%s\": no such capability", item(names, i));
		wanted |= UINT64_C(1) << number;
	}
	return wanted;
}

#define CAP(name) (UINT64_C(1) << CAP_##name)

/* Of the launcher itself, beyond those of the service, for what its keys ask for after its steps. */
static uint64_t needed(struct json_object *service)
{
	/* paths and files may be in folders of others */
	uint64_t all = CAP(SETUID) | CAP(SETGID) | CAP(SETPCAP) | CAP(DAC_READ_SEARCH);

	if (json_object_get_boolean(key_member(service, "isolated")) ||
	    json_object_get_boolean(key_member(service, "private_tmp")) || length(key_member(service, "read_only")) ||
	    (string(service, "seccomp") && !json_object_get_boolean(key_member(service, "no_new_privs"))))
		all |= CAP(SYS_ADMIN);
	if (key_member(service, "root"))
		all |= CAP(SYS_ADMIN) | CAP(SYS_CHROOT);
	if (key_member(service, "limits") || key_member(service, "oom_score_adj"))
		all |= CAP(SYS_RESOURCE);
	if (key_member(service, "nice"))
		all |= CAP(SYS_NICE);
	return all;
}

/* Steps change what belongs to others, and may need a writable root. */
static uint64_t needed_by_steps(struct json_object *steps)
{
	return length(steps) ? CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(FOWNER) | CAP(FSETID) | CAP(SYS_ADMIN) |
			       CAP(SYS_CHROOT) : 0;
}

/*
 * The service's own: a root without a list gets all with its program, from the bounding set; under no_new_privs none
 * that were not there before.
 */
static uint64_t own(struct json_object *service, uint64_t kept)
{
	if (kept != AS_USUAL)
		return kept;
	return json_object_get_boolean(key_member(service, "no_new_privs")) &&
	       string(service, "user") && !strcmp(string(service, "user"), "root") ? UINT64_MAX : 0;
}

static void narrow(uint64_t to)
{
	uint64_t permitted, effective;
	int r = capabilities_get(&permitted, &effective);

	r = r < 0 ? r : capabilities_keep(permitted & to, false);
	if (r < 0)
		fail("dropping capabilities: %s", error_words(-r));
}

/* Its view of the files and of the machine. */
static void confine_mounts(struct json_object *service, bool isolated, uint64_t kept)
{
	struct json_object *tree = key_member(service, "root");
	char reason[400];
	int r = sandbox_mounts(isolated, tree, json_object_get_boolean(key_member(service, "private_tmp")),
			       key_member(service, "read_only"), reason, sizeof(reason));

	if (r == 0 && isolated)
		r = isolate_keep(key_member(service, "keep"), kept & UINT64_C(1) << CAP_NET_ADMIN, tree, reason,
				 sizeof(reason));
	if (r == 0 && tree)
		r = tree_enter(tree, json_object_get_boolean(key_member(service, "no_new_privs")), reason,
			       sizeof(reason));
	if (r == 0 && isolated)
		r = isolate_mounts(tree, reason, sizeof(reason));
	if (r < 0)
		fail("%s", reason);
}

/* Restrictions that need root: before the change of user. */
static void confine(struct json_object *service, uint64_t kept)
{
	const char *profile = string(service, "seccomp");
	/* init/config/build.c */
	bool isolated = json_object_get_boolean(key_member(service, "isolated")) || key_member(service, "root");
	int r;

	confine_mounts(service, isolated, kept);
	r = isolated ? isolate_processes(key_member(service, "root")) : 0;
	if (r < 0)
		fail("landlock: %s", error_words(-r));
	r = isolated ? profile_own_limits() : 0;
	if (r < 0)
		fail("seccomp: %s", error_words(-r));
	r = kept == AS_USUAL ? 0 : capabilities_check(kept);
	if (r == 0 && kept != AS_USUAL)
		r = capabilities_bound(kept);
	if (r < 0)
		fail("capabilities: %s", error_words(-r));
	r = json_object_get_boolean(key_member(service, "no_new_privs")) ? privilege_no_new() : 0;
	if (r < 0)
		fail("no_new_privs: %s", error_words(-r));
	r = netplaces_restrict(service);
	if (r < 0)
		fail("landlock: %s", r == -ENOSYS ? "not in this kernel" : error_words(-r));
	r = profile ? profile_load(profile) : 0;
	if (r < 0)
		fail("seccomp \"%s\": %s", profile, r == -ENOENT ? "no such profile" : error_words(-r));
}

/* Root's program gets the capabilities that the bounding set leaves it; another user's gets them as ambient ones. */
static void become(const struct identity *identity, uint64_t kept)
{
	int r;

	if (kept != AS_USUAL && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		fail("capabilities: %s", error_words(errno));
	r = privilege_user(identity->uid, identity->gid, identity->groups, identity->n_groups);
	if (r < 0)
		fail("uid %u, gid %u: %s", (unsigned)identity->uid, (unsigned)identity->gid, error_words(-r));
	r = kept == AS_USUAL ? 0 : capabilities_keep(kept, identity->uid != 0);
	if (r < 0)
		fail("capabilities: %s", error_words(-r));
}

static char **make_command(struct json_object *command)
{
	size_t n = length(command);
	char **argv = calloc(n + 1, sizeof(*argv));

	if (!argv)
		fail("command: %s", error_words(ENOMEM));
	for (size_t i = 0; i < n; i++)
		argv[i] = (char *)item(command, i);
	return argv;
}

/* "name=value" into *slot. */
static void add_variable(char **slot, const char *name, const char *value)
{
	if (asprintf(slot, "%s=%s", name, value) < 0)
		fail("environment: %s", error_words(ENOMEM));
}

static void read_environment_file(struct json_object *service, struct envfile *ret)
{
	const char *path = string(service, "environment_file");
	char reason[200], *text;

	if (path && envfile_read(path, &text, ret, reason, sizeof(reason)) < 0)
		fail("environment_file %s%s", path, reason);
}

static bool is_ours(const char *name, bool notify, bool alive)
{
	return (notify && !strcmp(name, "NOTIFY_SOCKET")) || (alive && !strcmp(name, "WATCHDOG_USEC"));
}

/*
 * The configured variables and no others, except PATH, NOTIFY_SOCKET and WATCHDOG_USEC. boot.json wins over the
 * environment file, because it is measured.
 */
static char **make_environment(struct json_object *service)
{
	static struct envfile file;
	struct json_object *environment = key_member(service, "environment");
	struct json_object *alive = key_member(key_member(service, "watchdog"), "notify_s");
	bool notify = alive || key_member(key_member(service, "ready"), "notify");
	char usec[32];
	size_t n = environment ? (size_t)json_object_object_length(environment) : 0, i = 0;
	char **variables;

	read_environment_file(service, &file);
	variables = calloc(n + file.n + 4, sizeof(*variables));
	if (!variables)
		fail("environment: %s", error_words(ENOMEM));
	for (size_t k = 0; k < file.n; k++)
		if (!key_member(environment, file.variables[k].name) &&
		    !is_ours(file.variables[k].name, notify, alive))
			add_variable(&variables[i++], file.variables[k].name, file.variables[k].value);
	if (!key_member(environment, "PATH") && !envfile_find(&file, "PATH"))
		add_variable(&variables[i++], "PATH", PATH_DEFAULT);
	if (environment) {
		json_object_object_foreach(environment, name, value) {
			if (!is_ours(name, notify, alive))
				add_variable(&variables[i++], name, json_object_get_string(value));
		}
	}
	if (notify)
		add_variable(&variables[i++], "NOTIFY_SOCKET", NOTIFY_SOCKET);
	if (alive) {
		snprintf(usec, sizeof(usec), "%.0f", json_object_get_double(alive) * 1e6);
		add_variable(&variables[i++], "WATCHDOG_USEC", usec);
	}
	return variables;
}

/* Moves the readiness pipe to the number that the service expects, and the report socket out of the way. */
static void place_ready_fd(struct json_object *service)
{
	struct json_object *value = key_member(key_member(service, "ready"), "fd");
	int fd = json_object_get_int(value), r;

	if (!value)
		return;
	r = report_move(fd > READY_FD_PASSED ? fd + 1 : READY_FD_PASSED + 1);
	if (r < 0)
		fail("ready.fd %d: %s", fd, error_words(-r));
	if (fd == READY_FD_PASSED)
		return;
	if (dup2(READY_FD_PASSED, fd) < 0)
		fail("ready.fd %d: %s", fd, error_words(errno));
	close(READY_FD_PASSED);
}

/*
 * A program that opens its log by path (/dev/stderr, as web servers are told to) needs to be allowed to, as the owner
 * of the pipe. Not of /dev/null, which it gets where there is no pipe.
 */
static void give_output(const struct identity *identity)
{
	for (int fd = 1; fd <= 2; fd++) {
		struct stat st;

		if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && fchown(fd, identity->uid, identity->gid) < 0)
			fail("descriptor %d: %s", fd, error_words(errno));
	}
}

/* What is at `ready.path` already is not this life's: the role `await` waits for something else there. */
static void report_trace(struct json_object *service)
{
	const char *path = string(key_member(service, "ready"), "path");
	char trace[TRACE_MAX];

	if (!path)
		return;
	trace_of(path, trace);
	if (trace[0])
		report_send(REPORT_TRACE, trace, strlen(trace) + 1);
}

/* The kernel says the same of a program that is not there and of one whose loader or interpreter is not. */
static _Noreturn void fail_execve(const char *program, int error)
{
	char path[INTERPRETER_MAX], next[INTERPRETER_MAX], magic[2];

	snprintf(path, sizeof(path), "%s", program);
	for (unsigned depth = 0; error == ENOENT && depth < 4; depth++) {
		_cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

		if (fd < 0 || !interpreter_of(fd, next) || pread(fd, magic, sizeof(magic), 0) != sizeof(magic))
			break;
		if (access(next, F_OK) < 0 && errno == ENOENT)
			fail("%s: %s %s is missing", path, magic[0] == '#' ? "interpreter" : "loader", next);
		memcpy(path, next, sizeof(path));
	}
	fail("%s: %s", program, error_words(error));
}

void launch_prepare(void)
{
	static struct json_object *kept;	/* not freed, so that the heap keeps its memory */

	if (!kept)
		kept = json_tokener_parse("{\"name\": \"name\", \"command\": [\"/path\", \"argument\"], "
					  "\"limits\": {\"nofile\": 1024}, \"no_new_privs\": true}");
}

void launch_service(const char *json)
{
	struct json_object *service = json_tokener_parse(json);
	struct identity identity = {0};
	char **command, **environment;
	uint64_t kept;
	char reason[400];
	int r;
	const char *directory;

	if (!json_object_is_type(service, json_type_object) ||
	    (!length(key_member(service, "command")) && !container_is(service)))
		fail("descriptor %d does not hold a service with a command", OPTIONS_FD);
	umask(0);
	kept = capabilities(key_member(service, "capabilities"));
	if (!container_is(service))
		narrow(own(service, kept) | needed(service) | CAP(CHOWN) |
		       needed_by_steps(key_member(service, "before_start")));
	r = prestart_run(key_member(service, "before_start"), reason, sizeof(reason));
	if (r < 0)
		end(prestart_may_pass(r) ? STAGE_AGAIN : STAGE_NEVER, reason);
	report_trace(service);
	if (container_is(service)) {
		set_nice(key_member(service, "nice"));
		set_oom_score(key_member(service, "oom_score_adj"));
		container_become(service);
	}
	require(service);
	find_identity(service, &identity);
	give_output(&identity);
	narrow(own(service, kept) | needed(service));
	set_limits(key_member(service, "limits"));
	set_nice(key_member(service, "nice"));
	command = make_command(key_member(service, "command"));
	check_home(command[0], string(service, "user"));
	environment = make_environment(service);
	set_oom_score(key_member(service, "oom_score_adj"));
	confine(service, kept);
	become(&identity, kept);
	umask((mode_t)strtoul(string(service, "umask"), NULL, 8));
	directory = string(service, "directory");
	if (chdir(directory) < 0)
		fail("directory %s: %s", directory, error_words(errno));
	place_ready_fd(service);
	if (report_closed())	/* PID 1 has given this start up */
		_exit(STAGE_AGAIN);
	execve(command[0], command, environment);
	fail_execve(command[0], errno);
}

int launch_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	own_descriptors();
	birth_default_signals();	/* dispositions survive an exec */
	setsid();
	launch_service(read_service());
}
