/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The status as one JSON document, described by docs/status.schema.json. The name of a fact alone decides whether it is
 * a number or a text (the rows of the stages say which), never the form of a value that a disk or a peer chose; so a
 * client can rely on the type.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gantry/stage.h>

#include "init/lib/utf8.h"
#include "status.h"

#define SECOND_NS 1000000000.0

static const char *const node_states[] = NODE_STATE_NAMES;
static const char *const boot_states[] = BOOT_STATE_NAMES;
static const char *const levels[] = EVENT_LEVEL_NAMES;

static void json_name(struct text *t, const char *name)
{
	if (t->size > 0 && t->bytes[t->size - 1] != '{')
		text_put(t, ",");
	text_json(t, name, strlen(name));
	text_put(t, ":");
}

static void json_string(struct text *t, const char *name, const char *value)
{
	json_name(t, name);
	text_json(t, value, strlen(value));
}

static void json_time(struct text *t, const char *name, int64_t ns)
{
	json_name(t, name);
	if (ns > 0)
		text_printf(t, "%.6f", (double)ns / SECOND_NS);
	else
		text_put(t, "null");
}

static void json_count(struct text *t, const char *name, uint64_t value)
{
	json_name(t, name);
	text_printf(t, "%" PRIu64, value);
}

static void json_known(struct text *t, const char *name, bool known, uint64_t value)
{
	json_name(t, name);
	if (known)
		text_printf(t, "%" PRIu64, value);
	else
		text_put(t, "null");
}

/* ---- facts ---------------------------------------------------------------------------------------------------- */

static bool ends_in(const char *name, size_t size, const char *end)
{
	size_t n = strlen(end);

	return size >= n && memcmp(name + size - n, end, n) == 0;
}

static bool is_one_of(const char *name, size_t size, const char *const names[])
{
	for (; names && *names; names++)
		if (strlen(*names) == size && memcmp(*names, name, size) == 0)
			return true;
	return false;
}

static bool is_bare(const char *name, size_t size, const char *value)
{
	static const char *const of_shutdowns[] = {"in_order", "clean", NULL};
	bool number = ends_in(name, size, "_s") || ends_in(name, size, "_bytes");
	bool truth = is_one_of(name, size, of_shutdowns);

	for (size_t i = 0; stage_table[i]; i++) {
		number |= is_one_of(name, size, stage_table[i]->numbers);
		truth |= is_one_of(name, size, stage_table[i]->truths);
	}
	if (number)
		return status_is_number(value);
	return truth && (strcmp(value, "true") == 0 || strcmp(value, "false") == 0);
}

static void json_facts(struct text *t, const struct status_facts *facts)
{
	text_put(t, "{");
	for (const char *f = facts->bytes; f < facts->bytes + facts->size; f += strlen(f) + 1) {
		size_t n = strcspn(f, "=");
		const char *value = f + n + 1;
		char name[NODE_NAME_MAX + 1];

		snprintf(name, sizeof(name), "%.*s", (int)n, f);
		if (n >= sizeof(name) || status_fact(facts, name) != value)	/* reported twice: the first counts */
			continue;
		json_name(t, name);
		if (is_bare(f, n, value))
			text_put(t, value);
		else
			text_json(t, value, strlen(value));
	}
	text_put(t, "}");
}

static void json_facts_of(struct text *t, const struct status *status, const char *name, const char *type)
{
	const struct status_facts *facts = status_facts_of(status, type);

	json_name(t, name);
	if (facts)
		json_facts(t, facts);
	else
		text_put(t, "null");
}

/* ---- nodes ---------------------------------------------------------------------------------------------------- */

static void json_progress(struct text *t, const struct control_node *node)
{
	json_name(t, "progress");
	if (node->progress_ns <= 0) {
		text_put(t, "null");
		return;
	}
	text_put(t, "{");
	json_time(t, "told_s", node->progress_ns);
	json_count(t, "done_bytes", node->progress_done);
	json_known(t, "total_bytes", node->progress_total > 0, node->progress_total);
	json_count(t, "per_second", node->progress_per_second);
	json_known(t, "eta_s", node->progress_eta_s != UINT32_MAX, node->progress_eta_s);
	json_string(t, "text", node->progress_text);
	text_put(t, "}");
}

static void json_stage(struct text *t, const struct status *status, size_t index)
{
	const struct control_node *node = &status->nodes[index];

	json_time(t, "duration_s", status_took_ns(status, node));
	json_progress(t, node);
	json_name(t, "facts");
	json_facts(t, &status->facts[index]);
}

/* The resources of its cgroup; null: the kernel does not count it, or the service has no process. */
static void json_resources(struct text *t, const struct status_facts *facts)
{
	static const char *const names[] = {"memory_bytes", "memory_peak_bytes", "processes", "oom_kills"};
	const char *cpu_us = status_number(facts, "cpu_us");

	json_name(t, "resources");
	text_put(t, "{");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *value = status_number(facts, names[i]);

		json_name(t, names[i]);
		text_put(t, value ? value : "null");
	}
	json_name(t, "cpu_s");
	if (cpu_us)
		text_printf(t, "%.6f", strtod(cpu_us, NULL) / 1e6);
	else
		text_put(t, "null");
	text_put(t, "}");
}

static void json_lines(struct text *t, const struct status_lines *lines)
{
	json_name(t, "last_lines");
	text_put(t, "[");
	for (const char *line = lines->bytes; line < lines->bytes + lines->size; line += strlen(line) + 1) {
		char clean[LOGTAIL_LINE_MAX];
		size_t n = utf8_clean(clean, sizeof(clean), line, strlen(line));

		text_put(t, line > lines->bytes ? "," : "");
		text_json(t, clean, n);
	}
	text_put(t, "]");
}

static void json_service(struct text *t, const struct status *status, size_t index)
{
	const struct control_node *node = &status->nodes[index];

	json_count(t, "restarts", node->attempts > 0 ? node->attempts - 1 : 0);
	json_time(t, "ready_s", node->state == NODE_READY ? node->ended_ns : 0);
	json_time(t, "uptime_s", status_uptime_ns(status, node));
	json_known(t, "log_dropped", status->lines[index].known, status->lines[index].dropped);
	json_lines(t, &status->lines[index]);
	json_resources(t, &status->facts[index]);
}

static void json_nodes(struct text *t, const struct status *status, enum node_kind kind,
		       void (*more)(struct text *t, const struct status *status, size_t index))
{
	const char *before = "";

	for (size_t i = 0; i < status->n_nodes; i++) {
		const struct control_node *node = &status->nodes[i];

		if (node->kind != kind)
			continue;
		text_put(t, before);
		text_put(t, "{");
		json_string(t, "name", node->name);
		json_string(t, "type", node->type);
		json_string(t, "state", node_states[node->state]);
		json_string(t, "reason", node->reason);
		json_name(t, "required");
		text_put(t, node->required ? "true" : "false");
		json_count(t, "attempts", node->attempts);
		json_known(t, "pid", node->pid > 0, (uint64_t)node->pid);
		json_time(t, "first_started_s", node->first_started_ns);
		json_time(t, "started_s", node->started_ns);
		json_time(t, "ended_s", node->ended_ns);
		json_time(t, "next_start_s", node->next_start_ns);
		more(t, status, i);
		text_put(t, "}");
		before = ",";
	}
}

/* ---- the boot ------------------------------------------------------------------------------------------------- */

static void json_turns(struct text *t, const struct control_turns *turns)
{
	static const int64_t bounds_ns[] = CONTROL_TURN_BOUNDS_NS;
	uint64_t sum = 0;

	json_name(t, "loop");
	text_put(t, "{");
	json_name(t, "buckets");
	for (size_t i = 0; i < CONTROL_TURN_BUCKETS; i++) {
		sum += turns->count[i];
		text_put(t, i > 0 ? ",{" : "[{");
		json_time(t, "le_s", i < CONTROL_TURN_BUCKETS - 1 ? bounds_ns[i] : 0);
		json_count(t, "turns", sum);
		text_put(t, "}");
	}
	text_put(t, "]");
	json_count(t, "turns", sum);
	json_name(t, "sum_s");
	text_printf(t, "%.6f", (double)turns->sum_ns / SECOND_NS);
	json_name(t, "longest_s");
	text_printf(t, "%.6f", (double)turns->max_ns / SECOND_NS);
	text_put(t, "}");
}

static void json_boot(struct text *t, const struct control_boot *boot)
{
	json_name(t, "boot");
	text_put(t, "{");
	json_string(t, "state", boot_states[boot->state]);
	json_string(t, "reason", boot->reason);
	json_string(t, "hostname", boot->hostname);
	json_string(t, "version", boot->version);
	json_time(t, "now_s", boot->now_ns);
	json_time(t, "started_s", boot->started_ns);
	json_time(t, "ended_s", boot->ended_ns);
	json_count(t, "events", boot->events);
	json_name(t, "events_by_level");
	text_put(t, "{");
	for (size_t i = 0; i < EVENT_LEVEL_MAX; i++)
		json_count(t, levels[i], boot->events_by_level[i]);
	text_put(t, "}");
	json_count(t, "dropped", boot->dropped);
	json_count(t, "children", boot->children);
	json_known(t, "memory_bytes", boot->memory_bytes > 0, boot->memory_bytes);
	json_turns(t, &boot->turns);
	text_put(t, "}");
}

static void json_refresh(struct text *t, const struct status *status)
{
	static const char *const outcomes[] = REFRESH_OUTCOME_NAMES, *const states[] = REFRESH_STATE_NAMES;
	const struct control_refresh *refresh = &status->refresh;

	json_name(t, "refresh");
	if (!status->refreshes) {
		text_put(t, "null");
		return;
	}
	text_put(t, "{");
	json_string(t, "state", states[refresh->state]);
	json_name(t, "sha256");
	if (refresh->sha256[0])
		text_json(t, refresh->sha256, strlen(refresh->sha256));
	else
		text_put(t, "null");
	json_time(t, "success_s", refresh->success_ns);
	json_time(t, "ended_s", refresh->ended_ns);
	json_name(t, "result");
	if (refresh->ended_ns > 0)
		text_json(t, outcomes[refresh->outcome], strlen(outcomes[refresh->outcome]));
	else
		text_put(t, "null");
	json_string(t, "reason", refresh->reason);
	json_time(t, "next_s", refresh->next_ns);
	json_name(t, "runs");
	text_put(t, "{");
	for (size_t i = 0; i < REFRESH_OUTCOME_MAX; i++)
		json_count(t, outcomes[i], refresh->runs[i]);
	text_put(t, "}}");
}

void status_json(struct text *t, const struct status *status)
{
	const struct control_boot *boot = &status->boot;

	text_put(t, "{");
	json_boot(t, boot);
	text_put(t, ",\"stages\":[");
	json_nodes(t, status, NODE_STAGE, json_stage);
	text_put(t, "],\"services\":[");
	json_nodes(t, status, NODE_SERVICE, json_service);
	text_put(t, "]");
	for (size_t i = 0; stage_table[i]; i++)
		if (stage_table[i]->section)
			json_facts_of(t, status, stage_table[i]->section, stage_table[i]->type);
	json_refresh(t, status);
	json_name(t, "last_shutdown");
	if (status->last_shutdown.size)
		json_facts(t, &status->last_shutdown);
	else
		text_put(t, "null");
	json_name(t, "api");
	text_put(t, "{");
	if (boot->certificate_sha256[0]) {
		json_string(t, "certificate_sha256", boot->certificate_sha256);
		text_printf(t, ",\"certificate_end_s\":%lld", (long long)boot->certificate_end_s);
	} else {
		text_put(t, "\"certificate_sha256\":null,\"certificate_end_s\":null");
	}
	text_put(t, "}");
	json_name(t, "versions");
	text_put(t, "{");
	json_string(t, "gantry", boot->version);
	json_string(t, "kernel", boot->kernel);
	json_name(t, "image");
	if (boot->image_name[0]) {
		text_put(t, "{");
		json_string(t, "name", boot->image_name);
		json_string(t, "version", boot->image_version);
		text_put(t, "}}}\n");
	} else {
		text_put(t, "null}}\n");
	}
}
