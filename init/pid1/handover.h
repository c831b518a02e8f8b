/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stored password and the TLS identity for the API's roles. PID 1 holds them as sealed memfds that it never reads,
 * and sends each to its role, again after every start of the role.
 */
#ifndef INIT_PID1_HANDOVER_H
#define INIT_PID1_HANDOVER_H

#include <stdbool.h>

#include <gantry/control.h>

/* Takes over fd in place of the previous one, and sends it to its role. */
void handover_keep(enum control_hand kind, int fd);

/* The kept descriptor, which the caller must not close; -1: none. */
int handover_kept(enum control_hand kind);

/* Sends a newly started role the descriptors kept for it. */
void handover_to(const char *role);

#endif
