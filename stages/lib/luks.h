/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LUKS2 volumes through libcryptsetup, but never on the disk itself: the header is copied into a sealed memfd,
 * checked there, and opened from that same copy; a new one is made in memory and written to the disk last. So what
 * was checked is what is used, and libcryptsetup cannot repair, convert or touch anything.
 */
#ifndef STAGES_LIB_LUKS_H
#define STAGES_LIB_LUKS_H

#include <stddef.h>
#include <stdint.h>

#include "luksheader.h"
#include "secret.h"

struct luks;

/*
 * Reads and checks the header of the disk behind fd; path is the same disk's node. 1: *ret is a volume that can be
 * tried with keys. 0: there is no LUKS header at all. -EBADMSG: there is one and it is refused, with the reason in
 * why. Other negative errno: could not be read. Only reads.
 */
int luks_open(int fd, const char *path, uint64_t size, struct luks **ret, char why[LUKS_WHY_MAX]);

/*
 * A new volume for that disk with one keyslot for the key, in memory only: the disk is not written. `token` is the
 * JSON of a token for that keyslot, or NULL.
 */
int luks_format(const char *path, const struct secret *key, const char *token, struct luks **ret,
		char why[LUKS_WHY_MAX]);

struct luks *luks_close(struct luks *luks);	/* takes NULL, returns NULL; an active volume stays active */

/* The checked header of a volume from luks_open(). */
const struct luks_header *luks_header_of(const struct luks *luks);

/*
 * Tries the key on one keyslot, or on all (-1), and makes /dev/mapper/NAME, or with a NULL name nothing: then it only
 * checks the key. A volume from luks_format() needs none: NULL. -EPERM: it is not the key.
 */
int luks_activate(struct luks *luks, const char *name, int keyslot, const struct secret *key,
		  char why[LUKS_WHY_MAX]);

/*
 * Writes the header of a volume from luks_format() to the disk, the primary copy last: before that last write there
 * is no volume for anybody, after it there is a whole one.
 */
int luks_commit(struct luks *luks, int fd);

/* Closes /dev/mapper/NAME. 0 also if there is none; -EBUSY. */
int luks_deactivate(const char *name);

#endif
