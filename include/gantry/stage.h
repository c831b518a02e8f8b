/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a stage type is: pure facts that PID 1 reads (options, artifacts, deadline, sandbox) and one function that
 * only the stage's own process calls. The table of all types lives in stages/table.c; init/ looks types up in it
 * to check the configuration, and never calls `run`.
 */
#ifndef GANTRY_STAGE_H
#define GANTRY_STAGE_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;

/* How a stage ends: its process' exit status. Anything else is a crash, retried like STAGE_AGAIN. */
enum stage_result {
	STAGE_DONE = 0,
	STAGE_AGAIN = 75,	/* failed, worth another try */
	STAGE_NEVER = 125,	/* failed, no retry can help */
};

enum option_type {
	OPTION_STRING,		/* minimum..maximum: length in bytes */
	OPTION_INTEGER,		/* minimum..maximum: value */
	OPTION_NUMBER,		/* integer or fraction, minimum..maximum */
	OPTION_BOOLEAN,
	OPTION_STRINGS,		/* array of strings; minimum..maximum: number of items */
	OPTION_INTEGERS,	/* array of integers; minimum..maximum: value of each */
	OPTION_OBJECTS,		/* array of objects, each described by `members` */
	OPTION_TYPE_MAX,
};

/* One option of a stage type. A table of these ends with a NULL name. */
struct stage_option {
	const char *name;
	enum option_type type;
	bool required;
	int64_t minimum, maximum;		/* both 0: no bound */
	const char *const *choices;		/* strings: allowed values, NULL-ended; NULL: any */
	const struct stage_option *members;	/* OPTION_OBJECTS */
};

/* The system calls that are taken from a stage; stages/syscalls.h. */
enum stage_filter {
	STAGE_FILTER_STRICT,
	STAGE_FILTER_MOUNTS,	/* as strict, but it may mount, and switch swap on */
	STAGE_FILTER_NONE,	/* runs programs of the image's choice */
};

/* What a process of a stage is for: its last argument, after the name, unless it is the boot. docs/refresh.md. */
enum stage_mode {
	STAGE_BOOT,
	STAGE_REFRESH,		/* "refresh": the same again, of a machine that runs */
	STAGE_CHECK,		/* "check": says what would change, and changes nothing */
	STAGE_APPLY,		/* "apply" */
	STAGE_MODE_MAX,
};

#define STAGE_MODE_NAMES {"boot", "refresh", "check", "apply"}

/* The part that a type has in a change of the configuration. */
enum stage_refresh {
	STAGE_STAYS,		/* none */
	STAGE_FETCHES,		/* gives the new `config`, or ends as skipped: it is the old one */
	STAGE_MEASURES,		/* records it before it is used */
	STAGE_RENDERS,		/* makes files of it */
};

struct stage_context {
	const char *name;		/* the instance's name in boot.json */
	enum stage_mode mode;
	struct json_object *options;	/* checked against the table; never NULL */
};

struct stage {
	const char *type;
	const char *const *takes;	/* artifacts it may ask for, NULL-ended, or NULL */
	const char *const *gives;	/* artifacts it may hand over, NULL-ended, or NULL */
	const struct stage_option *options;
	/*
	 * What the table cannot say, such as options that exclude each other: NULL, or a text that follows the place
	 * of the options, as in `may have only one of ...`. Pure, and of no library but json-c: PID 1 calls it, with
	 * options that fit the table.
	 */
	const char *(*check)(struct json_object *options);
	enum stage_refresh refresh;
	unsigned deadline_s;		/* of one attempt, unless boot.json says otherwise; 0: none */
	unsigned retry_limit;		/* attempts, unless boot.json says otherwise; 0: for ever */
	/*
	 * Sandbox, entered by the stage role itself before `run`: capabilities kept in all sets (CAP_TO_MASK bits),
	 * everything else is dropped for good, with no_new_privs unless it starts programs with `execs`; then the
	 * filter.
	 */
	uint64_t capabilities;
	bool execs;
	enum stage_filter filter;
	int (*run)(struct stage_context *context);
};

/* All stage types, NULL-ended; stages/table.c. */
extern const struct stage *const stage_table[];

/* The stage role: argv = {"...", "stage", TYPE, NAME}, perhaps a mode. Its exit status. stages/main.c. */
int stage_main(int argc, char **argv);

/* dhcpcd's script, run by name (/sbin/dhcp-hook); everything comes by environment. stages/net/dhcphook.c. */
int dhcp_hook_main(int argc, char **argv);

/* The end of a shutdown: unmounts, closes device-mapper devices, swap off. stages/teardown/teardown.c. */
int teardown_main(int argc, char **argv);

#endif
