/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process that makes and opens the log directory, because the role itself runs as an unprivileged user: it is forked
 * while the role is still root, does nothing else, and ends once the directory is open.
 */
#ifndef INIT_LOG_OPENER_H
#define INIT_LOG_OPENER_H

#include "init/lib/logwire.h"

/* Forks it. 0 with the socket to it, or negative errno. */
int logopener_start(const struct log_hello *hello, int *ret_socket);

/* Asks for the directory and waits for the answer. The descriptor, or negative errno. */
int logopener_ask(int socket);

#endif
