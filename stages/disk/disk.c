/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stage `disk`: finds the data disk, opens it, or formats it if and only if it is blank or force_serial names it, and
 * mounts it. A disk that cannot be opened is left as it is, to the byte, and the boot is held with the reason of each
 * key source.
 *
 * It may be killed anywhere and started again: what it has done by then is seen on the disk, in the TPM, and in the
 * kernel's list of volumes, not remembered.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/capability.h>

#include <gantry/cleanup.h>

#include "format.h"
#include "open.h"
#include "settle.h"
#include "stages/lib/backoff.h"
#include "stages/lib/options.h"
#include "stages/lib/report.h"
#include "wait.h"

#define SIZE_MIN       (64u << 20)	/* bytes; a smaller file system is useless */
#define VERSION_MAX    1000
#define LUN_DEFAULT    "10"		/* without another rule */

static const struct find_roots roots = {"/sys", "/proc"};

static bool has(struct json_object *options, const char *name)
{
	return json_object_object_get_ex(options, name, NULL);
}

static void read_rule(const struct stage_context *context, struct work *w)
{
	static const struct {
		const char *option;
		enum find_by by;
	} texts[] = {{"serial", FIND_SERIAL}, {"wwid", FIND_WWID}};
	int64_t nsid = option_integer(context, "nsid");

	w->rule = (struct find_rule){.by = FIND_LUN, .number = has(context->options, "lun") ?
				     (unsigned)option_integer(context, "lun") : (unsigned)atoi(LUN_DEFAULT)};
	if (nsid)
		w->rule = (struct find_rule){.by = FIND_NSID, .number = (unsigned)nsid};
	if (option_boolean(context, "largest"))
		w->rule = (struct find_rule){.by = FIND_LARGEST};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const char *text = option_string(context, texts[i].option);

		if (text)
			w->rule = (struct find_rule){.by = texts[i].by, .text = text};
	}
	find_text(&w->rule, w->rule_text);
}

static size_t read_sources(const struct stage_context *context, const char *option,
			   const struct key_source *ret[KEY_SOURCES_MAX])
{
	size_t n, used = 0;
	struct json_object *list = option_array(context, option, &n);

	for (size_t i = 0; i < n && used < KEY_SOURCES_MAX; i++) {
		ret[used] = key_source_named(json_object_get_string(json_object_array_get_idx(list, i)));
		used += ret[used] != NULL;
	}
	return used;
}

static void read_options(struct stage_context *context, struct work *w)
{
	struct json_object *list;
	size_t n;

	w->context = context;
	read_rule(context, w);
	w->name = option_string(context, "name");
	w->mount = option_string(context, "mount");
	w->may_format = option_boolean(context, "format");
	w->use_intent = strcmp(option_string(context, "intent"), "tpm") == 0;
	w->force_serial = option_string(context, "force_serial");
	w->force_uuid = has(context->options, "force_uuid") ? option_string(context, "force_uuid") : "";
	w->wait_ms = option_integer(context, "wait_s") * 1000;
	w->place.policy_key = option_string(context, "policy_key");
	w->place.approval.version = (unsigned)option_integer(context, "version");
	w->place.artifact_wait_ms = -1;
	w->place.may_be_unmeasured = option_boolean(context, "unmeasured_pcrs");
	list = option_array(context, "pcrs", &n);
	for (size_t i = 0; i < n; i++)
		w->place.pcrs |= 1u << json_object_get_int(json_object_array_get_idx(list, i));
	w->n_keys = read_sources(context, "keys", w->keys);
	w->n_enroll = read_sources(context, "enroll", w->enroll);
	w->ext4.commit_s = (unsigned)option_integer(context, "commit_s");
	w->ext4.discard = option_boolean(context, "discard");
	snprintf(w->device, sizeof(w->device), "/dev/mapper/%s", w->name);
}

/* The UUID in a LUKS header of any version, trusted or not; empty: no header. */
static void shown_uuid(int fd, char ret[41])
{
	char sector[512];

	ret[0] = '\0';
	if (pread(fd, sector, sizeof(sector), 0) != (ssize_t)sizeof(sector) ||
	    (memcmp(sector, "LUKS\xba\xbe", 6) != 0 && memcmp(sector, "SKUL\xba\xbe", 6) != 0))
		return;
	memcpy(ret, sector[168] ? sector + 168 : "none", sector[168] ? 40 : sizeof("none"));
	ret[40] = '\0';
}

/*
 * Whether force_serial names this very disk. For a volume it must name the volume too: that name is gone once the disk
 * is formatted, so the same configuration cannot do it a second time.
 */
static bool is_given_up(const struct work *w)
{
	char uuid[41];

	if (!w->force_serial || !w->disk.serial[0] || strcmp(w->force_serial, w->disk.serial) != 0)
		return false;
	shown_uuid(w->fd, uuid);
	return strcmp(uuid, w->force_uuid) == 0;
}

/* A disk that is neither ours nor blank, and will not become so by another try. */
static int refuse(struct work *w, const char *why)
{
	char text[FIND_WHY_MAX + DISK_NAME_MAX + 4];

	if (w->worth_retry || !w->may_format || !is_given_up(w))
		return work_leave(w, why);
	report_event(EVENT_WARNING, "%s, serial %s, is not blank, but force_serial names it: %s",
		     work_text(w, text), w->disk.serial, why);
	w->reasons[0] = '\0';
	return disk_format(w, "overwritten, as force_serial demands", true);
}

static int take_up_blank(struct work *w)
{
	char why[DISK_WHY_MAX] = "", refused[DISK_WHY_MAX + 32];
	int r = blank_check(w->fd, w->disk.size, why);

	if (r < 0) {
		w->worth_retry = true;
		snprintf(refused, sizeof(refused), "cannot be read: %s", why[0] ? why : strerror(-r));
		return work_leave(w, refused);
	}
	if (r == 0) {
		snprintf(refused, sizeof(refused), "neither blank nor ours: %s", why);
		return refuse(w, refused);
	}
	if (!w->may_format)
		return work_leave(w, "blank, but \"format\" is false");
	if (w->disk.size < SIZE_MIN)
		return work_leave(w, "blank, but too small to format");
	return disk_format(w, "blank", false);
}

/* Our own mark is on it: it has no data yet. */
static int take_up_unfinished(struct work *w, int unfinished, const char *why)
{
	char text[FIND_WHY_MAX + DISK_NAME_MAX + 4];

	if (unfinished < 0) {
		w->worth_retry = key_error_may_pass(unfinished) || unfinished == -ENOENT;
		return work_leave(w, why);
	}
	if (unfinished == 0)
		return refuse(w, "its formatting was interrupted, but the TPM of this machine has no record of it");
	report_event(EVENT_NOTICE, "%s: formatting was interrupted, starting again", work_text(w, text));
	return w->may_format ? disk_format(w, "partly formatted", false) :
			       work_leave(w, "its formatting was interrupted, but \"format\" is false");
}

/* The content of the disk decides. */
static int take_up(struct work *w)
{
	_cleanup_(cleanup_luks) struct luks *luks = NULL;
	char why[DISK_WHY_MAX] = "", refused[DISK_WHY_MAX + 32], text[FIND_WHY_MAX + DISK_NAME_MAX + 4];
	bool has_mark;
	int r;

	report_event(EVENT_INFO, "found %s, %llu bytes%s%s", work_text(w, text), (unsigned long long)w->disk.size,
		     w->disk.serial[0] ? ", serial " : "", w->disk.serial);
	r = disk_is_unfinished(w, &has_mark, why);
	if (has_mark || r < 0)
		return take_up_unfinished(w, r, why);
	r = luks_open(w->fd, w->disk.path, w->disk.size, &luks, why);
	if (r < 0) {
		w->worth_retry = r != -EBADMSG;
		snprintf(refused, sizeof(refused), "LUKS2 header %s%s", r == -EBADMSG ? "refused: " : "", why);
		return refuse(w, refused);
	}
	if (r == 0)
		return take_up_blank(w);
	r = disk_open(w, luks);
	return r == -ENOKEY ? refuse(w, w->reasons) : r;
}

/* Describes the disk below the active volume. */
static int disk_below(struct work *w)
{
	_cleanup_(cleanup_closedir) DIR *dir = NULL;
	struct dirent *entry;
	struct stat st;
	char path[96];

	if (stat(w->device, &st) < 0 || !S_ISBLK(st.st_mode))
		return -ENODEV;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/slaves", major(st.st_rdev), minor(st.st_rdev));
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			return find_describe(&roots, entry->d_name, &w->disk);
	return -ENODEV;
}

/*
 * A volume that an attempt before this one left open: goes on with it, if it is the one whose header is on the disk.
 * Otherwise it was being formatted, and is closed. -ENODEV: begin as usual.
 */
static int take_up_open(struct work *w)
{
	_cleanup_(cleanup_luks) struct luks *luks = NULL;
	char why[DISK_WHY_MAX];
	int r;

	r = disk_below(w);
	if (r == 0) {
		w->fd = open(w->disk.path, O_RDONLY | O_CLOEXEC);
		r = w->fd < 0 ? -errno : luks_open(w->fd, w->disk.path, w->disk.size, &luks, why);
	}
	if (r > 0 && luks_is_active(w->name, luks_header_of(luks)->uuid))
		return disk_resume(w, luks);
	/* Closed for that, it would stay so: PCR 15 is extended. */
	if (w->fd >= 0 && (r == -EAGAIN || r == -ENOMEM || r == -ETIMEDOUT)) {
		report_result("LUKS2 header below %s %s", w->device, why);
		return STAGE_AGAIN;
	}
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	r = luks_deactivate(w->name);
	if (r == 0)
		return -ENODEV;
	report_result("volume %s of an earlier attempt cannot be closed: %s", w->name, strerror(-r));
	return STAGE_AGAIN;
}

static int run(struct stage_context *context)
{
	struct work w = {.fd = -1, .started_ms = time_now_ms()};
	int r;

	read_options(context, &w);
	r = access(w.device, F_OK) == 0 ? take_up_open(&w) : -ENODEV;
	if (r == -ENODEV) {
		r = disk_wait(&w);
		if (r == STAGE_DONE) {
			disk_outlast(&w);
			r = take_up(&w);
		}
	}
	if (w.fd >= 0)
		close(w.fd);
	return r;
}

static bool lists(struct json_object *options, const char *name, const char *source)
{
	struct json_object *list;

	if (!json_object_object_get_ex(options, name, &list))
		return false;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(list, i)), source) == 0)
			return true;
	return false;
}

/* Without it the key could be unsealed for as long as the machine runs. */
static bool leaves_out_15(struct json_object *options)
{
	struct json_object *list;

	if (!json_object_object_get_ex(options, "pcrs", &list))
		return false;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (json_object_get_int(json_object_array_get_idx(list, i)) == TPM_PCR_CLOSE)
			return false;
	return true;
}

static size_t count_rules(struct json_object *options)
{
	static const char *const rules[] = {"lun", "nsid", "serial", "wwid", "largest"};
	size_t given = 0;

	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		given += has(options, rules[i]);
	return given;
}

static const char *value_of(struct json_object *options, const char *name)
{
	struct json_object *value;

	if (json_object_object_get_ex(options, name, &value))
		return json_object_get_string(value);
	return !strcmp(name, "lun") && !count_rules(options) ? LUN_DEFAULT : NULL;
}

/* The second of the two would wait for a disk, a device's name or a mount point that the first one has. */
static const char *conflict(struct json_object *options, struct json_object *other)
{
	static const char *const unique[] = {"lun", "nsid", "serial", "wwid", "name", "mount"};

	for (size_t i = 0; i < sizeof(unique) / sizeof(*unique); i++) {
		const char *one = value_of(options, unique[i]), *two = value_of(other, unique[i]);

		if (one && two && !strcmp(one, two))
			return unique[i];
	}
	return NULL;
}

static const char *check(struct json_object *options)
{
	if (count_rules(options) > 1)
		return "may have only one of \"lun\", \"nsid\", \"serial\", \"wwid\", \"largest\"";
	if ((lists(options, "keys", "tpm2-signed") || lists(options, "enroll", "tpm2-signed")) &&
	    !(has(options, "policy_key") && has(options, "version")))
		return "\"tpm2-signed\" needs \"policy_key\" and \"version\"";
	/* The tpm2 keyslot would admit an image that tpm2-signed refuses by its version. */
	if (lists(options, "enroll", "tpm2-signed") && lists(options, "enroll", "tpm2"))
		return "may not enroll both \"tpm2\" and \"tpm2-signed\"";
	if (leaves_out_15(options))
		return "\"pcrs\" must have 15, which is extended once the disk is open";
	if (has(options, "policy_key") != has(options, "version"))
		return "\"policy_key\" and \"version\" need each other";
	if (has(options, "force_uuid") && !has(options, "force_serial"))
		return "\"force_uuid\" needs \"force_serial\"";
	return NULL;
}

static const char *const key_names[] = {"tpm2", "tpm2-signed", "hub", "recovery", "tpm2-nv", NULL};
static const char *const enroll_names[] = {"tpm2", "tpm2-signed", "hub", "recovery", NULL};
static const char *const intent_names[] = {"tpm", "none", NULL};
static const char *const scheduler_names[] = {"none", "mq-deadline", "kyber", "bfq", NULL};

static const struct stage_option options[] = {
	{"lun", OPTION_INTEGER, .minimum = 0, .maximum = 16383},
	{"nsid", OPTION_INTEGER, .minimum = 1, .maximum = UINT32_MAX},
	{"serial", OPTION_STRING, .minimum = 1, .maximum = DISK_ID_MAX - 1},
	{"wwid", OPTION_STRING, .minimum = 1, .maximum = DISK_ID_MAX - 1},
	{"largest", OPTION_BOOLEAN, .required = false},
	{"wait_s", OPTION_INTEGER, .minimum = 0, .maximum = 31536000, .fallback = "0"},
	{"keys", OPTION_STRINGS, .minimum = 1, .maximum = KEY_SOURCES_MAX, .choices = key_names,
	 .fallback = "[\"tpm2\", \"hub\"]"},
	{"enroll", OPTION_STRINGS, .minimum = 1, .maximum = KEY_SOURCES_MAX, .choices = enroll_names},
	{"pcrs", OPTION_INTEGERS, .minimum = 0, .maximum = 15, .fallback = "[4, 9, 11, 15]"},
	{"unmeasured_pcrs", OPTION_BOOLEAN, .required = false, .fallback = "false"},
	{"policy_key", OPTION_STRING, .minimum = 2, .maximum = 255, .names = OPTION_NAMES_READ},
	{"version", OPTION_INTEGER, .minimum = 1, .maximum = VERSION_MAX},
	{"format", OPTION_BOOLEAN, .required = false, .fallback = "true"},
	{"intent", OPTION_STRING, .choices = intent_names, .fallback = "tpm"},
	{"force_serial", OPTION_STRING, .minimum = 1, .maximum = DISK_ID_MAX - 1},
	{"force_uuid", OPTION_STRING, .minimum = 1, .maximum = 40},
	{"name", OPTION_STRING, .minimum = 1, .maximum = 64, .fallback = "persistent"},
	{"mount", OPTION_STRING, .minimum = 2, .maximum = 255, .names = OPTION_NAMES_MOUNT,
	 .fallback = "/persistent"},
	{"commit_s", OPTION_INTEGER, .minimum = 1, .maximum = 3600, .fallback = "5"},
	{"discard", OPTION_BOOLEAN, .required = false, .fallback = "false"},
	{"scheduler", OPTION_STRING, .choices = scheduler_names, .fallback = "none"},
	{"read_ahead_kb", OPTION_INTEGER, .minimum = 0, .maximum = 16384, .fallback = "128"},
	{"queue_depth", OPTION_INTEGER, .minimum = 1, .maximum = 4096},
	{"io_timeout_s", OPTION_INTEGER, .minimum = 1, .maximum = 3600},
	{"swap_bytes", OPTION_INTEGER, .minimum = 0, .maximum = INT64_C(1) << 43, .fallback = "0"},
	{"directories", OPTION_OBJECTS, .minimum = 1, .maximum = 64, .members = disk_directory_options},
	{0},
};

static const char *const takes[] = {KEY_ARTIFACT, RECOVERY_ARTIFACT, NULL};
static const struct stage_secret secrets[] = {{KEY_ARTIFACT, "hub"}, {RECOVERY_ARTIFACT, "recovery"}, {0}};
static const char *const truths[] = {"formatted", NULL};

const struct stage stage_disk = {
	.type = "disk",
	.takes = takes,
	.secrets = secrets,
	.options = options,
	.section = "disk",
	.truths = truths,
	.check = check,
	.conflict = conflict,
	.deadline_s = 0,
	.once = true,
	.retry_limit = 5,
	.capabilities = UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_MKNOD | UINT64_C(1) << CAP_SYS_RESOURCE |
			UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_FOWNER |
			UINT64_C(1) << CAP_KILL | UINT64_C(1) << CAP_SETGID | UINT64_C(1) << CAP_SETUID,
	.calls = STAGE_CALLS_DISKS,
	.unbounded = true,
	.tpm = STAGE_TPM_DISK,
	.run = run,
};
