/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Artifacts: named bytes that one stage gives and other nodes take. PID 1 holds them as sealed memfds and never reads
 * them. The table has one row for each name that a stage of the plan may give, allocated before the loop starts.
 */
#ifndef INIT_NODE_ARTIFACT_H
#define INIT_NODE_ARTIFACT_H

#include <stdbool.h>
#include <stddef.h>

#include <gantry/report.h>

#include "init/plan/plan.h"

/* Call before the loop; the plan is kept. 0, or -ENOSPC: too many names. */
int artifact_init(const struct plan *plan);

/* Takes over fd if the node's type gives `name`; -EPERM, or memfd_check()'s error: fd stays the caller's. */
int artifact_give(size_t node, const char *name, int fd);

/* Sets an artifact that PID 1 itself gives: the reason of a held boot. */
void artifact_give_text(const char *name, const char *text);

/*
 * 0 and a read-only descriptor with its own offset, the caller's to close; -EAGAIN: not given yet; -ENOENT: no node
 * can give it any more; -EPERM: the node does not take it. A service gets the hub's document without the disk secrets.
 */
int artifact_take(size_t node, const char *name, int *ret_fd);

/* Exempts the artifact from artifact_expire(): a refresh compares with it. */
void artifact_keep(const char *name);

/* Returns a new descriptor as artifact_take() does, or -ENOENT or another negative errno. */
int artifact_now(const char *name);

/* Replaces the artifact by fd, a sealed memfd, which is taken over. */
void artifact_replace(const char *name, int fd);

/* Closes artifacts that no node can take any more, so that secrets leave the memory as soon as possible. */
void artifact_expire(void);

#endif
