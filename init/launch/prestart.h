/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A service's steps, which replace install, openssl rand, rm, chmod and chown in shell scripts. They run as root:
 * those of before_start in the launcher, before it changes to the service's user; those of when_ready in the role
 * steps.
 */
#ifndef INIT_LAUNCH_PRESTART_H
#define INIT_LAUNCH_PRESTART_H

#include <stdbool.h>
#include <stddef.h>

struct json_object;

/* Performs the steps in order. 0, or negative errno with the reason: "/run/x: not a directory". */
int prestart_run(struct json_object *steps, char *reason, size_t size);

/* Whether that error of it may be over later, as a full disk. */
bool prestart_may_pass(int error);

#endif
