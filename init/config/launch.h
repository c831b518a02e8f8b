/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks the launching of a service or of an action's command, after each of its keys has been checked by itself.
 */
#ifndef INIT_CONFIG_LAUNCH_H
#define INIT_CONFIG_LAUNCH_H

#include "check.h"

/* The `command` of either. */
int check_command(struct check *check, const struct place *place, struct json_object *object);
int check_step(struct check *check, const struct place *place, struct json_object *object);

/*
 * Is this a service of root whose list of capabilities lacks SYS_ADMIN? Then the machine is taken out of its view
 * (init/launch/isolate.h).
 */
bool launch_isolates(struct json_object *service);

#endif
