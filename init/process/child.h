/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1's children: starts a role of this binary with exactly the descriptors in its spec, reads its reports and its
 * output, and reaps it, and every orphan that the kernel gives to PID 1. The table is fixed; a child costs its row, a
 * socket and a pipe. Nothing a child sends can make PID 1 wait or grow.
 */
#ifndef INIT_PROCESS_CHILD_H
#define INIT_PROCESS_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <gantry/plan.h>
#include <gantry/report.h>

#include "init/lib/exit.h"

#define CHILD_NO_NODE ((size_t)-1)

struct child;

/* Initial fields for the spec of a child that belongs to no node. */
#define CHILD_OF_NONE .node = CHILD_NO_NODE, .options_fd = -1, .channel_fd = -1, .cgroup_fd = -1

struct child_spec {
	const char *source;		/* name in events; must stay valid */
	const char *const *argv;	/* after the binary: {"stage", "disk", "disk", NULL} */
	size_t node;			/* or CHILD_NO_NODE */
	const char *service;		/* JSON object of the service to launch (launch.h); NULL: execute argv */
	int options_fd;			/* descriptor 4; -1: none. The caller closes it */
	int channel_fd;			/* descriptor 3; -1: a new report socket. The caller closes it */
	int cgroup_fd;			/* -1: PID 1's cgroup. The caller closes it */
	const char *cgroup;		/* its cgroup's name; NULL: a node's source, else none; must stay valid */
	bool quiet;			/* make no events of its output; the last line is kept */
	int payload_fd;			/* descriptor 5; 0: none. The caller closes it */
	bool kept;			/* exited() ends the rest of its cgroup; false: it is killed at once */
	bool logged;			/* the role service-log reads its output (logpipe.h), PID 1 does not */
	/* Kills the whole cgroup; returns false if there is none. NULL: use cgroup_kill(). */
	bool (*kill)(struct child *child);
	/* Called once, after the process was reaped and all its reports were read. */
	void (*exited)(struct child *child, const struct process_exit *how);
	/* REPORT_STARTED was received, or a launched service closed its socket without a reason; may be NULL. */
	void (*started)(struct child *child);
	/*
	 * Receives an artifact, a sealed memfd; returns true if it takes fd over. NULL: a node's artifact goes to
	 * child_nodes, any other is dropped.
	 */
	bool (*given)(struct child *child, const char *name, int fd);
	/* Called instead of child_nodes.take. NULL: use that. */
	int (*take)(struct child *child, const char *name, int *ret_fd);
	/* Receives the NUL-terminated strings of REPORT_CHANGED, _FLAGS and _TRACE. NULL: dropped and counted. */
	void (*reported)(struct child *child, enum report_kind kind, const char *strings, size_t size);
	void *with;			/* the caller's context, returned by child_with() */
};

/* Receives the reports of nodes' children; `node` is an index in the plan, never CHILD_NO_NODE. */
struct child_nodes {
	/* Takes fd over if it is a sealed memfd that the node may give; else returns -EPERM, -EINVAL or -EFBIG. */
	int (*give)(size_t node, const char *name, int fd);
	/* 0 and a descriptor, the caller's to close; -EAGAIN: later; -ENOENT: never; -EPERM: not allowed. */
	int (*take)(size_t node, const char *name, int *ret_fd);
	/* "key=value" strings, each terminated by NUL; returns false if malformed. */
	bool (*facts)(size_t node, const char *body, size_t size);
	void (*progress)(size_t node, const struct report_progress *progress, const char *text, size_t size);
};

/* Allocates n rows and raises PID 1's descriptor limit; `nodes` must stay valid. 0 or negative errno. */
int child_init(size_t n, const struct child_nodes *nodes);

/* Starts a child. 0 and the child, valid until exited() is called, or negative errno and nothing was started. */
int child_start(const struct child_spec *spec, struct child **ret);

void child_signal(struct child *child, int sig);
pid_t child_pid(const struct child *child);
size_t child_node(const struct child *child);
void *child_with(const struct child *child);

/* Its owner no longer exists: child_with() returns NULL from now on. */
void child_disown(struct child *child);
const char *child_last_text(const struct child *child);
const char *child_reason(const struct child *child);	/* of its latest REPORT_RESULT; NULL: it has sent none */

/* Returns the live child with this pid, or NULL. */
struct child *child_by_pid(pid_t pid);
size_t child_count(void);

/* Reaps exited processes, some now and the rest in later turns of the loop; call on SIGCHLD. */
void child_reap(void);

/* Answers the pending artifact requests that can be answered now; call after the plan has changed. */
void child_answer_takes(void);

#endif
