/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A service's before_start steps: what shell scripts did with install, openssl rand and rm. Run as root by
 * the launcher, before it becomes the service's user.
 */
#ifndef INIT_PRESTART_H
#define INIT_PRESTART_H

#include <stddef.h>

struct json_object;

/* Does the steps in order. 0, or negative errno with the reason in words: "/run/x: not a directory". */
int prestart_run(struct json_object *steps, char *reason, size_t size);

#endif
