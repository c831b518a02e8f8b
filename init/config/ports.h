/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports of this machine that boot.json names: of `ready.tcp`, of published ports of containers, and of the API. */
#ifndef INIT_CONFIG_PORTS_H
#define INIT_CONFIG_PORTS_H

#include "check.h"

/* Warns of each that two services, or a service and the API, cannot have at the same time. */
void ports_warn(struct check *check);

#endif
