/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1's sockets are in /run/gantry. Who may write a file may write in its folder, so a file that a stage renders, the
 * API stores or a step changes is in another.
 */
#ifndef INIT_CONFIG_SOCKETS_H
#define INIT_CONFIG_SOCKETS_H

#include "check.h"

/* 0, or negative errno and the error in `check`. */
int config_sockets(struct check *check);

#endif
