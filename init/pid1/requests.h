/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The requests that PID 1 accepts on its control socket (gantry/control.h): one row each, with its permission, its form
 * and its function.
 */
#ifndef INIT_PID1_REQUESTS_H
#define INIT_PID1_REQUESTS_H

#include "init/control/control.h"

extern const struct control_table requests;

#endif
