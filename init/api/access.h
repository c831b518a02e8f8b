/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Authentication. Until PID 1 hands over the stored password, no client can be authenticated, and routes.c and
 * boot.json decide what is served. After that every path needs Basic authentication if a password is stored. Wrong
 * passwords are counted per address; after too many, requests of that address are refused for a while without checking
 * them, except with credentials that were right before.
 */
#ifndef INIT_API_ACCESS_H
#define INIT_API_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"
#include "request.h"

#define ACCESS_PASSWORD_MAX 4096	/* bytes; a header with as many is accepted */

enum verdict {
	VERDICT_ALLOWED,
	VERDICT_WAIT,		/* the request is suspended; ask again when it goes on */
	VERDICT_LOCKED,		/* 503: not before the disk is open */
	VERDICT_DENIED,		/* 401 */
	VERDICT_LIMITED,	/* 429 */
	VERDICT_FOREIGN,	/* 403: another site's page caused the request */
	VERDICT_BUSY,		/* 503 */
};

int access_init(const struct api_options *options);

/*
 * The stored password hash, in a memfd that stays the caller's; empty: no password is set. True: from now on clients
 * need a password that they did not need before.
 */
bool access_stored(int fd);

/* Changes with the password: what an earlier one admitted has to be checked again. Never 0. */
uint64_t access_generation(void);

enum verdict access_check(struct request *request);

/* The stored password is known, or boot.json has no password_file: before that nothing of the disk is shown. */
bool access_known(void);

/* Computes the hash of a new password. done gets it, NUL-terminated. -EBUSY: too many at once. */
int access_new_password(const void *password, size_t size, void (*done)(void *with, const char *stored), void *with);

#endif
