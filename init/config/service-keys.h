/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of a service, and what a table of keys cannot express about them. */
#ifndef INIT_CONFIG_SERVICE_KEYS_H
#define INIT_CONFIG_SERVICE_KEYS_H

#include "check.h"

extern const struct keys service_keys;

/* Also of a stage's `retry`: min_s is not above max_s. */
int check_backoff(struct check *check, const struct place *place, struct json_object *object, const struct keys *keys);

#endif
