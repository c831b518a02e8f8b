/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Acts: operations that the System API requests by a name in boot.json. Each runs in its own process with a deadline (a
 * verb is performed at once); its result is an event of source "system-api" with the act's id, so the requester need
 * not wait. Also loads the stored password and the TLS identity for the API's roles once the disk is open; PID 1 holds
 * them as sealed memfds and never reads them.
 */
#ifndef INIT_PID1_ACT_H
#define INIT_PID1_ACT_H

#include <stddef.h>
#include <stdint.h>

#include "init/lib/config.h"

#define ACT_SOURCE "system-api"
#define ACTS_MAX   8	/* at once */
#define ACTS_BURST 64	/* and then ACTS_PER_S: each is a process and two events; reading a log counts by itself */
#define ACTS_PER_S 2

/* Call after child_init(); config is kept. */
void act_init(const struct config *config);

/*
 * Each starts an act and returns its id, or -ENOENT: not configured; -EBUSY: too many acts at once; -EDQUOT: too many
 * in a short time; -ESHUTDOWN: the machine is stopping; another negative errno: cannot be started. fd is taken over,
 * also on failure.
 */
int64_t act_action(const char *name);
int64_t act_upload(const char *name, int fd);
int64_t act_password(const char *stored, size_t size);
int64_t act_boot_log(int fd);
int64_t act_service_log(const char *name, int fd);

/* Call when the disk is open: loads password and identity (handover.h), with retries. Later calls do nothing. */
void act_load(void);

/* Somebody has set the clock: it is looked at once whether the certificate is to be renewed. */
void act_clock_was_set(void);

#endif
