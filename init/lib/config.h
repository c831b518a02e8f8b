/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot.json as plain structs. Holding a struct config means holding a plan that can be executed: every name resolves,
 * no node waits for itself, every stage's options fit its type's table (init/config/load.h makes it so).
 */
#ifndef INIT_LIB_CONFIG_H
#define INIT_LIB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gantry/plan.h>
#include <gantry/stage.h>

#include "pool.h"

#define CONFIG_NODES_MAX 1200
#define CONFIG_NEEDS_MAX 32
#define CONFIG_SIZE_MAX  (1u << 20)
#define CONFIG_ACTIONS_MAX 64
#define CONFIG_UPLOADS_MAX 64
#define ACT_NAME_MAX     63	/* bytes of an action's or upload's name */

enum config_when {
	WHEN_BOOT,
	WHEN_HELD,
};

enum held_action {
	HELD_HOLD,
	HELD_REBOOT,
	HELD_POWEROFF,
};

enum ready_kind {
	READY_STARTED,	/* no `ready`: ready as soon as the program was executed */
	READY_PATH,
	READY_TCP,
	READY_NOTIFY,
	READY_FD,	/* it writes a newline to a descriptor */
	READY_EXEC,	/* a probe ends with status 0 */
	READY_EXIT,	/* it does one thing and ends with status 0 */
};

enum restart_policy {
	RESTART_ALWAYS,
	RESTART_ON_FAILURE,
	RESTART_NEVER,
};

/* The processes of a service that get its stop signal. */
enum stop_to {
	STOP_MAIN,		/* the others get SIGKILL when it has ended */
	STOP_ALL,
	STOP_MAIN_THEN_ALL,	/* the others when it has ended */
};

/* The action on a service when a rendered file that it reads has changed. */
enum change_action {
	CHANGE_NONE,
	CHANGE_SIGNAL,
	CHANGE_RESTART,
};

struct config_pair {
	char *name;
	char *value;
};

/* A setting of a service's cgroup. */
struct config_setting {
	char *name, *value;
	bool known;		/* its value was checked: a kernel without this file is not a mistake in boot.json */
};

struct config_node {
	char *name;
	enum node_kind kind;
	bool required;			/* default true */
	uint16_t needs[CONFIG_NEEDS_MAX];	/* indexes into config.nodes */
	size_t n_needs;
	uint16_t after[CONFIG_NEEDS_MAX];
	size_t n_after;
	uint16_t wants[CONFIG_NEEDS_MAX];	/* services only */
	size_t n_wants;
	char *json;			/* stage: its `options` object; service: the whole service object, compact */
	size_t json_size;

	/* stages */
	const struct stage *stage;
	enum config_when when;
	int64_t deadline_ms;		/* of one attempt; 0: none */
	int64_t retry_min_ms, retry_max_ms;	/* services: from `restart` */
	unsigned retry_limit;		/* attempts; 0: for ever */

	/* services */
	bool enabled;
	enum ready_kind ready;
	char *ready_path;		/* READY_PATH */
	char *ready_address;		/* READY_TCP: numeric IPv4, or IPv6 without brackets */
	uint16_t ready_port;
	int64_t ready_deadline_ms;
	char *when_ready;		/* its steps, compact; NULL: none */
	enum restart_policy restart;
	unsigned retry_jitter_permille;	/* how much longer a wait may be, at random */
	int64_t stable_ms;		/* ready for this long: earlier failures are forgotten */
	unsigned burst;			/* restarts within burst_ms; 0: any number */
	int64_t burst_ms;
	bool burst_fails;		/* more of them: failed for good, and not only slowed down */
	bool follows_needs;
	int ready_fd;			/* READY_FD */
	char *ready_json;		/* READY_EXEC: the program to launch, compact as json is */
	int64_t ready_interval_ms, ready_timeout_ms;
	char *health_json;		/* `watchdog` with a probe; NULL: none */
	int64_t health_interval_ms, health_timeout_ms;
	unsigned health_failures;
	int64_t alive_ms;		/* a ready service says WATCHDOG=1 at least this often; 0: it need not */
	int stop_signal;
	int64_t stop_grace_ms;
	enum stop_to stop_to;
	char *takes;			/* artifact that it may take, for a container's login; NULL: none */
	int64_t prepare_ms;		/* a container: from its start until podman is executed; 0: no such time */
	struct config_setting *cgroup;
	size_t n_cgroup;
	char *enabled_if;		/* key of the hub's document that says whether it runs; NULL: it does */
	char **change_files;		/* rendered files; when one of them changes, change_action follows */
	size_t n_change_files;
	enum change_action change_action;
	int change_signal;
	int64_t log_max_bytes;		/* of one file; only with config.logs, like the next fields */
	bool isolated;			/* root without SYS_ADMIN: init/launch/isolate.h */
	unsigned log_files;
	bool log_json, log_events;
};

/* The only actions that the System API may request. */
enum verb {
	VERB_NONE,	/* a command */
	VERB_START,
	VERB_STOP,
	VERB_RESTART,
	VERB_REBOOT,
	VERB_POWEROFF,
	VERB_HALT,
	VERB_REFRESH,
};

struct config_action {
	char *name;
	enum verb verb;
	char *words;		/* the verb, or the command's words with spaces between: for events */
	char *json;		/* a command: the whole object, compact, as the launcher takes it */
	char *target;		/* a verb's stage or service; NULL: it has none */
	int64_t deadline_ms;
};

struct config_upload {
	char *name;
	char *path;
	int64_t max_bytes;
};

struct config {
	char *hostname;
	struct config_pair *sysctls;
	size_t n_sysctls;
	char **keep;			/* hardening that is not done, by name (init/config/hardening.h) */
	size_t n_keep;
	bool limit_pids;
	char **extra;			/* files below /.extra that do not hold the boot */
	size_t n_extra;
	char **writable;		/* folders of the root file system that stay writable, without "root" in keep */
	size_t n_writable;
	char **mounts;			/* mount points of stages */
	size_t n_mounts;
	bool root_given;		/* there is `hardening.writable` */
	int64_t boot_deadline_ms;	/* without progress; 0: none */
	enum held_action held_action;
	int64_t held_delay_ms;
	int64_t shutdown_timeout_ms;	/* default: init/config/shutdown.h */
	char *watchdog_device;		/* the machine's own; NULL: none */
	int64_t watchdog_timeout_ms;
	size_t event_ring;		/* default 2000 */
	char *fifo;			/* NULL: none */
	int64_t event_rate_per_s;	/* of one sender; 0: unlimited */
	int64_t event_burst;
	char *api_json;			/* `api` object, compact; NULL: no API */
	uint16_t api_needs[CONFIG_NEEDS_MAX];
	size_t n_api_needs;
	struct config_action *actions;
	size_t n_actions;
	struct config_upload *uploads;
	size_t n_uploads;
	char *tpm_json;			/* `tpm` object, compact; NULL: none */
	char *log_json;			/* `log` object, compact; NULL: none */
	uint16_t log_needs[CONFIG_NEEDS_MAX];
	size_t n_log_needs;
	bool refreshes;			/* there is a `refresh` object */
	uint16_t refresh_stage;		/* index of its config stage */
	int64_t refresh_every_ms;	/* 0: only when asked */
	int64_t keep_unused_ms;		/* how long containers must run until images that none names are removed */
	double refresh_jitter;
	bool logs;			/* services' output goes to files, not to events */
	char *logs_json, *logs_directory, *logs_group;	/* the object, compact, and parts of it; NULL without logs */
	uint16_t logs_needs[CONFIG_NEEDS_MAX];
	size_t n_logs_needs;
	struct config_node *nodes;	/* stages then services, in file order */
	size_t n_nodes;
	struct pool pool;		/* all the strings and lists above lie in it, but for nodes */
};

#endif
