/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fills struct config; plan.h resolves references.
 */
#ifndef INIT_CONFIG_BUILD_H
#define INIT_CONFIG_BUILD_H

#include <stddef.h>
#include <stdint.h>

#include "init/lib/config.h"

struct json_object;

/* config is zeroed. Adds defaults to root's objects before their text is kept. 0 or -ENOMEM. */
int build_config(struct config *config, struct json_object *root);

/* The objects at the top whose `needs` name nodes: those of the daemons (init/pid1/daemon.c). key NULL ends it. */
struct daemon_needs {
	const char *key;
	size_t needs, n_needs;	/* in struct config */
};

extern const struct daemon_needs daemon_needs[];

/* Its list, and in *ret_n where its length is. */
uint16_t *daemon_needs_of(const struct daemon_needs *daemon, struct config *config, size_t **ret_n);

#endif
