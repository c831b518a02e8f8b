/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a checked JSON object to a struct, and defaults into the object, both along the table of its keys. A key that
 * is only to be kept, or only to be passed on to a role, needs a row and no code.
 */
#ifndef INIT_CONFIG_FILL_H
#define INIT_CONFIG_FILL_H

#include "check.h"
#include "init/lib/pool.h"

/* Keeps the keys whose row has `as` in the struct at base, which is zeroed. object may be NULL. 0 or -ENOMEM. */
int fill_struct(struct pool *pool, struct json_object *object, const struct keys *keys, void *base);

/* Adds the defaults of the KEY_WRITTEN keys that object and the objects in it do not have. 0 or -ENOMEM. */
int fill_defaults(struct json_object *object, const struct keys *keys);

/* Copies for a struct, in the pool: NULL stays NULL. 0 or -ENOMEM. */
int fill_string(struct pool *pool, const char *string, char **ret);
int fill_json(struct pool *pool, struct json_object *object, char **ret);	/* compact */

/* The items of an array; 0 for NULL. */
size_t fill_count(struct json_object *array);

#endif
