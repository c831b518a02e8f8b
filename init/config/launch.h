/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of the check that is about launching: of a service, or of an action's command, whose keys are right one by
 * one.
 */
#ifndef INIT_CONFIG_LAUNCH_H
#define INIT_CONFIG_LAUNCH_H

#include "check.h"

int check_launch(struct check *check, const struct place *place, struct json_object *object);
int check_step(struct check *check, const struct place *place, struct json_object *object);

#endif
