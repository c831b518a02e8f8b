/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements act.h. The processes are roles of this binary: `launch` for the command of an action, `api-store` for
 * everything that touches a file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/control.h>

#include "act.h"
#include "handover.h"
#include "init/control/boot.h"
#include "init/event/event.h"
#include "init/lib/bucket.h"
#include "init/lib/inbox.h"
#include "init/lib/loop.h"
#include "init/lib/memfd.h"
#include "init/node/artifact.h"
#include "init/node/refresh-run.h"
#include "init/node/task.h"
#include "shutdown.h"

#define STORE_NS      (30 * 1000000000LL)	/* a disk that cannot write a file in this time is broken */
#define BOOT_LOG_NS   (60 * 1000000000LL)
#define LOAD_AGAIN_NS 5000000000LL
#define RENEW_NS      (86400 * 1000000000LL)	/* a certificate is renewed weeks before it ends */
#define CLOCK_SET_NS  2000000000LL	/* after the clock was set; who sets it again and again causes no more */
#define ANSWER_NS     300000000LL	/* time to send the answer before the shutdown stops the network */

enum act_kind {
	ACT_ACTION,
	ACT_UPLOAD,
	ACT_PASSWORD,
	ACT_BOOT_LOG,
	ACT_SERVICE_LOG,
	ACT_LOAD,
	ACT_RENEW,
};

struct act {
	bool used;
	bool refreshes;		/* ends with the refresh that it started */
	enum act_kind kind;
	int64_t id;
	struct task task;
	const char *name;
	const char *path;	/* of an upload */
	const char *service;	/* JSON object of a command to launch */
	int64_t limit_ns;
	int payload;		/* -1: none */
	char cgroup[NODE_NAME_MAX];
};

static const struct config *config;
static struct act acts[ACTS_MAX];
static int64_t last_id;
static int api_options = -1, log_options = -1, logs_options = -1;
static bool loading, loaded;
static bool password_unsure;	/* an act that failed may have stored it all the same */
static struct loop_timer load_timer, renew_timer, end_timer;
static const struct config_action *end_by;

/* ---- an act's events ------------------------------------------------------------------------------------------- */

static const char *const kind_fields[] = {[ACT_ACTION] = "action", [ACT_UPLOAD] = "upload"};

/* fmt: the event's text. Clients match the fields: action or upload, id, and in the last event result and error. */
static void say(enum event_level level, const struct act *act, const char *result, const char *error,
		const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static void say(enum event_level level, const struct act *act, const char *result, const char *error,
		const char *fmt, ...)
{
	char text[EVENT_TEXT_MAX + 8];
	struct fields fields = {0};
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (act->kind <= ACT_UPLOAD)
		fields_add(&fields, kind_fields[act->kind], "%s", act->name);
	fields_add(&fields, "id", "%" PRId64, act->id);
	if (result)
		fields_add(&fields, "result", "%s", result);
	if (error)
		fields_add(&fields, "error", "%.200s", error);
	event_tell(level, ACT_SOURCE, &fields, "%s", text);
}

static void say_success(const struct act *act)
{
	struct stat st = {0};

	if (act->kind == ACT_ACTION) {
		say(EVENT_INFO, act, "success", NULL, "executing action success: %s", act->name);
	} else if (act->kind == ACT_UPLOAD) {
		fstat(act->payload, &st);
		say(EVENT_INFO, act, "success", NULL, "file upload success: %s = %s - content: %lld bytes", act->name,
		    act->path, (long long)st.st_size);
	} else if (act->kind == ACT_PASSWORD) {
		say(EVENT_NOTICE, act, "success", NULL, "basic auth secret updated");
	}
}

static void say_failure(const struct act *act, const char *error, const char *words)
{
	if (!words)
		words = "";
	if (act->kind == ACT_ACTION)
		say(EVENT_ERROR, act, "failed", error, "error executing action: %s - error: %s (stderr: %s)", act->name,
		    error, words);
	else if (act->kind == ACT_UPLOAD)
		say(EVENT_ERROR, act, "failed", error, "error uploading file: %s - error: %s: %s", act->name, error,
		    words);
	else if (act->kind == ACT_PASSWORD)
		say(EVENT_ERROR, act, "failed", error, "error updating basic auth secret: %s: %s", error, words);
	else if (act->kind == ACT_SERVICE_LOG)
		event_say(EVENT_WARNING, ACT_SOURCE, "log of %s: %s: %s", act->name, error, words);
	else if (act->kind == ACT_BOOT_LOG)
		event_say(EVENT_WARNING, ACT_SOURCE, "log of an earlier boot: %s: %s", error, words);
	else if (act->kind == ACT_RENEW)
		event_say(EVENT_WARNING, ACT_SOURCE, "looking after the certificate: %s", *words ? words : error);
	else
		event_say(EVENT_ERROR, ACT_SOURCE, "password and TLS key: %s; trying again", *words ? words : error);
}

/* ---- the process ---------------------------------------------------------------------------------------------- */

static void release(struct act *act)
{
	inbox_close(act->payload);
	*act = (struct act){.payload = -1};
}

static void load_ended(bool good)
{
	struct stat st = {0};

	loading = false;
	if (!good) {
		loop_arm(&load_timer, loop_now_ns() + LOAD_AGAIN_NS);
		return;
	}
	loaded = true;
	password_unsure = false;
	if (config->api_json)
		loop_arm(&renew_timer, loop_now_ns() + RENEW_NS);
	if (fstat(handover_kept(HAND_PASSWORD), &st) == 0 && st.st_size == 0)
		event_say(EVENT_WARNING, ACT_SOURCE, "no password is set: every client has full access; set one");
}

static void ended(struct task *task, const struct process_exit *how)
{
	struct act *act = TASK_OWNER(struct act, task, task);
	bool good = how->status == 0;
	char error[128];

	if (task->late)
		snprintf(error, sizeof(error), "not done within %" PRId64 " s", act->limit_ns / 1000000000);
	else if (how->status < 0)
		snprintf(error, sizeof(error), "signal: %s", strsignal(how->signal));
	else
		snprintf(error, sizeof(error), "exit status %d", how->status);
	if (good && act->kind == ACT_PASSWORD) {
		handover_keep(HAND_PASSWORD, act->payload);
		act->payload = -1;
	}
	if (good)
		say_success(act);
	else
		say_failure(act, error, how->reason);
	if (act->kind == ACT_LOAD)
		load_ended(good);
	if (act->kind == ACT_PASSWORD && !good) {
		password_unsure = true;
		loop_arm(&load_timer, loop_now_ns() + 1);
	}
	release(act);
}

/* Password and identity are kept separately: the password, and so the acts, work without a valid certificate. */
static void keep(enum control_hand kind, int fd)
{
	bool again = kind == HAND_PASSWORD && password_unsure;

	if (handover_kept(kind) >= 0 && !again)	/* this load was for the other one */
		close(fd);
	else
		handover_keep(kind, fd);
}

static bool given(struct child *child, const char *name, int fd)
{
	const struct act *act = TASK_OWNER(struct act, task, child_with(child));

	if (act->kind == ACT_RENEW && !strcmp(name, "identity")) {
		handover_keep(HAND_IDENTITY, fd);
		return true;
	}
	if (act->kind != ACT_LOAD)
		return false;
	if (!strcmp(name, "password"))
		keep(HAND_PASSWORD, fd);
	else if (!strcmp(name, "identity"))
		keep(HAND_IDENTITY, fd);
	else
		return false;
	return true;
}

/* What a client asks for; what PID 1 itself loads is none of it. */
static bool is_within_limit(enum act_kind kind)
{
	static const struct bucket_limit limit = {.per_s = ACTS_PER_S, .burst = ACTS_BURST};
	static struct bucket changes, reads;
	bool is_read = kind == ACT_BOOT_LOG || kind == ACT_SERVICE_LOG;

	return kind == ACT_LOAD || kind == ACT_RENEW || bucket_take(is_read ? &reads : &changes, &limit, loop_now_ns());
}

/* Returns a free act that owns payload, or NULL with payload closed and *ret_error set. */
static struct act *prepare(enum act_kind kind, const char *name, int payload, int *ret_error)
{
	*ret_error = -EBUSY;
	for (size_t i = 0; i < ACTS_MAX; i++)
		if (acts[i].used && kind == ACT_PASSWORD && acts[i].kind == kind)
			goto refused;
	if (shutdown_begun()) {
		*ret_error = -ESHUTDOWN;
		goto refused;
	}
	for (size_t i = 0; i < ACTS_MAX; i++) {
		struct act *act = &acts[i];

		if (act->used)
			continue;
		if (!is_within_limit(kind)) {
			*ret_error = -EDQUOT;
			break;
		}
		*act = (struct act){.used = true, .kind = kind, .name = name, .payload = payload, .limit_ns = STORE_NS,
				    .id = ++last_id, .task = {.ended = ended}};
		return act;
	}
refused:
	inbox_close(payload);
	return NULL;
}

static int64_t start(struct act *act, const char *const *argv, int options)
{
	struct child_spec spec = {CHILD_OF_NONE, .source = ACT_SOURCE, .argv = argv, .service = act->service,
				  .payload_fd = act->payload < 0 ? 0 : act->payload, .given = given};
	int64_t id = act->id;
	int r;

	if (act->kind == ACT_ACTION) {
		snprintf(act->cgroup, sizeof(act->cgroup), "action.%" PRId64, act->id);
		act->task.cgroup = act->cgroup;
	}
	spec.options_fd = options;
	r = task_start(&act->task, &spec, act->limit_ns);
	if (r < 0) {
		say_failure(act, strerror(-r), NULL);
		release(act);
		return r;
	}
	return id;
}

/* ---- the acts ------------------------------------------------------------------------------------------------- */

static void end_machine(struct loop_timer *timer)
{
	static const enum shutdown_kind kinds[] = {
		[VERB_REBOOT] = SHUTDOWN_REBOOT, [VERB_POWEROFF] = SHUTDOWN_POWEROFF, [VERB_HALT] = SHUTDOWN_HALT,
	};

	(void)timer;
	shutdown_begin(kinds[end_by->verb], ACT_SOURCE, end_by->name);
}

/* The first request decides between reboot, poweroff and halt. */
static int end_soon(const struct config_action *action)
{
	if (end_timer.armed)
		return 0;
	end_by = action;
	loop_arm(&end_timer, loop_now_ns() + ANSWER_NS);
	return 0;
}

static int do_verb(const struct config_action *action)
{
	switch (action->verb) {
	case VERB_START:
		return boot_start(action->target);
	case VERB_STOP:
		return boot_stop(action->target);
	case VERB_RESTART:
		return boot_restart(action->target);
	case VERB_REBOOT:
	case VERB_POWEROFF:
	case VERB_HALT:
		return end_soon(action);
	default:
		return -EINVAL;
	}
}

/* A verb that changes nothing (-EALREADY) succeeds. */
static int64_t finish_verb(struct act *act, const struct config_action *action)
{
	int64_t id = act->id;
	int r = do_verb(action);

	if (r == 0 || r == -EALREADY)
		say_success(act);
	else
		say_failure(act, strerror(-r), NULL);
	release(act);
	return id;
}

/* The act gets the result of the refresh. It needs no deadline, since the refresh has its own. */
static int64_t begin_refresh(struct act *act)
{
	int64_t id = act->id;
	int r;

	act->refreshes = true;
	r = refresh_run_begin();
	if (r < 0) {
		say_failure(act, r == -EINPROGRESS ? "a refresh is running" :
				 r == -ENODATA ? "the boot has not used its configuration yet" : strerror(-r), NULL);
		release(act);
	}
	return id;
}

static void refresh_ended(bool good, const char *text)
{
	for (size_t i = 0; i < ACTS_MAX; i++) {
		struct act *act = &acts[i];

		if (!act->used || !act->refreshes)
			continue;
		if (good)
			say_success(act);
		else
			say_failure(act, text, NULL);
		release(act);
	}
}

int64_t act_action(const char *name)
{
	const struct config_action *action = NULL;
	const char *const argv[] = {"launch", name, NULL};
	struct act *act;
	int r;

	for (size_t i = 0; i < config->n_actions && !action; i++)
		if (!strcmp(config->actions[i].name, name))
			action = &config->actions[i];
	if (!action)
		return -ENOENT;
	act = prepare(ACT_ACTION, action->name, -1, &r);
	if (!act)
		return r;
	say(EVENT_INFO, act, NULL, NULL, "executing action: %s = %s", action->name, action->words);
	if (action->verb == VERB_REFRESH)
		return begin_refresh(act);
	if (action->verb != VERB_NONE)
		return finish_verb(act, action);
	act->limit_ns = action->deadline_ms * 1000000;
	act->service = action->json;
	return start(act, argv, -1);
}

int64_t act_upload(const char *name, int fd)
{
	const char *const argv[] = {"api-store", "upload", name, NULL};
	struct act *act;
	int r;

	for (size_t i = 0; i < config->n_uploads; i++) {
		const struct config_upload *upload = &config->uploads[i];

		if (strcmp(upload->name, name))
			continue;
		if (memfd_check(fd, (size_t)upload->max_bytes) < 0) {
			inbox_close(fd);
			return -EINVAL;
		}
		act = prepare(ACT_UPLOAD, upload->name, fd, &r);
		if (!act)
			return r;
		act->path = upload->path;
		say(EVENT_INFO, act, NULL, NULL, "file upload: %s = %s", upload->name, upload->path);
		return start(act, argv, api_options);
	}
	inbox_close(fd);
	return -ENOENT;
}

int64_t act_password(const char *stored, size_t size)
{
	static const char *const argv[] = {"api-store", "password", NULL};
	int fd, r;
	struct act *act;

	if (handover_kept(HAND_PASSWORD) < 0)
		return -EAGAIN;
	fd = memfd_sealed("password", stored, size);
	if (fd < 0)
		return fd;
	act = prepare(ACT_PASSWORD, NULL, fd, &r);
	return act ? start(act, argv, api_options) : r;
}

int64_t act_boot_log(int fd)
{
	static const char *const argv[] = {"api-store", "log", NULL};
	struct act *act;
	int r;

	if (log_options < 0) {
		inbox_close(fd);
		return -ENOENT;
	}
	act = prepare(ACT_BOOT_LOG, NULL, fd, &r);
	if (!act)
		return r;
	act->limit_ns = BOOT_LOG_NS;
	return start(act, argv, log_options);
}

int64_t act_service_log(const char *name, int fd)
{
	const char *const argv[] = {"api-store", "service-log", name, NULL};
	const struct config_node *service = NULL;
	struct act *act;
	int r;

	for (size_t i = 0; i < config->n_nodes && !service; i++)
		if (config->nodes[i].kind == NODE_SERVICE && !strcmp(config->nodes[i].name, name))
			service = &config->nodes[i];
	if (!service || logs_options < 0) {
		inbox_close(fd);
		return -ENOENT;
	}
	act = prepare(ACT_SERVICE_LOG, service->name, fd, &r);
	if (!act)
		return r;
	act->limit_ns = BOOT_LOG_NS;
	return start(act, argv, logs_options);
}

/* ---- password and identity ------------------------------------------------------------------------------------- */

static void load(struct loop_timer *timer)
{
	static const char *const argv[] = {"api-store", "load", NULL};
	struct act *act;
	int r;

	(void)timer;
	act = prepare(ACT_LOAD, NULL, -1, &r);
	loading = act && start(act, argv, api_options) > 0;
	if (!loading && r != -ESHUTDOWN)
		loop_arm(&load_timer, loop_now_ns() + LOAD_AGAIN_NS);
}

void act_load(void)
{
	if (loading || loaded || load_timer.armed || api_options < 0)
		return;
	load(&load_timer);
}

static void renew(struct loop_timer *timer)
{
	static const char *const argv[] = {"api-store", "renew", NULL};
	struct act *act;
	int r;

	loop_arm(timer, loop_now_ns() + RENEW_NS);
	if (handover_kept(HAND_IDENTITY) < 0)
		return;
	act = prepare(ACT_RENEW, NULL, -1, &r);
	if (act)
		start(act, argv, api_options);
}

void act_clock_was_set(void)
{
	int64_t soon = loop_now_ns() + CLOCK_SET_NS;

	if (renew_timer.armed && renew_timer.due_ns > soon)
		loop_arm(&renew_timer, soon);
}

void act_init(const struct config *with)
{
	config = with;
	load_timer.fire = load;
	renew_timer.fire = renew;
	end_timer.fire = end_machine;
	refresh_run_on_end(refresh_ended);
	for (size_t i = 0; i < ACTS_MAX; i++)
		acts[i].payload = -1;
	if (config->api_json)
		api_options = memfd_sealed("api", config->api_json, strlen(config->api_json));
	if (config->log_json)
		log_options = memfd_sealed("log", config->log_json, strlen(config->log_json));
	if (config->logs_json)
		logs_options = memfd_sealed("logs", config->logs_json, strlen(config->logs_json));
}
