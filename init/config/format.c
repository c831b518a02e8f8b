/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The formats of strings in boot.json, each with the words for a value that does not fit, and the names of
 * signals, resource limits and capabilities. Nothing here looks at the system: an account must be in the file's own
 * `users`.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <json-c/json.h>

#include <gantry/plan.h>
#include <gantry/role.h>

#include "format.h"
#include "init/lib/member.h"

#define NAME_CHARACTERS  "abcdefghijklmnopqrstuvwxyz0123456789-"
#define UPPER_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool consists_of(const char *value, const char *characters, size_t size_max)
{
	size_t n = strlen(value);

	return n > 0 && n <= size_max && strspn(value, characters) == n;
}

static bool fits_name(struct json_object *root, const char *value)
{
	(void)root;
	return value[0] >= 'a' && value[0] <= 'z' && consists_of(value, NAME_CHARACTERS, NODE_NAME_MAX - 1);
}

static bool fits_account(struct json_object *root, const char *value)
{
	(void)root;
	return ((value[0] >= 'a' && value[0] <= 'z') || value[0] == '_') &&
		consists_of(value, NAME_CHARACTERS "_", 31);
}

static bool fits_path(struct json_object *root, const char *value)
{
	(void)root;
	if (value[0] != '/' || strlen(value) > 4000)
		return false;
	if (!value[1])
		return true;
	for (const char *part = value; *part;) {
		size_t n = strcspn(++part, "/");

		if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.') || n > 255)
			return false;
		part += n;
	}
	return true;
}

static bool fits_hostname(struct json_object *root, const char *value)
{
	size_t n = strlen(value);

	(void)root;
	return consists_of(value, NAME_CHARACTERS UPPER_CHARACTERS ".", 63) && isalnum((unsigned char)value[0]) &&
		isalnum((unsigned char)value[n - 1]) && !strstr(value, "..");
}

/* RFC 1123's labels, and '_', which some have. */
static bool is_label(const char *label, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)label[i]) && label[i] != '_' &&
		    (label[i] != '-' || i == 0 || i == size - 1))
			return false;
	return size > 0 && size <= 63;
}

bool certificate_name_fits(const char *value)
{
	const char *at = strncmp(value, "*.", 2) ? value : value + 2;
	unsigned char binary[16];
	size_t n;

	if (inet_pton(AF_INET, value, binary) == 1 || inet_pton(AF_INET6, value, binary) == 1)
		return true;
	if (strlen(value) > 253 || (at != value && !strchr(at, '.')))
		return false;
	for (;; at += n + 1) {
		n = strcspn(at, ".");
		if (!is_label(at, n))
			return false;
		if (!at[n])
			return true;
	}
}

static bool fits_certificate_name(struct json_object *root, const char *value)
{
	(void)root;
	return certificate_name_fits(value);
}

static bool fits_module(struct json_object *root, const char *value)
{
	(void)root;
	return consists_of(value, NAME_CHARACTERS UPPER_CHARACTERS "_", 63);
}

static bool fits_sysctl(struct json_object *root, const char *value)
{
	(void)root;
	return consists_of(value, NAME_CHARACTERS UPPER_CHARACTERS "_./", 255) &&
		isalnum((unsigned char)value[0]) && !strstr(value, "..") && !strstr(value, "//") &&
		!strstr(value, "/.") && !strstr(value, "./") && !strchr("./", value[strlen(value) - 1]);
}

static bool fits_variable(struct json_object *root, const char *value)
{
	(void)root;
	return !isdigit((unsigned char)value[0]) &&
		consists_of(value, "abcdefghijklmnopqrstuvwxyz" UPPER_CHARACTERS "_0123456789", 255);
}

static bool fits_mode(struct json_object *root, const char *value)
{
	(void)root;
	return strlen(value) >= 3 && consists_of(value, "01234567", 4);
}

static bool fits_umask(struct json_object *root, const char *value)
{
	return fits_mode(root, value) && strtol(value, NULL, 8) <= 0777;
}

static bool fits_cgroup(struct json_object *root, const char *value)
{
	static const char *const controllers[] = {"cpu.", "cpuset.", "hugetlb.", "io.", "memory.", "misc.", "pids."};

	(void)root;
	for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++) {
		size_t n = strlen(controllers[i]);

		if (!strncmp(value, controllers[i], n))
			return consists_of(value + n, NAME_CHARACTERS UPPER_CHARACTERS "_.", 63) &&
				value[n] != '.' && !strstr(value + n, "..");
	}
	return false;
}

bool address_split(const char *value, char *ret_host, size_t host_size, uint16_t *ret_port)
{
	unsigned char binary[16];
	const char *colon = strrchr(value, ':');
	size_t n;
	long port;

	if (!colon || !consists_of(colon + 1, "0123456789", 5) || colon[1] == '0')
		return false;
	port = strtol(colon + 1, NULL, 10);
	n = (size_t)(colon - value);
	if (port < 1 || port > 65535 || n >= host_size)
		return false;
	if (n >= 2 && value[0] == '[' && colon[-1] == ']') {
		memcpy(ret_host, value + 1, n - 2);
		ret_host[n - 2] = '\0';
		if (inet_pton(AF_INET6, ret_host, binary) != 1)
			return false;
	} else {
		memcpy(ret_host, value, n);
		ret_host[n] = '\0';
		if (inet_pton(AF_INET, ret_host, binary) != 1)
			return false;
	}
	*ret_port = (uint16_t)port;
	return true;
}

static bool fits_address(struct json_object *root, const char *value)
{
	char host[64];
	uint16_t port;

	(void)root;
	return address_split(value, host, sizeof(host), &port);
}

static bool string_is(struct json_object *value, const char *string)
{
	return json_object_is_type(value, json_type_string) && !strcmp(json_object_get_string(value), string);
}

/* Those of programs that Gantry brings along count from 950. qemu/accounts.py makes them all. */
const struct predefined predefined_accounts[] = {
	{API_USER, API_UID, false}, {LOG_USER, LOG_UID, true},
	{"gantry-network", 902, true}, {"gantry-azure", 903, true}, {"gantry-clock", 904, true},
	{"gantry-config", 905, true}, {"gantry-logger", LOGGER_UID, true}, {TPM_USER, TPM_UID, true},
	{"gantry-relay", RELAY_UID, true}, {"gantry-measure", 909, true}, {"gantry-await", AWAIT_UID, true},
	{"gantry-render", 911, true}, {"gantry-writer", 912, true},
	{"gantry-snapshot", 913, true}, {"gantry-resolv", RESOLV_UID, true},
	{DISK_READER_USER, DISK_READER_UID, true}, {DISK_FSCK_USER, DISK_FSCK_UID, true},
	{"dhcpcd", 950, false}, {"chrony", 951, false},
	{0},
};

const struct predefined *predefined_find(const char *name, unsigned uid)
{
	for (const struct predefined *p = predefined_accounts; p->name; p++)
		if (p->uid == uid || (name && !strcmp(p->name, name)))
			return p;
	return NULL;
}

/* Is it the name of one of `users`, or, for groups, in one of their `groups`? The list may not be checked yet. */
static bool in_users(struct json_object *root, const char *value, bool group)
{
	struct json_object *users = key_member(root, "users");

	const struct predefined *predefined = predefined_find(value, 0);

	if (!strcmp(value, "root") || (predefined && !predefined->own))
		return true;
	if (!json_object_is_type(users, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(users); i++) {
		struct json_object *user = json_object_array_get_idx(users, i), *groups;

		if (!json_object_is_type(user, json_type_object))
			continue;
		if (string_is(key_member(user, "name"), value))
			return true;
		groups = key_member(user, "groups");
		if (!group || !json_object_is_type(groups, json_type_array))
			continue;
		for (size_t j = 0; j < json_object_array_length(groups); j++)
			if (string_is(json_object_array_get_idx(groups, j), value))
				return true;
	}
	return false;
}

static bool fits_user(struct json_object *root, const char *value)
{
	return in_users(root, value, false);
}

static bool fits_group(struct json_object *root, const char *value)
{
	return in_users(root, value, true);
}

/* Names of actions and uploads: one segment of a path, with the characters of the older System API. */
static bool fits_act(struct json_object *root, const char *value)
{
	size_t n = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	(void)root;
	return n > 0 && !value[n] && n <= ACT_NAME_MAX;
}

static bool fits_verb(struct json_object *root, const char *value)
{
	const char *argument;

	(void)root;
	return verb_parse(value, &argument) != VERB_NONE;
}

enum verb verb_parse(const char *value, const char **ret_argument)
{
	static const struct {
		const char *word;
		enum verb verb;
	} table[] = {{"@start ", VERB_START}, {"@stop ", VERB_STOP}, {"@restart ", VERB_RESTART},
		     {"@reboot", VERB_REBOOT}, {"@poweroff", VERB_POWEROFF}, {"@halt", VERB_HALT},
		     {"@refresh-config", VERB_REFRESH}};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		size_t n = strlen(table[i].word);
		bool names = table[i].word[n - 1] == ' ';

		if (strncmp(value, table[i].word, n) || !value[n] == names)
			continue;
		*ret_argument = value + n;
		return table[i].verb;
	}
	return VERB_NONE;
}

const struct format name_format = {
	"name", "is not a name (a lower-case letter, then lower-case letters, digits and '-', at most 31 bytes)",
	fits_name,
	NULL};
const struct format account_format = {
	"account", "is not an account name (a lower-case letter or '_', then lower-case letters, digits, '-' and '_')",
	fits_account, NULL};
const struct format path_format = {
	"path", "is not an absolute path without \".\", \"..\", doubled or final '/'", fits_path, NULL};
const struct format hostname_format = {"hostname", "is not a host name", fits_hostname, NULL};
const struct format certificate_name_format = {
	"certificate-name", "is neither a host name, which may begin with \"*.\", nor an address",
	fits_certificate_name, NULL};
const struct format module_format = {"module", "is not a module name", fits_module, NULL};
const struct format sysctl_format = {"sysctl", "is not a sysctl name (example: \"kernel.panic\")", fits_sysctl, NULL};
const struct format variable_format = {"variable", "is not the name of an environment variable", fits_variable, NULL};
const struct format mode_format = {"mode", "is not an octal mode (example: \"0750\")", fits_mode, NULL};
const struct format umask_format = {"umask", "is not an octal umask (example: \"0077\")", fits_umask, NULL};
const struct format cgroup_format = {
	"cgroup", "is not a cgroup v2 setting of a controller (example: \"memory.max\")", fits_cgroup, NULL};
const struct format address_format = {
	"address", "is not a numeric address and port (examples: \"127.0.0.1:8545\", \"[::1]:8545\")",
	fits_address, NULL};
const struct format user_format = {"user", "is neither root nor in \"users\"", fits_user, NULL};
const struct format group_format = {
	"group", "is neither root nor a user or group in \"users\"", fits_group, NULL};

/* By number, as the kernel counts them. */
static const char *const capabilities[] = {
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
	"SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
	"IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
	"SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
	"LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
	"WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
	NULL,
};

int capability_number(const char *name)
{
	for (int i = 0; capabilities[i]; i++)
		if (!strcmp(capabilities[i], name))
			return i;
	return -1;
}

static bool fits_capability(struct json_object *root, const char *value)
{
	(void)root;
	return capability_number(value) >= 0;
}

const struct format capability_format = {
	"capability", "is not a capability name (example: \"NET_ADMIN\")", fits_capability, capabilities};
const struct format act_format = {
	"action", "is not the name of an action or upload (letters, digits, '-' and '_', at most 63 bytes)",
	fits_act, NULL};
const struct format verb_format = {
	"verb", "is not one of \"@start NAME\", \"@stop NAME\", \"@restart NAME\", \"@reboot\", \"@poweroff\", "
	"\"@halt\", \"@refresh-config\"", fits_verb, NULL};

/* Names between dots; none is empty. */
static bool fits_document_key(struct json_object *root, const char *value)
{
	size_t n = strlen(value);

	(void)root;
	if (!n || n > 120 || value[0] == '.' || value[n - 1] == '.' || strstr(value, ".."))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)value[i] <= 0x20 || value[i] == 0x7f || value[i] == '=')
			return false;
	return true;
}

const struct format document_key_format = {
	"document-key", "is not a key of a document (example: \"rbuilder.enabled\")", fits_document_key, NULL};

/* Where the TPM is: by its device's path or a software TPM's socket. */
static bool fits_tcti(struct json_object *root, const char *value)
{
	static const char *const kinds[] = {"device:/", "swtpm:path=/"};

	(void)root;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strncmp(value, kinds[i], strlen(kinds[i])) && value[strlen(kinds[i])])
			return strlen(value) <= 255;
	return false;
}

const struct format tcti_format = {
	"tcti", "is neither \"device:\" nor \"swtpm:path=\" with an absolute path", fits_tcti, NULL};

/* Signals that a service may be stopped by. */
static const struct {
	const char *name;
	int number;
} signals[] = {
	{"TERM", SIGTERM}, {"INT", SIGINT}, {"QUIT", SIGQUIT}, {"HUP", SIGHUP}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
	{"KILL", SIGKILL}, {"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"CONT", SIGCONT}, {"WINCH", SIGWINCH},
};
const char *const signal_names[] = {"TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL", "ABRT", "ALRM", "CONT",
					   "WINCH", NULL};

int signal_number(const char *name)
{
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (!strcmp(signals[i].name, name))
			return signals[i].number;
	return -1;
}

static const struct {
	const char *name;
	int number;
} limits[] = {
	{"as", RLIMIT_AS}, {"core", RLIMIT_CORE}, {"cpu", RLIMIT_CPU}, {"data", RLIMIT_DATA},
	{"fsize", RLIMIT_FSIZE}, {"locks", RLIMIT_LOCKS}, {"memlock", RLIMIT_MEMLOCK},
	{"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE}, {"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC},
	{"rss", RLIMIT_RSS}, {"rtprio", RLIMIT_RTPRIO}, {"rttime", RLIMIT_RTTIME},
	{"sigpending", RLIMIT_SIGPENDING}, {"stack", RLIMIT_STACK},
};

int limit_number(const char *name)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (!strcmp(limits[i].name, name))
			return limits[i].number;
	return -1;
}

const char *limit_name(size_t index)
{
	return index < sizeof(limits) / sizeof(limits[0]) ? limits[index].name : NULL;
}
