/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements text.h. */
#include <stdio.h>

#include "init/lib/words.h"
#include "node.h"
#include "text.h"

static const char *const node_states[] = NODE_STATE_NAMES;
static const char *const boot_states[] = BOOT_STATE_NAMES;

const char *node_state_name(enum node_state state)
{
	return state < NODE_STATE_MAX ? node_states[state] : "?";
}

const char *boot_state_name(enum boot_state state)
{
	return state < BOOT_STATE_MAX ? boot_states[state] : "?";
}

void plan_describe(const struct plan_node *node, const struct process_exit *how, char *text, size_t size)
{
	const char *own = how->reason && how->reason[0] ? how->reason : NULL;
	bool service = node->config->kind == NODE_SERVICE;
	bool preparing = plan_preparing(node);
	int64_t deadline_ms = preparing ? node->config->prepare_ms :
			      service ? node->config->ready_deadline_ms : node->config->deadline_ms;
	bool unready = service && node->state == NODE_RUNNING && how->status == 0 &&
		       node->config->ready != READY_STARTED && node->config->ready != READY_EXIT;

	if (node->ending == ENDING_FAILED)
		snprintf(text, size, "%s", node->reason);
	else if (node->overdue)
		snprintf(text, size, "%s after %lld s%s%s", preparing ? "not started" :
			 service ? "not ready" : "deadline passed", (long long)(deadline_ms / 1000),
			 own ? ": " : "", own ? own : "");
	else if (how->status < 0)
		snprintf(text, size, "killed by %s%s%s", signal_words(how->signal), own ? ": " : "", own ? own : "");
	else if (unready)
		snprintf(text, size, "exited before it was ready: %s", own ? own : "exit status 0");
	else if (own && how->printed && how->status > 0)
		snprintf(text, size, "exit status %d: %s", how->status, own);
	else if (own)
		snprintf(text, size, "%s", own);
	else if (!service && how->status == STAGE_DONE)
		snprintf(text, size, "%s", "");
	else
		snprintf(text, size, "exit status %d", how->status);
}
