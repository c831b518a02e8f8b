/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements screen.h. Times come as CLOCK_BOOTTIME nanoseconds and are shown in seconds, so that they compare with the
 * console and with every event's boot_s.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "screen.h"

#define SECOND_NS 1000000000.0

static const char *const node_states[] = NODE_STATE_NAMES;
static const char *const boot_states[] = BOOT_STATE_NAMES;

static void seconds(char *out, size_t size, int64_t ns)
{
	if (ns <= 0)
		snprintf(out, size, "-");
	else
		snprintf(out, size, "%.2f s", (double)ns / SECOND_NS);
}

static int widest(const struct status *status)
{
	size_t width = 7;

	for (size_t i = 0; i < status->n_nodes; i++)
		if (strlen(status->nodes[i].name) > width)
			width = strlen(status->nodes[i].name);
	return (int)width;
}

/* "last shutdown: poweroff by gantryctl: update, at 2026-11-23T08:00:00Z, not clean: reth killed" */
static void last_shutdown(struct text *t, const struct status_facts *facts)
{
	static const struct {
		const char *before, *fact;
	} parts[] = {{" by ", "by"}, {": ", "reason"}, {", at ", "at"}, {", not clean: ", "not_clean"}};
	const char *how = status_fact(facts, "for");

	if (!facts->size)
		return;
	text_put(t, "last shutdown: ");
	text_put(t, how ? how : "not in order");
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		const char *value = status_fact(facts, parts[i].fact);

		text_put(t, value ? parts[i].before : "");
		text_put(t, value ? value : "");
	}
	text_put(t, "\n");
}

/*
 * "configuration: 6a1f0c93b7d2, up to date 720 s ago; refresh failed 12 s ago: hub answered 500; the next in 288 s".
 */
static void refreshes(struct text *t, const struct status *status)
{
	static const char *const outcomes[] = REFRESH_OUTCOME_NAMES, *const states[] = REFRESH_STATE_NAMES;
	const struct control_refresh *refresh = &status->refresh;
	double now_s = (double)status->boot.now_ns / SECOND_NS;

	if (!status->refreshes)
		return;
	text_printf(t, "configuration: %.12s", refresh->sha256[0] ? refresh->sha256 : "none yet");
	if (refresh->success_ns > 0)
		text_printf(t, ", up to date %.0f s ago", now_s - (double)refresh->success_ns / SECOND_NS);
	if (refresh->ended_ns > 0)
		text_printf(t, "; refresh %s %.0f s ago", outcomes[refresh->outcome],
			    now_s - (double)refresh->ended_ns / SECOND_NS);
	text_put(t, refresh->reason[0] ? ": " : "");
	text_put(t, refresh->reason);
	if (refresh->state != REFRESH_IDLE)
		text_printf(t, "; now: %s", states[refresh->state]);
	else if (refresh->next_ns > 0)
		text_printf(t, "; the next in %.0f s", (double)refresh->next_ns / SECOND_NS - now_s);
	text_put(t, "\n");
}

static void heading(struct text *t, const struct status *status)
{
	const struct control_boot *boot = &status->boot;

	text_printf(t, "gantry %s on %s: %s", boot->version, boot->hostname[0] ? boot->hostname : "-",
		    boot_states[boot->state]);
	if (boot->reason[0]) {
		text_put(t, ": ");
		text_put(t, boot->reason);
	}
	if (boot->ended_ns > 0)
		text_printf(t, " (after %.2f s, up %.0f s)", (double)(boot->ended_ns - boot->started_ns) / SECOND_NS,
			    (double)boot->now_ns / SECOND_NS);
	else
		text_printf(t, " (for %.2f s)", (double)(boot->now_ns - boot->started_ns) / SECOND_NS);
	text_put(t, "\n");
}

static void amount(char *out, size_t size, double value)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t i = 0;

	for (; value >= 1024 && i + 1 < sizeof(units) / sizeof(*units); i++)
		value /= 1024;
	snprintf(out, size, "%.1f %s", value, units[i]);
}

static void rate(struct text *t, uint64_t per_second)
{
	char words[32];

	amount(words, sizeof(words), (double)per_second);
	text_printf(t, "%s/s", words);
}

/* The resources of a service, as far as known. */
static void used(const struct status_facts *facts, char memory[24], char cpu[24])
{
	const char *bytes = status_number(facts, "memory_bytes"), *us = status_number(facts, "cpu_us");

	snprintf(memory, 24, "-");
	snprintf(cpu, 24, "-");
	if (bytes)
		amount(memory, 24, strtod(bytes, NULL));
	if (us)
		snprintf(cpu, 24, "%.2f s", strtod(us, NULL) / 1e6);
}

/* Of a stage that runs: "25 %, 8.0 MiB/s, 6 s left: ", as far as it is known. */
static void progress(struct text *t, const struct control_node *node)
{
	if (node->state != NODE_RUNNING || node->progress_ns <= 0 || node->progress_ns < node->started_ns)
		return;
	if (node->progress_total > 0)
		text_printf(t, "%.0f %%, ", 100.0 * (double)node->progress_done / (double)node->progress_total);
	rate(t, node->progress_per_second);
	if (node->progress_eta_s != UINT32_MAX)
		text_printf(t, ", %" PRIu32 " s left", node->progress_eta_s);
	text_put(t, node->reason[0] ? ": " : "");
}

void screen_status(struct text *t, const struct status *status)
{
	int width = widest(status);

	heading(t, status);
	last_shutdown(t, &status->last_shutdown);
	refreshes(t, status);
	text_printf(t, "%-*s  %-10s %-9s %11s %10s %5s %7s %10s %10s  %s\n", width, "NAME", "TYPE", "STATE", "STARTED",
		    "TOOK", "TRIES", "PID", "MEMORY", "CPU", "REASON");
	for (size_t i = 0; i < status->n_nodes; i++) {
		const struct control_node *node = &status->nodes[i];
		char started[24], took[24], memory[24], cpu[24], pid[16] = "-";

		used(&status->facts[i], memory, cpu);
		seconds(started, sizeof(started), node->first_started_ns);
		seconds(took, sizeof(took), status_took_ns(status, node));
		if (node->pid > 0)
			snprintf(pid, sizeof(pid), "%" PRId32, node->pid);
		text_printf(t, "%-*s  %-10s %-9s %11s %10s %5" PRIu32 " %7s %10s %10s  ", width, node->name, node->type,
			    node_states[node->state], started, took, node->attempts, pid, memory, cpu);
		progress(t, node);
		text_put(t, node->reason);
		text_put(t, "\n");
	}
}

static size_t column(int64_t ns, int64_t from_ns, int64_t span_ns, size_t width)
{
	int64_t at = (ns - from_ns) * (int64_t)width / span_ns;

	return at < 0 ? 0 : at > (int64_t)width ? width : (size_t)at;
}

/* Earlier attempts as dots, the latest as a solid bar, a ready service's life as a thin line. */
static void bar(struct text *t, const struct status *status, const struct control_node *node, int64_t from_ns,
		int64_t span_ns, size_t width)
{
	size_t first = width, start = width, end = width;

	if (node->first_started_ns > 0) {
		first = column(node->first_started_ns, from_ns, span_ns, width);
		start = column(node->started_ns, from_ns, span_ns, width);
		end = column(status_end_ns(status, node), from_ns, span_ns, width);
		if (end == start)
			end = start + 1;	/* a short one is still seen */
	}
	for (size_t i = 0; i < width; i++)
		text_put(t, i < first ? " " : i < start ? "." : i < end ? "#" :
			 node->state == NODE_READY ? "-" : " ");
}

void screen_chart(struct text *t, const struct status *status, size_t columns)
{
	int64_t from_ns = status->boot.started_ns, span_ns = status_axis_end_ns(status) - from_ns;
	size_t name = (size_t)widest(status), width;

	if (span_ns <= 0)
		span_ns = 1;
	width = columns > name + 40 ? columns - name - 25 : 15;
	heading(t, status);
	for (size_t i = 0; i < status->n_nodes; i++) {
		const struct control_node *node = &status->nodes[i];

		text_printf(t, "%-*s |", (int)name, node->name);
		bar(t, status, node, from_ns, span_ns, width);
		text_put(t, "| ");
		if (node->first_started_ns > 0)
			text_printf(t, "%7.2f s ", (double)(status_took_ns(status, node)) / SECOND_NS);
		else
			text_put(t, "        - ");
		text_put(t, node_states[node->state]);
		text_put(t, "\n");
	}
	text_printf(t, "%*s %.2f s", (int)name + 1, "", (double)from_ns / SECOND_NS);
	text_printf(t, "%*.2f s\n", (int)width - 6, (double)(from_ns + span_ns) / SECOND_NS);
}
