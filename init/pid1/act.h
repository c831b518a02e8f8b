/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Acts: what the System API may have done to the machine, by a name in boot.json and in no other words. Each runs in a
 * process of its own with a deadline (a verb is done at once); how it ended is an event of source "system-api" with
 * the act's id, so whoever asked need not be alive for it. Here too: what the API's roles get from the disk once it is
 * open (the stored password, the TLS identity), which PID 1 holds as sealed memfds and never reads.
 */
#ifndef INIT_PID1_ACT_H
#define INIT_PID1_ACT_H

#include <stddef.h>
#include <stdint.h>

#include "init/lib/config.h"

#define ACT_SOURCE "system-api"
#define ACTS_MAX   8	/* at once */

/* After child_init(). */
void act_init(const struct config *config);

/*
 * Each begins an act: its id, or -ENOENT: not configured; -EBUSY: too many at once; -ESHUTDOWN: the machine is
 * stopping; another negative errno: it could not be started. fd is taken over, also on failure.
 */
int64_t act_action(const char *name);
int64_t act_upload(const char *name, int fd);
int64_t act_password(const char *stored, size_t size);
int64_t act_boot_log(int fd);
int64_t act_service_log(const char *name, int fd);

/* The disk is open: reads what the API's roles need (handover.h), again until that succeeds. Later calls do nothing. */
void act_load(void);

#endif
