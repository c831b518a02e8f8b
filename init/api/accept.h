/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Accept header (RFC 9110 12.5.1), only to tell a browser from a script.
 */
#ifndef INIT_API_ACCEPT_H
#define INIT_API_ACCEPT_H

#include <stdbool.h>

/* True if text/html is listed with a weight above 0. Wildcards do not count: every client sends them. May be NULL. */
bool accept_html(const char *accept);

#endif
