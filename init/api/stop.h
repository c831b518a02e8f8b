/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The end of a role: after SIGTERM, requests in progress are still answered for a short time, so that the client that
 * asked for a reboot gets its answer.
 */
#ifndef INIT_API_STOP_H
#define INIT_API_STOP_H

#include <stdbool.h>

/*
 * After loop_init(). On SIGTERM `begin` (may be NULL) is called once; the loop is stopped as soon as idle() is true,
 * which is asked then and by stop_check(), and after limit_ms at the latest. 0 or negative errno.
 */
int stop_init(void (*begin)(void), bool (*idle)(void), int limit_ms);

/* Call when a request or connection has ended. */
void stop_check(void);

#endif
