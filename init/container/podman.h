/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls of podman, for the launcher of a container and for the role container-tidy. Both are processes of their own,
 * with the report socket as descriptor 3, and may block.
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
	struct json_object *service;	/* its object, with `containers` */
	const char *image;		/* the service's */
	struct container_words environment;
	char last[RUN_LINE_MAX];	/* the last error that podman printed */
	bool late;			/* the last call was killed at its deadline */
	char network[96];		/* path of the network namespace of a container that was left behind */
	char own[256];			/* the path of this binary when it was started */
	bool mismatch;			/* the registry's content did not match the digest */
};

struct podman_ask {
	enum container_ask what;
	const char *argument;		/* of container_command() */
	const char *input;		/* this and the next fields: of struct run */
	size_t input_size;
	int64_t deadline_ns;		/* 0: LOOK_S from now, for answers from its storage */
	void (*line)(void *with, const char *line);	/* `with` is the struct podman; NULL: podman_keep_error() */
	void (*tick)(void *with, pid_t pid);
	int64_t tick_ns;
};

/* Ends the process with this status, and the reason as its result. */
_Noreturn void podman_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- podman --------------------------------------------------------------------------------------------------- */

/* Writes podman's configuration, enters a mount namespace of its own and fills the struct; or ends by podman_fail(). */
void podman_begin(struct podman *podman, struct json_object *service);

/* Whether podman->own is still this binary, which is also the first process of a container. */
bool podman_has_own_path(const struct podman *podman);

/* Makes it with its parents, or ends by podman_fail(). */
void podman_directory(const char *path, mode_t mode);

/* Removes the content of the directory. */
void podman_empty(const char *path);

/* As run_program(); the reason of a failure is in podman->last. */
int podman_ask(struct podman *podman, const struct podman_ask *ask);

/* For podman_ask.line: keeps podman's last error. */
void podman_keep_error(void *podman, const char *line);

/* The last error, cut at its beginning to fit a result. */
const char *podman_cause(const struct podman *podman);

/*
 * Locks the service's name until this process, and podman after its exec, has ended. A launcher waits for
 * container-tidy; container-tidy does not wait: false, the container is being started.
 */
bool podman_lock(struct podman *podman, bool wait);

/*
 * The same for another service's name: the lock's descriptor, closed by an exec. Negative: it has a launcher or podman.
 */
int podman_try_lock(const char *name);

/* Whether its last error is that it does not have the image. */
bool podman_lacks_image(const struct podman *podman);

/* Removes the container of an earlier run, and its network. 0 or -EIO. */
int podman_remove(struct podman *podman);

#endif
