/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GET /metrics: the status in Prometheus' text format 0.0.4. A table of metric families; each has one value, one per
 * stage or service, or a function that writes its samples. Names and states are those of the status document.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "ask.h"
#include "init/show/status.h"

#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_MAX  (1u << 20)
#define SECOND_NS    1000000000.0

static const char *const node_states[] = NODE_STATE_NAMES;
static const char *const boot_states[] = BOOT_STATE_NAMES;
static const char *const levels[] = EVENT_LEVEL_NAMES;

struct family {
	const char *name, *type, *help;
	/* One of these, or a fact. False: no value now. */
	bool (*value)(const struct status *status, double *ret);
	bool (*stage)(const struct status *status, const struct control_node *node, double *ret);
	bool (*service)(const struct status *status, const struct control_node *node, double *ret);
	void (*samples)(struct text *t, const char *name, const struct status *status);
	/* A numeric fact of every service, or of the first stage of stage_type; divisor: 0 is 1. */
	const char *fact, *stage_type;
	double divisor;
};

/* ---- the format ----------------------------------------------------------------------------------------------- */

/* NAME="VALUE", with backslash, quote and newline escaped. */
static void put_label(struct text *t, const char *name, const char *value)
{
	text_put(t, name);
	text_put(t, "=\"");
	for (const char *p = value; *p; p++) {
		if (*p == '\n')
			text_put(t, "\\n");
		else if (*p == '"' || *p == '\\')
			text_add(t, (char[]){'\\', *p}, 2);
		else
			text_add(t, p, 1);
	}
	text_put(t, "\"");
}

static void put_value(struct text *t, double value)
{
	text_printf(t, " %.15g\n", value);
}

/* One sample with up to two labels. */
static void put_sample(struct text *t, const char *name, const char *const labels[4], double value)
{
	text_put(t, name);
	for (size_t i = 0; i < 4 && labels[i]; i += 2) {
		text_put(t, i ? "," : "{");
		put_label(t, labels[i], labels[i + 1]);
	}
	text_put(t, labels[0] ? "}" : "");
	put_value(t, value);
}

/* A state set: 1 for the present state, 0 for all others. */
static void put_states(struct text *t, const char *name, const char *label, const char *who, const char *const states[],
		       size_t n, size_t is)
{
	for (size_t i = 0; i < n; i++) {
		if (label)
			put_sample(t, name, (const char *const[4]){label, who, "state", states[i]}, i == is);
		else
			put_sample(t, name, (const char *const[4]){"state", states[i]}, i == is);
	}
}

static void put_node_states(struct text *t, const char *name, const char *label, const struct status *status,
			    enum node_kind kind)
{
	for (size_t i = 0; i < status->n_nodes; i++)
		if (status->nodes[i].kind == kind)
			put_states(t, name, label, status->nodes[i].name, node_states, NODE_STATE_MAX,
				   status->nodes[i].state);
}

/* ---- the families --------------------------------------------------------------------------------------------- */

static void build_samples(struct text *t, const char *name, const struct status *status)
{
	put_sample(t, name, (const char *const[4]){"version", status->boot.version, "kernel", status->boot.kernel}, 1);
}

static void image_samples(struct text *t, const char *name, const struct status *status)
{
	const struct control_boot *boot = &status->boot;

	if (boot->image_name[0])
		put_sample(t, name, (const char *const[4]){"name", boot->image_name, "version", boot->image_version},
			   1);
}

static void boot_state_samples(struct text *t, const char *name, const struct status *status)
{
	put_states(t, name, NULL, NULL, boot_states, BOOT_STATE_MAX, status->boot.state);
}

static void stage_state_samples(struct text *t, const char *name, const struct status *status)
{
	put_node_states(t, name, "stage", status, NODE_STAGE);
}

static void service_state_samples(struct text *t, const char *name, const struct status *status)
{
	put_node_states(t, name, "service", status, NODE_SERVICE);
}

static void event_samples(struct text *t, const char *name, const struct status *status)
{
	for (size_t i = 0; i < EVENT_LEVEL_MAX; i++)
		put_sample(t, name, (const char *const[4]){"level", levels[i]},
			   (double)status->boot.events_by_level[i]);
}

static void turn_samples(struct text *t, const char *name, const struct status *status)
{
	static const int64_t bounds_ns[] = CONTROL_TURN_BOUNDS_NS;
	uint64_t sum = 0;

	for (size_t i = 0; i < CONTROL_TURN_BUCKETS; i++) {
		sum += status->boot.turns.count[i];
		text_printf(t, "%s_bucket{le=\"", name);
		if (i < CONTROL_TURN_BUCKETS - 1)
			text_printf(t, "%g", (double)bounds_ns[i] / SECOND_NS);
		else
			text_put(t, "+Inf");
		text_printf(t, "\"} %" PRIu64 "\n", sum);
	}
	text_printf(t, "%s_sum %.9f\n%s_count %" PRIu64 "\n", name, (double)status->boot.turns.sum_ns / SECOND_NS, name,
		    sum);
}

static void refresh_samples(struct text *t, const char *name, const struct status *status)
{
	static const char *const outcomes[] = REFRESH_OUTCOME_NAMES;

	for (size_t i = 0; status->refreshes && i < REFRESH_OUTCOME_MAX; i++)
		put_sample(t, name, (const char *const[4]){"result", outcomes[i]}, (double)status->refresh.runs[i]);
}

static bool refresh_success(const struct status *status, double *ret)
{
	*ret = (double)(status->boot.now_ns - status->refresh.success_ns) / SECOND_NS;
	return status->refreshes && status->refresh.success_ns > 0;
}

static bool refresh_next(const struct status *status, double *ret)
{
	*ret = (double)(status->refresh.next_ns - status->boot.now_ns) / SECOND_NS;
	return status->refreshes && status->refresh.next_ns > 0;
}

static bool longest_turn(const struct status *status, double *ret)
{
	*ret = (double)status->boot.turns.max_ns / SECOND_NS;
	return true;
}

static bool boot_took(const struct status *status, double *ret)
{
	*ret = (double)(status_boot_end_ns(status) - status->boot.started_ns) / SECOND_NS;
	return true;
}

static bool uptime(const struct status *status, double *ret)
{
	*ret = (double)status->boot.now_ns / SECOND_NS;
	return true;
}

static bool dropped(const struct status *status, double *ret)
{
	*ret = (double)status->boot.dropped;
	return true;
}

static bool certificate_end(const struct status *status, double *ret)
{
	*ret = (double)status->boot.certificate_end_s;
	return status->boot.certificate_end_s != 0;
}

static bool memory(const struct status *status, double *ret)
{
	*ret = (double)status->boot.memory_bytes;
	return status->boot.memory_bytes > 0;
}

static bool children(const struct status *status, double *ret)
{
	*ret = status->boot.children;
	return true;
}

static bool attempts(const struct status *status, const struct control_node *node, double *ret)
{
	(void)status;
	*ret = node->attempts;
	return true;
}

static bool took(const struct status *status, const struct control_node *node, double *ret)
{
	*ret = (double)status_took_ns(status, node) / SECOND_NS;
	return node->first_started_ns > 0;
}

static bool progress_done(const struct status *status, const struct control_node *node, double *ret)
{
	(void)status;
	*ret = (double)node->progress_done;
	return node->progress_ns > 0;
}

static bool progress_total(const struct status *status, const struct control_node *node, double *ret)
{
	(void)status;
	*ret = (double)node->progress_total;
	return node->progress_ns > 0 && node->progress_total > 0;
}

static bool restarts(const struct status *status, const struct control_node *node, double *ret)
{
	(void)status;
	*ret = node->attempts > 0 ? node->attempts - 1 : 0;
	return true;
}

static bool service_uptime(const struct status *status, const struct control_node *node, double *ret)
{
	*ret = (double)status_uptime_ns(status, node) / SECOND_NS;
	return true;
}

static const struct family families[] = {
	{"gantry_build_info", "gauge", "Versions of Gantry and of the kernel.", .samples = build_samples},
	{"gantry_image_info", "gauge", "Name and version of the image.", .samples = image_samples},
	{"gantry_uptime_seconds", "gauge", "Time since the machine started.", .value = uptime},
	{"gantry_boot_state", "gauge", "1 for the present state, 0 for the others.", .samples = boot_state_samples},
	{"gantry_boot_duration_seconds", "gauge", "From PID 1's start until the boot was first booted or held, or now.",
	 .value = boot_took},
	{"gantry_stage_state", "gauge", "1 for the present state, 0 for the others.", .samples = stage_state_samples},
	{"gantry_stage_duration_seconds", "gauge", "From the stage's first start to its end, or now.", .stage = took},
	{"gantry_stage_attempts_total", "counter", "Starts of the stage.", .stage = attempts},
	{"gantry_stage_progress_bytes", "gauge", "Bytes done, as last reported by the stage.", .stage = progress_done},
	{"gantry_stage_progress_total_bytes", "gauge", "Total bytes, if the stage knows the total.",
	 .stage = progress_total},
	{"gantry_service_state", "gauge", "1 for the present state, 0 for the others.",
	 .samples = service_state_samples},
	{"gantry_service_restarts_total", "counter", "Starts of the service after the first.", .service = restarts},
	{"gantry_service_uptime_seconds", "gauge", "Time since the service's process started; 0 without a process.",
	 .service = service_uptime},
	{"gantry_service_memory_bytes", "gauge", "Memory of the service's cgroup.", .fact = "memory_bytes"},
	{"gantry_service_memory_peak_bytes", "gauge", "Peak memory since the latest start of the service.",
	 .fact = "memory_peak_bytes"},
	{"gantry_service_cpu_seconds_total", "counter", "CPU time of the service's cgroup since its latest start.",
	 .fact = "cpu_us", .divisor = 1e6},
	{"gantry_service_processes", "gauge", "Processes and threads of the service's cgroup.",
	 .fact = "processes"},
	{"gantry_service_oom_kills_total", "counter", "Processes of the service killed by the OOM killer.",
	 .fact = "oom_kills"},
	{"gantry_events_total", "counter", "Events of this boot.", .samples = event_samples},
	{"gantry_messages_dropped_total", "counter", "Messages to PID 1 that were malformed or exceeded a limit.",
	 .value = dropped},
	{"gantry_clock_offset_seconds", "gauge", "Offset of the clock when it was found synchronised.",
	 .fact = "offset_s", .stage_type = "clock"},
	{"gantry_network_up", "gauge", "Whether the network has all that its stage waited for.",
	 .fact = "up", .stage_type = "network"},
	{"gantry_refresh_runs_total", "counter", "Refreshes of the configuration that have ended.",
	 .samples = refresh_samples},
	{"gantry_refresh_success_age_seconds", "gauge",
	 "Time since the configuration in use was fetched or found unchanged.", .value = refresh_success},
	{"gantry_refresh_next_seconds", "gauge", "Time until the next refresh begins.", .value = refresh_next},
	{"gantry_disk_wait_seconds", "gauge", "Time that the disk stage waited for its device.",
	 .fact = "wait_s", .stage_type = "disk"},
	{"gantry_api_certificate_end_timestamp_seconds", "gauge", "When the API's certificate ends, since 1970.",
	 .value = certificate_end},
	{"gantry_pid1_resident_memory_bytes", "gauge", "Resident memory of PID 1.", .value = memory},
	{"gantry_pid1_children", "gauge", "Live processes that PID 1 started.", .value = children},
	{"gantry_pid1_turn_seconds", "histogram", "Time that one turn of PID 1's event loop took.",
	 .samples = turn_samples},
	{"gantry_pid1_turn_longest_seconds", "gauge", "The longest of these turns.", .value = longest_turn},
};

static bool fact_value(const struct family *family, const struct status_facts *facts, double *ret)
{
	const char *value = facts ? status_number(facts, family->fact) : NULL;

	*ret = value ? strtod(value, NULL) / (family->divisor > 0 ? family->divisor : 1) : 0;
	return value != NULL;
}

static bool node_value(const struct family *family, const struct status *status, const struct control_node *node,
		       double *ret)
{
	if (node->kind == NODE_STAGE)
		return family->stage && family->stage(status, node, ret);
	if (family->fact)
		return fact_value(family, &status->facts[node - status->nodes], ret);
	return family->service && family->service(status, node, ret);
}

static void put_nodes(struct text *t, const struct family *family, const struct status *status)
{
	for (size_t i = 0; i < status->n_nodes; i++) {
		const struct control_node *node = &status->nodes[i];
		const char *label = node->kind == NODE_STAGE ? "stage" : "service";
		double value;

		if (node_value(family, status, node, &value))
			put_sample(t, family->name, (const char *const[4]){label, node->name}, value);
	}
}

static void put_family(struct text *t, const struct family *family, const struct status *status)
{
	double value;
	bool one = family->value ? family->value(status, &value) :
		   family->stage_type && fact_value(family, status_facts_of(status, family->stage_type), &value);

	text_printf(t, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name, family->type);
	if (family->samples)
		family->samples(t, family->name, status);
	else if (one)
		put_sample(t, family->name, (const char *const[4]){NULL}, value);
	else if (!family->value && !family->stage_type)
		put_nodes(t, family, status);
}

static void put_families(struct text *t, const struct status *status)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
		put_family(t, &families[i], status);
}

enum MHD_Result answer_metrics(struct request *request)
{
	enum MHD_Result result;

	if (!ask_status(request, METRICS_MAX, put_families, &result))
		return result;
	return respond_text(request, MHD_HTTP_OK, TYPE_METRICS);
}
