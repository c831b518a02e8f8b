/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks at the running processes of dhcpcd: it reads raw frames of whoever is on the network, and a machine on which it
 * does so with more rights than docs/stages.md lists must not go on with its boot. What was configured does not tell:
 * a dhcpcd that could not give up its rights may have gone on with them.
 */
#ifndef STAGES_NET_DHCPCD_H
#define STAGES_NET_DHCPCD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* 0: all are confined, or there is none; 1: one is not, and why says so; negative errno: /proc cannot be read. */
int dhcpcd_look(char *why, size_t size);

/* Of one process, from its /proc/PID/status. True if it is confined; *privileged counts those with capabilities. */
bool dhcpcd_confined(pid_t pid, const char *status, unsigned *privileged, char *why, size_t size);

#endif
