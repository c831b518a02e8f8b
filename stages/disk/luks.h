/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LUKS2 volumes through libcryptsetup, but never on the disk itself: the header is read into memory once, parsed by a
 * child (reader.h), made anew of the child's checked answer (luksform.h) in a sealed memfd, and opened from there. So
 * what was checked is what is used, and libcryptsetup cannot repair, convert or touch anything.
 */
#ifndef STAGES_DISK_LUKS_H
#define STAGES_DISK_LUKS_H

#include <stddef.h>
#include <stdint.h>

#include "luksheader.h"
#include "stages/lib/secret.h"

struct luks;

/*
 * Reads and checks the header of the disk behind fd; path is the same disk's node. 1: *ret is a volume that can be
 * tried with keys. 0: no LUKS header. -EBADMSG: the header is refused, with the reason in why. Other negative errno:
 * could not be read. Only reads.
 */
int luks_open(int fd, const char *path, uint64_t size, struct luks **ret, char why[LUKS_WHY_MAX]);

struct luks *luks_close(struct luks *luks);	/* takes NULL, returns NULL; an active volume stays active */

static inline void cleanup_luks(struct luks **luks)	/* for _cleanup_() */
{
	luks_close(*luks);
}

/* The checked header of a volume from luks_open(). */
const struct luks_header *luks_header_of(const struct luks *luks);

/*
 * Tries the key on the keyslots of `first` (bit n: keyslot n), then on all others, since what a token names is a hint;
 * *ret_keyslot is the one it fits. From then on the volume can be activated and changed. -EPERM: it is not the key.
 */
int luks_unlock(struct luks *luks, uint32_t first, const struct secret *key, int *ret_keyslot,
		char why[LUKS_WHY_MAX]);

/*
 * HMAC-SHA256 of the text with the key of a new volume (lukswrite.h) or an unlocked one: proof of that volume, which
 * who only knows its UUID cannot make. 0 or -EIO.
 */
int luks_proof(const struct luks *luks, const char *text, uint8_t ret[32]);

#endif
