/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may do what. Before PID 1 has handed over what is stored on the disk nobody can be known, and boot.json says
 * what is shown; from then on Basic authentication guards every path, if a password is stored. Wrong passwords are
 * counted for each address, and one that tries too often is not listened to for a while; a right one that was seen
 * before still is.
 */
#ifndef INIT_API_ACCESS_H
#define INIT_API_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "options.h"
#include "request.h"

enum verdict {
	VERDICT_ALLOWED,
	VERDICT_WAIT,		/* the request is suspended; ask again when it goes on */
	VERDICT_LOCKED,		/* 503: not before the disk is open */
	VERDICT_DENIED,		/* 401 */
	VERDICT_LIMITED,	/* 429 */
	VERDICT_FOREIGN,	/* 403: a browser was sent here by another site */
	VERDICT_BUSY,		/* 503 */
};

int access_init(const struct api_options *options);

/* What is stored, in a memfd that stays the caller's; empty: no password is set. */
void access_stored(int fd);

enum verdict access_check(struct request *request);

/* What is stored is known, or there is no place for a password: before that nothing of the disk is shown. */
bool access_known(void);

/* What to store for a new password. done gets it once it is worked out, NUL-terminated; -EBUSY: too many at once. */
int access_new_password(const void *password, size_t size, void (*done)(void *with, const char *stored), void *with);

#endif
