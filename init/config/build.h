/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fills struct config; plan.h resolves references.
 */
#ifndef INIT_CONFIG_BUILD_H
#define INIT_CONFIG_BUILD_H

#include "init/lib/config.h"

struct json_object;

/* config is zeroed. Adds defaults to root's objects before their text is kept. 0 or -ENOMEM. */
int build_config(struct config *config, struct json_object *root);

#endif
