/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Artifacts: named bytes that one stage gives and other nodes take, held by PID 1 as sealed memfds that it never reads.
 * The table has one row for each name that some stage of the plan may give, made before the loop starts.
 */
#ifndef INIT_NODE_ARTIFACT_H
#define INIT_NODE_ARTIFACT_H

#include <stdbool.h>
#include <stddef.h>

#include <gantry/report.h>

#include "init/plan/plan.h"

int artifact_init(const struct plan *plan);

/* Takes over fd if it is a sealed memfd of allowed size and the node's type may give it; else -errno, fd untouched. */
int artifact_give(size_t node, const char *name, int fd);

/* PID 1's own: the reason of a held boot. */
void artifact_give_text(const char *name, const char *text);

/*
 * A service that takes the hub's document gets it without the secrets of the disk.
 * 0 and a read-only descriptor with an offset of its own, the caller's to close; -EAGAIN: not there yet; -ENOENT:
 * nobody gives it any more; -EPERM: the node does not take it.
 */
int artifact_take(size_t node, const char *name, int *ret_fd);

/* Keeps what is given under this name until the end, though no node wants it: a refresh compares with it. */
void artifact_keep(const char *name);

/* What is there now, as of artifact_take(): a descriptor, or -ENOENT, or another negative errno. */
int artifact_now(const char *name);

/* Puts fd, a sealed memfd that is taken over, in its place. */
void artifact_replace(const char *name, int fd);

/* Closes what no node can want any more, so that a secret lives no longer than it must. */
void artifact_expire(void);

#endif
