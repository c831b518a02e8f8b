/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A service's steps: what shell scripts did with install, openssl rand, rm, chmod and chown. Run as root: those of
 * before_start by the launcher, before it becomes the service's user, and those of when_ready by a role of their own.
 */
#ifndef INIT_LAUNCH_PRESTART_H
#define INIT_LAUNCH_PRESTART_H

#include <stddef.h>

struct json_object;

/* Does the steps in order. 0, or negative errno with the reason in words: "/run/x: not a directory". */
int prestart_run(struct json_object *steps, char *reason, size_t size);

#endif
