/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1's processes: starts a role of this binary with exactly the descriptors it names, reads what it reports and
 * prints, and reaps it - and every orphan that the kernel hands to PID 1. The table is fixed; a child costs its row,
 * a socket and a pipe. Nothing a child sends can make PID 1 wait or grow.
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

/* What a child of no node begins with. */
#define CHILD_OF_NONE .node = CHILD_NO_NODE, .options_fd = -1, .channel_fd = -1, .cgroup_fd = -1

struct child_spec {
	const char *source;		/* name in events; must stay valid */
	const char *const *argv;	/* after the binary: {"stage", "disk", "disk", NULL} */
	size_t node;			/* or CHILD_NO_NODE */
	const char *service;		/* its object: launch it (launch.h) instead of executing argv; NULL: execute */
	int options_fd;			/* descriptor 4; -1: none. Stays the caller's */
	int channel_fd;			/* descriptor 3 when it is not a report socket; -1: make one. The caller's */
	int cgroup_fd;			/* -1: none. The caller's */
	const char *cgroup;		/* its name, when that is not a node's source; NULL: none; must stay valid */
	bool quiet;			/* what it prints becomes no events; the last line is kept */
	int payload_fd;			/* descriptor 5; 0: none. The caller's */
	bool kept;			/* what is left in its cgroup is exited()'s to end, not killed at once */
	bool logged;			/* what it prints is read by the role service-log (logpipe.h), not here */
	/* SIGKILL to all of its cgroup, if that is not simply cgroup_kill(); false: there is none. NULL: it is. */
	bool (*kill)(struct child *child);
	/* Called once, after the process was reaped and all it had reported was read. */
	void (*exited)(struct child *child, const struct process_exit *how);
	/* REPORT_STARTED came, or a service that is launched closed its socket without a reason; may be NULL. */
	void (*started)(struct child *child);
	/*
	 * An artifact came, in a sealed memfd; true: fd is taken over. NULL: a node's goes to child_nodes, any other is
	 * dropped.
	 */
	bool (*given)(struct child *child, const char *name, int fd);
	/* In place of child_nodes.take. */
	int (*take)(struct child *child, const char *name, int *ret_fd);
	/* REPORT_CHANGED or REPORT_FLAGS came: strings, each ended by NUL. NULL: they are dropped, and counted. */
	void (*told)(struct child *child, enum report_kind kind, const char *strings, size_t size);
	void *with;			/* the caller's, for the calls above: child_with() */
};

/* Takes what children report of their nodes. Each gets a node of the plan, never CHILD_NO_NODE. */
struct child_nodes {
	/* An artifact in fd, a sealed memfd or not: takes fd over, or returns -EPERM, -EINVAL or -EFBIG. */
	int (*give)(size_t node, const char *name, int fd);
	/* 0 and a descriptor, the caller's to close; -EAGAIN: later; -ENOENT: never; -EPERM. */
	int (*take)(size_t node, const char *name, int *ret_fd);
	/* "key=value" NUL each; false: malformed. */
	bool (*facts)(size_t node, const char *body, size_t size);
	void (*progress)(size_t node, const struct report_progress *progress, const char *text, size_t size);
};

/* Room for n children; `nodes` must stay valid. 0 or negative errno. */
int child_init(size_t n, const struct child_nodes *nodes);

/* 0 and the child, or negative errno: nothing was started. */
int child_start(const struct child_spec *spec, struct child **ret);

void child_signal(struct child *child, int sig);
pid_t child_pid(const struct child *child);
size_t child_node(const struct child *child);
void *child_with(const struct child *child);

/* From now on child_with() is NULL: its owner is gone. */
void child_disown(struct child *child);
const char *child_last_text(const struct child *child);

/* The live child with this pid, or NULL. */
struct child *child_by_pid(pid_t pid);
size_t child_count(void);

/* Reaps everything that has ended; call on SIGCHLD. */
void child_reap(void);

/* Answers artifact requests that can now be answered; call after the plan has moved. */
void child_answer_takes(void);

#endif
