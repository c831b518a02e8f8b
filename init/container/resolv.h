/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The name servers of a container on the machine's network. podman copies resolv.conf once, and a mount of the file
 * itself would stay with the one that a DHCP client replaces; so a process beside podman keeps a copy up to date.
 */
#ifndef INIT_CONTAINER_RESOLV_H
#define INIT_CONTAINER_RESOLV_H

#include "podman.h"

/*
 * Makes the copy and the process that keeps it, which has no descriptor of the caller's and ends with it, or with what
 * the caller executes. Before any secret is in memory, since that process has a copy of it. Or ends by podman_fail().
 */
void resolv_follow(const struct podman *podman);

#endif
