/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compares a configuration with the image it is meant for: the programs and files that it names must exist there. Paths
 * below /run or below a mount point exist only at run time and are not checked. The kernel's modules are checked, too:
 * once those of `modules` are loaded no other can be, so what a stage or container needs later has to be in that list.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>

#include "container-keys.h"
#include "hardening.h"
#include "image.h"
#include "interpreter.h"
#include "keys.h"
#include "libraries.h"
#include "netdaemon.h"
#include "root-keys.h"
#include "writable.h"

static const struct stage_option *options_of(struct json_object *stage)
{
	static const struct stage_option none[] = {{0}};
	const struct stage_option *options = stage_find(json_object_get_string(key_member(stage, "type")))->options;

	return options ? options : none;
}

static size_t count(struct json_object *array)
{
	return array ? json_object_array_length(array) : 0;
}

static int open_in_image(const struct check *check, const char *path, uint64_t flags)
{
	const struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};

	return (int)syscall(SYS_openat2, check->image_fd, path, &how, sizeof(how));
}

const char *image_lacks(const struct check *check, const char *path)
{
	_cleanup_(cleanup_close) int fd = open_in_image(check, path, O_PATH);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return strerror(errno);
	return S_ISREG(st.st_mode) ? NULL : "not a regular file";
}

/* The loader of a dynamic program, the interpreter of a script, and theirs: without one, execve(2) says ENOENT. */
static void warn_interpreter(struct check *check, const struct place *place, const char *program)
{
	char path[INTERPRETER_MAX], next[INTERPRETER_MAX] = "", quoted[CHECK_QUOTED_MAX];

	for (unsigned depth = 0; check->warnings && depth < 4; depth++) {
		_cleanup_(cleanup_close) int fd = open_in_image(check, depth ? path : program, O_RDONLY | O_NONBLOCK);
		const char *wrong;

		if (fd < 0 || !interpreter_of(fd, next) || writable_elsewhere(check->root, next))
			return;
		memcpy(path, next, sizeof(path));
		wrong = path[0] == '/' ? image_lacks(check, path) : NULL;
		if (wrong) {
			check_warn(check, place, "%s is executed by %s, which is not in the image: %s",
				   check_quote(quoted, program), path, wrong);
			return;
		}
	}
}

/* ---- libraries ------------------------------------------------------------------------------------------------- */

#define FOUND_MAX        128	/* libraries of one program that are looked for */
#define LIBRARY_PATH_MAX 512

struct search {
	struct check *check;
	const struct place *place;
	const char *program;
	size_t n;
	struct found {
		char name[LIBRARY_NAME_MAX], path[LIBRARY_PATH_MAX];
	} found[FOUND_MAX];
};

/* Where loaders look by themselves: glibc's as Debian has it, and musl's. */
static const char *const library_folders[] = {"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64",
					      "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"};

static bool is_there(struct search *search, const char *folder, size_t folder_size, const char *name)
{
	char *path = search->found[search->n].path;
	int n = snprintf(path, LIBRARY_PATH_MAX, "%.*s/%s", (int)folder_size, folder, name);

	return n > 0 && n < LIBRARY_PATH_MAX && !image_lacks(search->check, path);
}

/* In a RUNPATH, $ORIGIN is the folder of the file that has it. */
static bool in_runpath(struct search *search, const char *runpath, const char *of, const char *name)
{
	static const char *const origins[] = {"$ORIGIN", "${ORIGIN}"};
	char folder[LIBRARY_PATH_MAX];

	for (size_t size; *runpath; runpath += size + (runpath[size] == ':')) {
		size_t skip = 0, n = 0;

		size = strcspn(runpath, ":");
		for (size_t i = 0; i < sizeof(origins) / sizeof(*origins); i++)
			if (!strncmp(runpath, origins[i], strlen(origins[i])))
				skip = strlen(origins[i]);
		if (skip)
			n = (size_t)(strrchr(of, '/') - of);
		if (n + size - skip >= sizeof(folder))
			continue;
		memcpy(folder, of, n);
		memcpy(folder + n, runpath + skip, size - skip);
		if (is_there(search, folder, n + size - skip, name))
			return true;
	}
	return false;
}

static bool find_library(struct search *search, const char *runpath, const char *of, const char *name)
{
	if (strchr(name, '/'))
		return is_there(search, "", 0, name + (name[0] == '/'));
	if (in_runpath(search, runpath, of, name))
		return true;
	for (size_t i = 0; i < sizeof(library_folders) / sizeof(*library_folders); i++)
		if (is_there(search, library_folders[i], strlen(library_folders[i]), name))
			return true;
	return false;
}

static void want_libraries(struct search *search, const char *of)
{
	struct libraries libraries;
	_cleanup_(cleanup_close) int fd = open_in_image(search->check, of, O_RDONLY | O_NONBLOCK);
	char quoted[CHECK_QUOTED_MAX];

	if (fd < 0)
		return;
	libraries_of(fd, &libraries);
	for (size_t i = 0; i < libraries.n && search->n < FOUND_MAX; i++) {
		struct found *found = &search->found[search->n];
		bool known = false;

		for (size_t j = 0; !known && j < search->n; j++)
			known = !strcmp(search->found[j].name, libraries.names[i]);
		if (known)
			continue;
		strcpy(found->name, libraries.names[i]);
		if (!find_library(search, libraries.runpath, of, found->name)) {
			check_warn(search->check, search->place, "%s needs the library %s, which is not in the image",
				   check_quote(quoted, search->program), found->name);
			found->path[0] = '\0';
		}
		search->n++;
	}
}

/* A loader that does not find a library ends the program with its own words: hardly seen without a console. */
static void warn_libraries(struct check *check, const struct place *place, const char *program)
{
	_cleanup_(cleanup_free) struct search *search = NULL;

	/* With a cache, or folders of its own, a loader may look elsewhere. */
	if (!check->warnings || !image_lacks(check, "/etc/ld.so.cache") ||
	    !image_lacks(check, "/etc/ld-musl-x86_64.path"))
		return;
	search = calloc(1, sizeof(*search));
	if (!search)
		return;
	search->check = check;
	search->place = place;
	search->program = program;
	want_libraries(search, program);
	for (size_t i = 0; i < search->n; i++)
		if (search->found[i].path[0])
			want_libraries(search, search->found[i].path);
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

/*
 * What `gantryctl check` finds missing is all told in one run, though each is an error: one before the last goes
 * where warnings go. For others the first is enough.
 */
static int go_on(struct check *check, int r)
{
	if (r == 0 || !check->warnings)
		return r;
	if (check->failed[0])
		fprintf(check->warnings, "%s\n", check->failed);
	snprintf(check->failed, sizeof(check->failed), "%s", check->error);
	return 0;
}

static int failed(struct check *check)
{
	if (!check->failed[0])
		return 0;
	snprintf(check->error, check->error_size, "%s", check->failed);
	return -EINVAL;
}

static int check_file(struct check *check, const struct place *place, struct json_object *value, bool program)
{
	_cleanup_(cleanup_close) int fd = -1;
	const char *path = json_object_get_string(value);
	char quoted[CHECK_QUOTED_MAX];
	struct stat st;

	if (!value || writable_elsewhere(check->root, path))
		return 0;
	fd = open_in_image(check, path, O_PATH);
	if (fd < 0 || fstat(fd, &st) < 0)
		return check_fail(check, place, "%s: not in the image: %s", check_quote(quoted, path), strerror(errno));
	if (!S_ISREG(st.st_mode))
		return check_fail(check, place, "%s is not a regular file in the image", check_quote(quoted, path));
	if (program && !(st.st_mode & 0111))
		return check_fail(check, place, "%s is not executable in the image", check_quote(quoted, path));
	if (program) {
		warn_interpreter(check, place, path);
		warn_libraries(check, place, path);
	}
	return 0;
}

/* The first word of a command; it may be absent. */
static int check_program(struct check *check, const struct place *up, struct json_object *object, const char *key)
{
	const struct place command_at = {.up = up, .key = key}, at = {.up = &command_at, .index = 0};
	struct json_object *command = key_member(object, key);

	return command ? go_on(check, check_file(check, &at, json_object_array_get_idx(command, 0), true)) : 0;
}

/* A container's program is in the container's image; podman is in this one. */
static int check_podman(struct check *check, const struct place *place)
{
	const struct place at = {.up = place, .key = "container"};

	return go_on(check, check_file(check, &at, key_member(key_member(check->root, "containers"), "podman"), true));
}

static int check_programs_of(struct check *check, const struct place *place, struct json_object *service)
{
	static const char *const probes[] = {"ready", "watchdog"};
	int r = check_program(check, place, service, "command");

	for (size_t i = 0; r == 0 && i < sizeof(probes) / sizeof(probes[0]); i++) {
		const struct place at = {.up = place, .key = probes[i]};

		r = check_program(check, &at, key_member(service, probes[i]), "exec");
	}
	if (r == 0)
		r = go_on(check, check_net_daemon_image(check, place, service));
	return r < 0 || !key_member(service, "container") ? r : check_podman(check, place);
}

/* With a root of its own, it starts what is there. */
static int check_service_programs(void *with, const struct place *place, struct json_object *service)
{
	struct check *check = with;
	_cleanup_(cleanup_close) int tree = -1;
	int r, image_fd = check->image_fd;

	if (!key_member(service, "root"))
		return check_programs_of(check, place, service);
	tree = check_root_image(check, place, service);
	if (tree < 0)
		return tree;
	check->image_fd = tree;
	r = check_programs_of(check, place, service);
	check->image_fd = image_fd;
	return r;
}

static int check_option_files(struct check *check, const struct place *up, struct json_object *object,
			      const struct stage_option *options)
{
	int r = 0;

	for (const struct stage_option *option = options; r == 0 && option->name; option++) {
		const struct place at = {.up = up, .key = option->name};
		struct json_object *value = key_member(object, option->name);

		if (option->names == OPTION_NAMES_PROGRAM)
			r = check_program(check, up, object, option->name);
		else if (option->names == OPTION_NAMES_FILE)
			r = go_on(check, check_file(check, &at, value, false));
		for (size_t i = 0; r == 0 && option->type == OPTION_OBJECTS && i < count(value); i++) {
			const struct place item_at = {.up = &at, .index = (uint32_t)i};

			r = check_option_files(check, &item_at, json_object_array_get_idx(value, i), option->members);
		}
	}
	return r;
}

static int check_stage_files(void *with, const struct place *place, struct json_object *stage)
{
	struct check *check = with;
	const struct place at = {.up = place, .key = "options"};

	return check_option_files(check, &at, key_member(stage, "options"), options_of(stage));
}

static int check_action_program(void *with, const struct place *place, struct json_object *action)
{
	struct check *check = with;
	return check_program(check, place, action, "command");
}

/* ---- modules --------------------------------------------------------------------------------------------------- */

static const char *const of_disks[] = {"dm_crypt", "xts", NULL}, *const of_luns[] = {"sd_mod", NULL},
	*const of_ports[] = {"tcp_diag", NULL}, *const of_containers[] = {"overlay", NULL},
	*const of_bridges[] = {"bridge", "veth", "nf_tables", "nft_chain_nat", "nft_ct", "nft_masq", "nft_nat",
			       "nft_fib_inet", NULL};

/* A module's name may have "-" for each "_". */
static bool same_module(const char *a, const char *b)
{
	while (*a && (*a == *b || (strchr("-_", *a) && *b && strchr("-_", *b))))
		a++, b++;
	return !*a && !*b;
}

/* In `modules`, or in the image, because one of those depends on it. */
static bool has_module(const struct check *check, const char *name)
{
	struct json_object *modules = key_member(check->root, "modules");
	char path[96];
	struct stat st;

	for (size_t i = 0; i < count(modules); i++)
		if (same_module(json_object_get_string(json_object_array_get_idx(modules, i)), name))
			return true;
	snprintf(path, sizeof(path), "lib/modules/%s.ko", name);
	return fstatat(check->image_fd, path, &st, 0) == 0;
}

static int check_modules(struct check *check, const struct place *place, const char *const *names, const char *key)
{
	int r = 0;

	for (; r == 0 && *names; names++)
		if (!has_module(check, *names))
			r = go_on(check, check_fail_member(check, place, key,
							   "needs the kernel module \"%s\", which is not in "
							   "\"modules\"; it cannot be loaded later", *names));
	return r;
}

static int check_stage_modules(void *with, const struct place *place, struct json_object *stage)
{
	struct check *check = with;
	static const char *const others[] = {"nsid", "serial", "wwid", "largest"};
	struct json_object *options = key_member(stage, "options");
	bool by_lun = true;
	int r;

	if (strcmp(json_object_get_string(key_member(stage, "type")), "disk"))
		return 0;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		by_lun &= !key_member(options, others[i]);
	r = check_modules(check, place, of_disks, "type");
	return r < 0 || !by_lun ? r : check_modules(check, place, of_luns, "type");
}

static int check_service_modules(void *with, const struct place *place, struct json_object *service)
{
	struct check *check = with;
	struct json_object *container = key_member(service, "container");
	int r = container ? check_modules(check, place, of_containers, "container") : 0;

	if (r == 0 && key_member(key_member(service, "ready"), "tcp"))
		r = check_modules(check, place, of_ports, "ready");
	if (r == 0 && container && !strcmp(key_string(container, &container_keys, "network"), "bridge"))
		r = check_modules(check, place, of_bridges, "container");
	return r;
}

/* ---- all of it ------------------------------------------------------------------------------------------------- */

int check_image(struct check *check, const struct config *config)
{
	static const struct place top;
	const struct place api_at = {.up = &top, .key = "api"};
	int r = check_each(check->root, &top, "stages", check_stage_files, check);

	if (r == 0)
		r = check_each(check->root, &top, "services", check_service_programs, check);
	if (!hardening_kept(config, HARDENING_MODULES)) {
		if (r == 0)
			r = check_each(check->root, &top, "stages", check_stage_modules, check);
		if (r == 0)
			r = check_each(check->root, &top, "services", check_service_modules, check);
	}
	if (r == 0)
		r = check_each(key_member(check->root, "api"), &api_at, "actions", check_action_program, check);
	return r < 0 ? r : failed(check);
}
