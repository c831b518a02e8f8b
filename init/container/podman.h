/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking podman: what the launcher of a container and the one who tidies up after it have in common. Both are
 * processes of their own with PID 1's report socket as descriptor 3, and wait.
 */
#ifndef INIT_CONTAINER_PODMAN_H
#define INIT_CONTAINER_PODMAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "command.h"
#include "init/lib/run.h"

#define PODMAN_LOGIN CONTAINER_RUNTIME "/login"	/* a tmpfs of this mount namespace alone */

struct podman {
	struct json_object *service;	/* one with `containers`, if boot.json has that */
	const char *image;		/* the service's */
	struct container_words environment;
	char last[RUN_LINE_MAX];	/* the last error that podman printed */
	char network[96];		/* where the container's is, while something is left of it */
	bool mismatch;			/* it has found something else under a digest */
};

struct podman_ask {
	enum container_ask what;
	const char *argument;		/* as of container_command() */
	const char *input;		/* likewise of struct run, and what follows */
	size_t input_size;
	int64_t deadline_ns;		/* 0: soon; it answers from its storage */
	void (*line)(void *with, const char *line);	/* `with` is the struct podman; NULL: podman_keep_error() */
	void (*tick)(void *with, pid_t pid);
	int64_t tick_ns;
};

/* Ends the process with this status, and the reason as its result. */
_Noreturn void podman_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- podman --------------------------------------------------------------------------------------------------- */

/* Everything before the first question: the configuration, a mount namespace of its own, this struct. Or it fails. */
void podman_begin(struct podman *podman, struct json_object *service);

/* With its parents, or it fails. */
void podman_directory(const char *path, mode_t mode);

/* Removes all that is in the directory. */
void podman_empty(const char *path);

/* As run_program(); the reason of a failure is in podman->last. */
int podman_ask(struct podman *podman, const struct podman_ask *ask);

/* For podman_ask.line: keeps what is worth telling of a line. */
void podman_keep_error(void *podman, const char *line);

/* The end of the last error, as much of it as a result has room for. */
const char *podman_cause(const struct podman *podman);

/*
 * The service's name is ours until this process and what it becomes have ended: who starts a container waits for who
 * tidies up, who then finds it running. False, only if not `wait`: somebody else has it.
 */
bool podman_lock(struct podman *podman, bool wait);

/* Removes what an earlier run has left of the service's container, its network too. 0 or -EIO. */
int podman_remove(struct podman *podman);

#endif
