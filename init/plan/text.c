/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan in words: its states by name, and how a process ended in one line. */
#include <signal.h>
#include <stdio.h>

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

static const char *signal_word(int sig)
{
	switch (sig) {
	case SIGKILL: return "SIGKILL";
	case SIGTERM: return "SIGTERM";
	case SIGSEGV: return "SIGSEGV";
	case SIGABRT: return "SIGABRT";
	case SIGBUS:  return "SIGBUS";
	case SIGSYS:  return "SIGSYS, a forbidden system call";
	case SIGFPE:  return "SIGFPE";
	case SIGILL:  return "SIGILL";
	case SIGPIPE: return "SIGPIPE";
	default:      return NULL;
	}
}

/* One line that says how it ended, with the program's own reason where it gave one. */
void plan_describe(const struct plan_node *node, const struct process_exit *how, char *text, size_t size)
{
	const char *own = how->reason && how->reason[0] ? how->reason : NULL;
	const char *word = signal_word(how->signal);
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
	else if (how->status < 0 && word)
		snprintf(text, size, "killed by %s%s%s", word, own ? ": " : "", own ? own : "");
	else if (how->status < 0)
		snprintf(text, size, "killed by signal %d%s%s", how->signal, own ? ": " : "", own ? own : "");
	else if (unready)
		snprintf(text, size, "ended before it was ready: %s", own ? own : "exit status 0");
	else if (own)
		snprintf(text, size, "%s", own);
	else if (!service && how->status == STAGE_DONE)
		snprintf(text, size, "%s", "");
	else
		snprintf(text, size, "exit status %d", how->status);
}
