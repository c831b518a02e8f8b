/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stage type declares itself in a row: its options and what they name in the image, its artifacts and secrets, its
 * section in the status, its deadline and sandbox, and one function that only the stage's own process calls. The table
 * of all types is in stages/table.c; init/ reads the rows, knows no type by name, and never calls `run`.
 */
#ifndef GANTRY_STAGE_H
#define GANTRY_STAGE_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;

/* Exit status of a stage's process. Any other status is a crash, retried like STAGE_AGAIN. */
enum stage_result {
	STAGE_DONE = 0,
	STAGE_AGAIN = 75,	/* failed, to be retried */
	STAGE_NEVER = 125,	/* failed for good, not retried */
};

/* Users of the children of the stage `disk`, which are known by number: docs/rights.md. */
#define DISK_READER_USER "gantry-disk"
#define DISK_READER_UID  920
#define DISK_FSCK_USER   "gantry-fsck"
#define DISK_FSCK_UID    921

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

/* What an option names beyond its own value; the check of boot.json relies on it. */
enum option_names {
	OPTION_NAMES_NOTHING,
	OPTION_NAMES_PROGRAM,	/* strings: the first is a program of the image */
	OPTION_NAMES_FILE,	/* a file of the image */
	OPTION_NAMES_MOUNT,	/* a mount point: what is below it comes only when the stage runs */
	OPTION_NAMES_DIRECTORY,	/* a folder that the stage fills, or a service later */
	OPTION_NAMES_RENDERED,	/* a file that the stage writes, and writes again when the configuration changes */
	OPTION_NAMES_READ,	/* a file of the image that the stage reads, but one that may come by another way */
};

/* One option of a stage type. A table of these ends with a NULL name. */
struct stage_option {
	const char *name;
	enum option_type type;
	bool required;
	int64_t minimum, maximum;		/* both 0: no bound */
	const char *const *choices;		/* strings: allowed values, NULL-ended; NULL: any */
	const struct stage_option *members;	/* OPTION_OBJECTS */
	enum option_names names;
	const char *fallback;			/* the default, as JSON, strings without quotes; NULL: none */
};

/* An artifact that a stage takes only if one of its options of type OPTION_STRINGS contains the word. */
struct stage_secret {
	const char *artifact;	/* NULL ends a table */
	const char *word;
};

/*
 * The system calls of a stage's process beyond those of all; the lists are in stages/syscalls.c. Any other call fails,
 * and one that only an intruder would make ends the process. 0 of these bits is the smallest filter.
 */
enum stage_calls {
	STAGE_CALLS_FILES = 1 << 0,	/* makes, writes, renames and removes files */
	STAGE_CALLS_FETCH = 1 << 1,	/* HTTP: TCP and UDP sockets, and threads for the resolver */
	STAGE_CALLS_NETLINK = 1 << 2,	/* rtnetlink, inotify */
	STAGE_CALLS_UNIX = 1 << 3,	/* sockets with a path */
	STAGE_CALLS_UDP = 1 << 4,	/* and those of UDP, without a resolver */
	STAGE_CALLS_DEVICES = 1 << 5,	/* ioctl(2) */
	STAGE_CALLS_WORKERS = 1 << 6,	/* forks workers, which restrict themselves further */
	STAGE_CALLS_DISKS = 1 << 7,	/* mounts, makes devices, and runs e2fsprogs; none of the others besides */
	STAGE_CALLS_ANY = 1 << 8,	/* no filter: it runs any program of the image */
};

/* What the process may open; all else is refused by landlock(7). */
enum stage_access {
	STAGE_READS,
	STAGE_WRITES,		/* below a directory also to make and remove files, directories and sockets */
};

/* One path of it. A table of these ends with neither `path` nor `option`. What is not there gives nothing. */
struct stage_path {
	const char *path;		/* or in its place */
	const char *option;		/* a string, or as LIST.MEMBER the member of each object of a list */
	enum stage_access access;
	bool folder;			/* the folder that contains it; of a link also the folder of its target */
	bool group;			/* the process gets the group of that folder, unless that is root's */
};

/* Purpose of a stage's process: its last argument, after the name; none for STAGE_BOOT. docs/refresh.md, stages.md. */
enum stage_mode {
	STAGE_BOOT,
	STAGE_REFRESH,		/* "refresh": as at the boot, but on a running machine */
	STAGE_CHECK,		/* "check": reports changes without making them */
	STAGE_APPLY,		/* "apply": makes and reports the changes */
	STAGE_WATCH,		/* "watch": stays, and reports when what the stage found is no longer so */
	STAGE_MODE_MAX,
};

#define STAGE_MODE_NAMES {"boot", "refresh", "check", "apply", "watch"}

/* The role of a stage type in a refresh. */
enum stage_refresh {
	STAGE_STAYS,		/* none */
	STAGE_FETCHES,		/* gives the new `config`, or ends as skipped if it is unchanged */
	STAGE_MEASURES,		/* measures the document before it is used */
	STAGE_RENDERS,		/* renders files from it */
};

/* What a stage may ask of the TPM's owner (gantry/tpm.h). */
enum stage_tpm {
	STAGE_TPM_NONE,
	STAGE_TPM_MEASURE,	/* PCRs, the cloud's report; extends PCR 14 */
	STAGE_TPM_DISK,		/* PCRs; its sealed keys, its record, its counter; has PCR 15 extended */
};

struct stage_context {
	const char *name;		/* the instance's name in boot.json */
	enum stage_mode mode;
	struct json_object *options;	/* checked against the table, with its defaults; never NULL */
	int pair;			/* a SOCK_SEQPACKET to its partner, or to the stage; -1: the type has none */
};

struct stage {
	const char *type;
	const char *const *takes;	/* artifacts it may take, NULL-ended, or NULL */
	const char *const *gives;	/* artifacts it may give, NULL-ended, or NULL */
	const struct stage_secret *secrets;	/* of `takes`, those that it may do without; or NULL */
	const struct stage_option *options;
	const char *section;		/* the status has its facts under this name at the top, too; or NULL */
	const char *const *numbers;	/* facts that the status shows as numbers, NULL-ended, or NULL ... */
	const char *const *truths;	/* ... and as true or false; names ending in _s or _bytes are numbers anyway */
	/*
	 * Checks what the table cannot express, such as options that exclude each other. Returns NULL, or an error to
	 * print after the place of the options, as in `may have only one of ...`. Pure, and uses only json-c: PID 1
	 * calls it, with options that fit the table and have its defaults.
	 */
	const char *(*check)(struct json_object *options);
	/*
	 * Compares with the options of another stage of this type. Returns the name of the option that they cannot
	 * both have with that value, given or by default, or NULL. Pure, as `check`. May be NULL.
	 */
	const char *(*conflict)(struct json_object *options, struct json_object *other);
	/* Done or skipped, it is not started again by hand: a second run would change what services use by now. */
	bool once;
	bool watches;			/* once done it is run in the mode STAGE_WATCH as long as the machine runs */
	enum stage_refresh refresh;
	enum stage_tpm tpm;
	unsigned deadline_s;		/* default for one attempt; 0: none */
	unsigned retry_limit;		/* default number of attempts; 0: no limit */
	/*
	 * Its rights, taken by the stage role itself before `run`: stages/rights.h. `user`: an account of the image;
	 * NULL: root, whose files it then owns. `capabilities` (CAP_TO_MASK bits) are kept in all sets, all others
	 * dropped for good. `execs`: it starts programs that must be able to gain privileges, so no_new_privs is not
	 * set.
	 */
	const char *user;
	uint64_t capabilities;
	bool execs;
	unsigned calls;			/* enum stage_calls */
	const struct stage_path *paths;	/* NULL: no file at all */
	bool writes_root;		/* what it writes may be on the root, read-only for all others */
	bool unbounded;			/* its files are not bounded by landlock: it mounts, or runs any program */
	/* Before that, with all rights: what `run` has no right to do, from its options alone. As `run`; or NULL. */
	int (*prepare)(struct stage_context *context);
	/*
	 * Another process of the stage, forked after `prepare`, so that neither needs the rights of both. Of its row
	 * count `type`, the process' name, `takes` and what follows `user`. It has no report socket, and `run` ends
	 * when the stage's end of `pair` is closed. NULL: none.
	 */
	const struct stage *partner;
	int (*run)(struct stage_context *context);
};

/* All stage types, NULL-ended; stages/table.c. */
extern const struct stage *const stage_table[];

/* The stage role: argv = {"...", "stage", TYPE, NAME [, MODE]}. Returns its exit status. stages/main.c. */
int stage_main(int argc, char **argv);

/* The TPM's owner, a daemon of PID 1. stages/tpm/owner.c. */
int tpm_main(int argc, char **argv);

/* dhcpcd's hook script (/sbin/dhcp-hook); its input is the environment. stages/net/dhcphook.c. */
int dhcp_hook_main(int argc, char **argv);

/* Last part of a shutdown: swap off, unmounts, closes device-mapper devices. stages/teardown/teardown.c. */
int teardown_main(int argc, char **argv);

#endif
