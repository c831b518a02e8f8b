/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements refresh-run.h. Everything is allocated before the loop; a step is one child, and only one runs. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "artifact.h"
#include "init/event/event.h"
#include "init/lib/hex.h"
#include "init/lib/loop.h"
#include "init/lib/memfd.h"
#include "init/lib/words.h"
#include "init/plan/refresh.h"
#include "refresh-run.h"
#include "tpm-owner.h"
#include "task.h"

#define CGROUP  "refresh.step"	/* no node's name has a dot */
#define STEP_NS (300 * 1000000000LL)	/* for a stage without a deadline */
#define CONFIG  CONFIG_ARTIFACT

enum flag {
	FLAG_UNREPORTED,
	FLAG_TRUE,
	FLAG_FALSE,
	FLAG_MISSING,
	FLAG_INVALID,
};

static const char *const flag_words[] = {"", "true", "false", "missing", "invalid"};

struct service {
	uint8_t flag;		/* enum flag: its enabled_if key in the new document */
	bool changed;		/* one of its on_change files has changed */
	bool signal_due;	/* deferred until it is ready */
};

static const struct config *config;
static struct plan *plan;
static const int *options;
static struct child *const *processes;
static void (*report_end)(bool good, const char *text);

static struct refresh machine;
static size_t *node_of;			/* node of each of machine.stages */
static struct service *services;	/* by node */
static void step_ended(struct task *task, const struct process_exit *how);

static struct task step = {.cgroup = CGROUP, .ended = step_ended};	/* the process of the latest REFRESH_RUN */
static size_t step_node;
static bool step_old;			/* it uses the old document */
/* The new document until it becomes current, its copy without the disk secrets, and its digest. */
enum {DOCUMENT, KEPT, DIGEST, PARTS};
static const char *const part_names[PARTS] = {CONFIG, KEPT_ARTIFACT, DIGEST_ARTIFACT};
static int candidate[PARTS] = {-1, -1, -1};
static size_t changed_files;
static char fail_reason[NODE_REASON_MAX];
static struct control_refresh so_far;	/* the status; refresh_run_status() fills in the rest */
static struct loop_timer timer;

static void feed(const struct refresh_input *input);

/* ---- enabled_if keys, reported by the config stage -------------------------------------------------------------- */

static void take_flag(const char *text)
{
	const char *word = strrchr(text, '=');
	enum flag flag = FLAG_UNREPORTED;

	for (size_t i = 1; word && i < sizeof(flag_words) / sizeof(*flag_words); i++)
		if (!strcmp(word + 1, flag_words[i]))
			flag = (enum flag)i;
	for (size_t i = 0; flag != FLAG_UNREPORTED && i < config->n_nodes; i++) {
		const char *key = config->nodes[i].enabled_if;

		if (key && strlen(key) == (size_t)(word - text) && !strncmp(key, text, strlen(key)))
			services[i].flag = (uint8_t)flag;
	}
}

static void forget_flags(void)
{
	for (size_t i = 0; i < config->n_nodes; i++)
		services[i].flag = FLAG_UNREPORTED;
}

/* Applies the enabled_if keys of the document, which has become current. Any value but true disables. */
static void apply_flags(void)
{
	static const char *const words[] = {
		[FLAG_UNREPORTED] = "the config stage did not report %s",
		[FLAG_TRUE] = "%s is true",
		[FLAG_FALSE] = "%s is false",
		[FLAG_MISSING] = "%s is not in the configuration",
		[FLAG_INVALID] = "%s is neither true nor false",
	};

	for (size_t i = 0; i < config->n_nodes; i++) {
		const struct config_node *node = &config->nodes[i];
		enum flag flag = (enum flag)services[i].flag;
		char why[NODE_REASON_MAX];

		if (!node->enabled_if)
			continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(why, sizeof(why), words[flag], node->enabled_if);
#pragma GCC diagnostic pop
		if (flag != FLAG_TRUE && flag != FLAG_FALSE)
			event_say(EVENT_WARNING, node->name, "not enabled: %s", why);
		plan_enable(plan, i, flag == FLAG_TRUE, why);
	}
	forget_flags();
}

/* The config stage of the plan has ended: its report is used only if it succeeded. */
static void config_ended(size_t node, bool good)
{
	if (good && config->refreshes && node == config->refresh_stage)
		so_far.success_ns = loop_now_ns();
	if (good)
		apply_flags();
	else
		forget_flags();
}

/* ---- changed files, reported by the render stages --------------------------------------------------------------- */

static void take_changed(const char *path)
{
	changed_files++;
	for (size_t i = 0; i < config->n_nodes; i++) {
		const struct config_node *node = &config->nodes[i];

		for (size_t j = 0; j < node->n_change_files; j++)
			services[i].changed |= !strcmp(node->change_files[j], path);
	}
}

static void forget_changes(void)
{
	changed_files = 0;
	for (size_t i = 0; i < config->n_nodes; i++)
		services[i].changed = false;
}

static void signal_service(size_t index)
{
	services[index].signal_due = false;
	if (processes[index])
		child_signal(processes[index], config->nodes[index].change_signal);
}

/*
 * A service that is not running reads its files when it starts. A service that has started and is not ready gets its
 * signal when it becomes ready: before, the launcher or a program without a handler would be killed by the signal.
 */
static void notify_service(size_t index)
{
	const struct config_node *node = &config->nodes[index];
	enum node_state state = plan->nodes[index].state;

	if (node->change_action == CHANGE_SIGNAL && state == NODE_READY) {
		event_say(EVENT_INFO, node->name, "a file has changed: signal %d (%s)", node->change_signal,
			  strsignal(node->change_signal));
		signal_service(index);
	} else if (node->change_action == CHANGE_SIGNAL && state == NODE_RUNNING) {
		event_say(EVENT_INFO, node->name, "a file has changed: signal %d (%s) once it is ready",
			  node->change_signal, strsignal(node->change_signal));
		services[index].signal_due = true;
	} else if (node->change_action == CHANGE_RESTART && (state == NODE_READY || state == NODE_RUNNING)) {
		event_say(EVENT_INFO, node->name, "a file has changed: restart");
		plan_stop(plan, index, true, loop_now_ns());
	} else if (node->change_action == CHANGE_RESTART && (state == NODE_RETRYING || state == NODE_FAILED)) {
		event_say(EVENT_INFO, node->name, "a file has changed: started again");
		plan_start(plan, index, loop_now_ns());
	}
}

void refresh_run_ready(size_t node)
{
	if (services && services[node].signal_due)
		signal_service(node);
}

void refresh_run_ended(size_t node, bool good)
{
	const struct stage *stage = config->nodes[node].stage;

	if (services)
		services[node].signal_due = false;
	if (stage && stage->refresh == STAGE_FETCHES)
		config_ended(node, good);
}

void refresh_run_report(struct child *child, enum report_kind kind, const char *strings, size_t size)
{
	enum stage_refresh part = config->nodes[child_node(child)].stage->refresh;

	for (size_t at = 0; at < size; at += strlen(strings + at) + 1) {
		if (kind == REPORT_FLAGS && part == STAGE_FETCHES)
			take_flag(strings + at);
		else if (kind == REPORT_CHANGED && part == STAGE_RENDERS && machine.state == REFRESH_APPLYING)
			take_changed(strings + at);
	}
}

/* ---- the processes ---------------------------------------------------------------------------------------------- */

static int take(struct child *child, const char *name, int *ret_fd)
{
	bool fetches = machine.state == REFRESH_FETCHING;
	int fd;

	(void)child;
	if (strcmp(name, fetches ? DIGEST_ARTIFACT : CONFIG))
		return -EPERM;
	fd = fetches ? artifact_now(DIGEST_ARTIFACT) : step_old ? artifact_now(KEPT_ARTIFACT) :
	     memfd_reopen(candidate[DOCUMENT]);
	if (fd < 0)
		return -ENOENT;
	*ret_fd = fd;
	return 0;
}

static void drop_candidate(void)
{
	for (size_t i = 0; i < PARTS; i++) {
		if (candidate[i] >= 0)
			close(candidate[i]);
		candidate[i] = -1;
	}
}

static bool given(struct child *child, const char *name, int fd)
{
	(void)child;
	for (size_t i = 0; machine.state == REFRESH_FETCHING && i < PARTS; i++) {
		if (strcmp(name, part_names[i]))
			continue;
		if (candidate[i] >= 0)
			close(candidate[i]);
		candidate[i] = fd;
		return true;
	}
	return false;
}

static const char *const phase_names[REFRESH_STATE_MAX] = REFRESH_STATE_NAMES;

static bool is_complete(void)
{
	return candidate[DOCUMENT] >= 0 && candidate[KEPT] >= 0 && candidate[DIGEST] >= 0;
}

static void step_ended(struct task *task, const struct process_exit *how)
{
	struct refresh_input input = {.kind = REFRESH_ENDED, .outcome = REFRESH_BAD};
	char reason[NODE_REASON_MAX];

	(void)task;
	if (how->reason && *how->reason)
		snprintf(reason, sizeof(reason), "%s", how->reason);
	else if (how->status < 0)
		snprintf(reason, sizeof(reason), "killed by %s", signal_words(how->signal));
	else
		snprintf(reason, sizeof(reason), "exit status %d", how->status);
	input.reason = reason;
	if (how->status == STAGE_DONE && machine.state != REFRESH_FETCHING)
		input.outcome = REFRESH_GOOD;
	else if (how->status == STAGE_DONE && how->skipped)
		input.outcome = REFRESH_SAME;
	else if (how->status == STAGE_DONE && is_complete())
		input.outcome = REFRESH_GOOD;
	else if (how->status == STAGE_DONE)
		input.reason = "the stage gave no document";
	event_say(machine.state == REFRESH_MEASURING || machine.state == REFRESH_APPLYING ? EVENT_INFO : EVENT_DEBUG,
		  config->nodes[step_node].name, "refresh, %s: %s", phase_names[machine.state], reason);
	feed(&input);
}

static void start(const struct refresh_action *action)
{
	static const char *const modes[] = STAGE_MODE_NAMES;
	size_t index = node_of[action->stage];
	const struct config_node *node = &config->nodes[index];
	const char *const argv[] = {"stage", node->stage->type, node->name, modes[action->mode], NULL};
	struct child_spec spec = {.source = node->name, .argv = argv, .node = index, .options_fd = options[index],
				  .channel_fd = -1, .given = given, .take = take, .reported = refresh_run_report};
	int r;

	step_old = action->old;
	step_node = index;
	spec.payload_fd = tpm_owner_client(node->stage);
	r = spec.payload_fd < 0 ? spec.payload_fd : task_start(&step, &spec, 0);
	if (spec.payload_fd > 0)
		close(spec.payload_fd);
	if (r < 0) {
		char reason[NODE_REASON_MAX];

		snprintf(reason, sizeof(reason), "not started: %s", strerror(-r));
		feed(&(struct refresh_input){.kind = REFRESH_ENDED, .outcome = REFRESH_BAD, .reason = reason});
	}
}

/* ---- performing ------------------------------------------------------------------------------------------------- */

/* Restarts the render and measure stages that failed or were blocked, now with the new document. */
static void start_failed(void)
{
	for (size_t i = 1; i < machine.n_stages; i++) {
		enum node_state state = plan->nodes[node_of[i]].state;

		if (state == NODE_FAILED || state == NODE_BLOCKED)
			plan_start(plan, node_of[i], loop_now_ns());
	}
}

static void commit(void)
{
	for (size_t i = 0; i < PARTS; i++) {
		artifact_replace(part_names[i], candidate[i]);
		candidate[i] = -1;
	}
	apply_flags();
	for (size_t i = 0; i < config->n_nodes; i++)
		if (services[i].changed)
			notify_service(i);
	start_failed();
}

static void note(enum refresh_outcome outcome)
{
	so_far.ended_ns = loop_now_ns();
	so_far.outcome = (uint8_t)outcome;
	so_far.runs[outcome]++;
	if (outcome != REFRESH_BAD)
		so_far.success_ns = so_far.ended_ns;
	snprintf(so_far.reason, sizeof(so_far.reason), "%s", outcome == REFRESH_BAD ? machine.reason : "");
}

static void report(const struct refresh_action *action)
{
	static const char *const words[] = REFRESH_OUTCOME_NAMES;
	enum event_level level = !action->loud ? EVENT_DEBUG : action->outcome == REFRESH_BAD ? EVENT_WARNING :
				 action->outcome == REFRESH_GOOD ? EVENT_NOTICE : EVENT_INFO;
	char text[NODE_REASON_MAX + 64];
	struct fields fields = {0};

	fields_add(&fields, "refresh", "%s", words[action->outcome]);
	if (action->outcome == REFRESH_GOOD) {
		fields_add(&fields, "files", "%zu", changed_files);
		snprintf(text, sizeof(text), "configuration refreshed, %zu files changed", changed_files);
	} else if (action->outcome == REFRESH_SAME) {
		snprintf(text, sizeof(text), "configuration is unchanged");
	} else {
		snprintf(text, sizeof(text), "refresh failed, keeping the current configuration: %s", machine.reason);
	}
	note(action->outcome);
	drop_candidate();
	forget_flags();
	forget_changes();
	event_tell(level, "gantry", &fields, "%s", text);
	if (report_end)
		report_end(action->outcome != REFRESH_BAD, action->outcome == REFRESH_BAD ? machine.reason : text);
}

static void warn(size_t stage)
{
	if (machine.state == REFRESH_UNDOING)
		event_say(EVENT_ERROR, machine.stages[stage].name, "cannot restore its files: %s", fail_reason);
	else
		event_say(EVENT_WARNING, machine.stages[stage].name, "refresh continues without this stage: %s",
			  fail_reason);
}

static void perform(const struct refresh_action *action)
{
	switch (action->kind) {
	case REFRESH_RUN:
		start(action);
		break;
	case REFRESH_KILL:
		task_kill(&step);
		break;
	case REFRESH_WARN:
		warn(action->stage);
		break;
	case REFRESH_COMMIT:
		commit();
		break;
	case REFRESH_TELL:
		report(action);
		break;
	}
}

/* A step that cannot be started calls feed() again; the recursion is at most as deep as there are stages. */
static void feed(const struct refresh_input *input)
{
	struct refresh_actions actions;
	int64_t due;

	if (input->reason)
		snprintf(fail_reason, sizeof(fail_reason), "%s", input->reason);
	refresh_step(&machine, input, loop_now_ns(), &actions);
	for (size_t i = 0; i < actions.n; i++)
		perform(&actions.list[i]);
	due = refresh_due_ns(&machine);
	if (due && !(timer.armed && timer.due_ns == due))
		loop_arm(&timer, due);
	else if (!due)
		loop_disarm(&timer);
}

/* ---- when -------------------------------------------------------------------------------------------------------- */

/*
 * A refresh may run once the plan's config stage is done and each stage that uses the document has ended, failed or
 * not: then it does not interfere with the boot, and may repair it. A blocked stage is not run: it lacks a need.
 */
static void look_at_plan(void)
{
	machine.open = plan->nodes[node_of[0]].state == NODE_DONE;
	for (size_t i = 1; i < machine.n_stages; i++) {
		enum node_state state = plan->nodes[node_of[i]].state;
		struct refresh_stage *stage = &machine.stages[i];

		stage->had = state == NODE_DONE || state == NODE_SKIPPED;
		stage->runs = stage->had || state == NODE_FAILED;
		if (!stage->runs && state != NODE_BLOCKED)
			machine.open = false;
	}
}

void refresh_run_turn(void)
{
	if (!config->refreshes)
		return;
	if (plan->state == BOOT_STOPPING) {
		feed(&(struct refresh_input){.kind = REFRESH_STOP});
		return;
	}
	if (machine.state == REFRESH_IDLE)
		look_at_plan();
	feed(&(struct refresh_input){.kind = REFRESH_TURN});
}

int refresh_run_begin(void)
{
	int r;

	if (!config->refreshes)
		return -EOPNOTSUPP;
	if (plan->state == BOOT_STOPPING)
		return -ESHUTDOWN;
	if (machine.state == REFRESH_IDLE)
		look_at_plan();
	r = refresh_may(&machine);
	if (r == 0)
		feed(&(struct refresh_input){.kind = REFRESH_ASK});
	return r;
}

/* PID 1 reads only the document's digest, 32 bytes computed by the config stage. */
static void put_digest(char ret[65])
{
	_cleanup_(cleanup_close) int fd = artifact_now(DIGEST_ARTIFACT);
	uint8_t digest[32];

	if (fd < 0 || pread(fd, digest, sizeof(digest), 0) != (ssize_t)sizeof(digest))
		return;
	hex_encode(digest, sizeof(digest), ret);
}

bool refresh_run_status(struct control_refresh *ret)
{
	if (!config->refreshes)
		return false;
	*ret = so_far;
	ret->state = (uint8_t)machine.state;
	ret->next_ns = machine.process ? 0 : refresh_due_ns(&machine);
	put_digest(ret->sha256);
	return true;
}

void refresh_run_on_end(void (*with)(bool good, const char *text))
{
	report_end = with;
}

static void nothing(struct loop_timer *with)
{
	(void)with;	/* only wakes the loop: turn() calls refresh_run_turn() */
}

static void add_stage(size_t index)
{
	const struct config_node *node = &config->nodes[index];

	machine.stages[machine.n_stages] = (struct refresh_stage){
		.name = node->name, .part = node->stage->refresh, .required = node->required,
		.deadline_ns = node->deadline_ms ? node->deadline_ms * 1000000 : STEP_NS};
	node_of[machine.n_stages++] = index;
}

/* The config stage first, then the others in the file's order. */
static void add_stages(void)
{
	add_stage(config->refresh_stage);
	for (size_t i = 0; i < config->n_nodes; i++) {
		const struct config_node *node = &config->nodes[i];

		if (node->stage && node->when == WHEN_BOOT &&
		    (node->stage->refresh == STAGE_MEASURES || node->stage->refresh == STAGE_RENDERS))
			add_stage(i);
	}
	machine.every_ns = config->refresh_every_ms * 1000000;
	machine.jitter = config->refresh_jitter;
	machine.random = (uint64_t)loop_now_ns() * 2654435761u | 1;
	artifact_keep(KEPT_ARTIFACT);
	artifact_keep(DIGEST_ARTIFACT);
}

void refresh_run_init(const struct config *with, struct plan *with_plan, const int *with_options,
		      struct child *const *with_processes)
{
	config = with;
	plan = with_plan;
	options = with_options;
	processes = with_processes;
	timer.fire = nothing;
	services = calloc(config->n_nodes + 1, sizeof(*services));
	machine.stages = calloc(config->n_nodes + 1, sizeof(*machine.stages));
	node_of = calloc(config->n_nodes + 1, sizeof(*node_of));
	if (!services || !machine.stages || !node_of)
		abort();	/* no memory before the first process: nothing can be done here */
	if (config->refreshes)
		add_stages();
}
