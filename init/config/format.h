/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The formats of strings in boot.json, and the names of signals, resource limits, capabilities and verbs.
 */
#ifndef INIT_CONFIG_FORMAT_H
#define INIT_CONFIG_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/lib/config.h"

#define API_USER "gantry-api"
#define API_UID  900
#define LOG_USER "gantry-log"	/* the role service-log */
#define LOG_UID  901
#define LOGGER_UID 906		/* "gantry-logger": the role logger */
#define TPM_USER "gantry-tpm"	/* the role tpm */
#define TPM_UID  907
/* Numbers of Gantry's own processes, also those that no account has yet. */
#define OWN_UID_MIN 900
#define OWN_UID_MAX 929

struct json_object;

/* The accounts that the image builder makes besides root; gid as uid. The last one has no name. */
struct predefined {
	const char *name;
	unsigned uid;
	bool own;		/* of a role, which becomes it by itself: no service may run as it */
};

extern const struct predefined predefined_accounts[];
const struct predefined *predefined_find(const char *name, unsigned uid);	/* by either; NULL: not one of them */

/* A rule for strings that has a name. Messages: VALUE WRONG, as in: "run/x" is not an absolute path. */
struct format {
	const char *name;
	const char *wrong;
	bool (*fits)(struct json_object *root, const char *value);	/* root: the whole file, not yet checked */
	const char *const *names;	/* all that fit, NULL-ended, for a hint at the nearest; NULL: too many */
};

extern const struct format name_format, account_format, path_format, hostname_format, certificate_name_format,
	module_format, sysctl_format,
	variable_format, mode_format, umask_format, cgroup_format, address_format, user_format, group_format,
	act_format, verb_format, capability_format, document_key_format, tcti_format;

extern const char *const signal_names[];	/* NULL-ended */
int signal_number(const char *name);		/* "TERM" -> SIGTERM; -1: unknown */
int limit_number(const char *name);		/* "nofile" -> RLIMIT_NOFILE; -1: unknown */
const char *limit_name(size_t index);		/* NULL behind the last */
int capability_number(const char *name);	/* "NET_ADMIN" -> 12; -1: unknown */

/* "127.0.0.1:80" or "[::1]:80", numeric; the host without brackets. False: it is neither, or host_size is too small. */
bool address_split(const char *value, char *ret_host, size_t host_size, uint16_t *ret_port);

/* A host name of at most 253 bytes and 63 a label, which may begin with "*."; or an address. */
bool certificate_name_fits(const char *value);

/* The verb of "@restart rbuilder", and its argument ("" if it takes none); VERB_NONE: not a verb. */
enum verb verb_parse(const char *value, const char **ret_argument);

#endif
