/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Confinement of the API's roles, before the first byte from outside. A role gives up root, every capability, all files
 * (an empty root and landlock), new privileges and processes, core dumps, memory and descriptors without bound, every
 * system call that it does not need and, for api, the network.
 */
#ifndef INIT_API_CONFINE_H
#define INIT_API_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct confinement {
	bool network;		/* it listens on `port`; else it has no network at all */
	uint16_t port;
	size_t descriptors;
	size_t file_bytes;	/* of a memfd: the largest upload */
	size_t address_space;	/* bytes */
};

/*
 * 0, or negative errno with the failed step in *ret_what. A role that was not started as root keeps its user.
 */
int confine(const struct confinement *c, const char **ret_what);

#endif
