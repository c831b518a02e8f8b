/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rights of api-store: of one that writes the API's files, and of one that reads a log. docs/rights.md. */
#ifndef INIT_API_STORERIGHTS_H
#define INIT_API_STORERIGHTS_H

#include <stddef.h>

/*
 * It writes in the folders of these files alone, and reads in that of `read`; "" is none. 0 or negative errno, and what
 * failed.
 */
int store_may_write(const char *const *paths, size_t n, const char *read, const char **ret_what);

/* The user of the API, which opens no file from here on: a log on a disk is untrusted input. */
int store_only_reads(const char **ret_what);

#endif
