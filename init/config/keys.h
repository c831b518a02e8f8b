/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every key of boot.json: type, range, default, format, and where its value goes; those of services, of the System API
 * and of containers are tables of their own. The one place for defaults: `gantryctl check --keys` prints them, and a
 * test compares docs/boot.schema.json with that.
 */
#ifndef INIT_CONFIG_KEYS_H
#define INIT_CONFIG_KEYS_H

#include "check.h"

extern const struct keys config_keys, stage_keys, logs_keys;

/* NULL: no such type. */
const struct stage *stage_find(const char *type);

/* A copy of a stage's options with the defaults of its type, the caller's to put; NULL: no memory. */
struct json_object *stage_options(struct json_object *object, const struct stage *type);

#endif
