/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may be asked of PID 1 on its control socket (gantry/control.h), a row a request: who may ask it, in what form, and
 * what does it.
 */
#ifndef INIT_PID1_REQUESTS_H
#define INIT_PID1_REQUESTS_H

#include "init/control/control.h"

extern const struct control_table requests;

#endif
