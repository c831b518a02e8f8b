/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the API's roles get from the disk once it is open: the stored password, and the TLS identity. PID 1 holds them as
 * sealed memfds that it never reads, and hands each to its role, again after every start of the role.
 */
#ifndef INIT_PID1_HANDOVER_H
#define INIT_PID1_HANDOVER_H

#include <stdbool.h>

#include <gantry/control.h>

/* Takes fd over in place of what was kept, and hands it to its role. */
void handover_keep(enum control_hand what, int fd);

/* Its descriptor, which stays here; -1: nothing is kept. */
int handover_kept(enum control_hand what);

/* Hands a role that has just been started what is kept for it. */
void handover_to(const char *role);

#endif
