/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LUKS2 volumes through libcryptsetup, but never on the disk itself: the header is read into memory once, parsed by a
 * child (reader.h), made anew of the child's checked answer (luksform.h) in a sealed memfd, and opened from there. A
 * new one is made in memory and written to the disk last, a changed one in an order that a power cut cannot break. So
 * what was checked is what is used, and libcryptsetup cannot repair, convert or touch anything.
 */
#ifndef STAGES_DISK_LUKS_H
#define STAGES_DISK_LUKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "luksheader.h"
#include "stages/lib/secret.h"

#define LUKS_SECTOR_NEW 4096	/* bytes; of a new volume */

struct luks;

/* How much it costs to try a key: keys of full entropy need no stretching, a person's secret does. */
enum luks_cost {
	LUKS_COST_NONE,		/* pbkdf2 with libcryptsetup's least iterations: milliseconds */
	LUKS_COST_MUCH,		/* argon2id with 64 MiB: a fifth of a second, and much more for who tries many */
};

/* A keyslot that a volume gets: for that key, with a token of that JSON (NULL: none) that names it. */
struct luks_slot {
	const struct secret *key;
	enum luks_cost cost;
	const char *token;	/* its "keyslots" are filled in here */
};

/*
 * Reads and checks the header of the disk behind fd; path is the same disk's node. 1: *ret is a volume that can be
 * tried with keys. 0: no LUKS header. -EBADMSG: the header is refused, with the reason in why. Other negative errno:
 * could not be read. Only reads.
 */
int luks_open(int fd, const char *path, uint64_t size, struct luks **ret, char why[LUKS_WHY_MAX]);

/*
 * A new volume for a disk of that size, with that UUID (NULL: any) and these keyslots (at least one), in memory: the
 * disk is not touched.
 */
int luks_format(const char *path, uint64_t size, const char *uuid, const struct luks_slot *slots, size_t n_slots,
		struct luks **ret, char why[LUKS_WHY_MAX]);

struct luks *luks_close(struct luks *luks);	/* takes NULL, returns NULL; an active volume stays active */

static inline void cleanup_luks(struct luks **luks)	/* for _cleanup_() */
{
	luks_close(*luks);
}

/* The checked header of a volume from luks_open(). */
const struct luks_header *luks_header_of(const struct luks *luks);

/* Of a volume from luks_format(). */
const char *luks_uuid(const struct luks *luks);

/*
 * Tries the key on the keyslots of `first` (bit n: keyslot n), then on all others, since what a token names is a hint;
 * *ret_keyslot is the one it fits. From then on the volume can be activated and changed. -EPERM: it is not the key.
 */
int luks_unlock(struct luks *luks, uint32_t first, const struct secret *key, int *ret_keyslot,
		char why[LUKS_WHY_MAX]);

/*
 * HMAC-SHA256 of the text with the key of a volume from luks_format() or an unlocked one: proof of that volume, which
 * who only knows its UUID cannot make. 0 or -EIO.
 */
int luks_proof(const struct luks *luks, const char *text, uint8_t ret[32]);

/* Makes /dev/mapper/NAME of a volume from luks_format() or an unlocked one: of all whole sectors of the disk. */
int luks_activate(struct luks *luks, const char *name, bool discards, char why[LUKS_WHY_MAX]);

/*
 * Writes the header of a volume from luks_format() to the disk, the first sector of the primary copy last: before
 * that last write, which a disk does whole or not at all, the disk holds no volume, after it a complete one.
 */
int luks_commit(struct luks *luks, int fd);

/*
 * Changes an unlocked volume: adds a keyslot (slot->key NULL: only the token, for the keyslot `named`), and removes
 * every other token of type `replaces` together with its keyslots, but never the last keyslot, `keep`, or one that a
 * token of another type names. Then the disk behind fd has old or new header at every moment. 0 or negative errno; the
 * volume stays usable as it was.
 */
struct luks_change {
	struct luks_slot slot;
	int named;
	const char *replaces;
	int keep;
};
int luks_change(struct luks *luks, const struct luks_change *change, int fd, char why[LUKS_WHY_MAX]);

/* Writes the copy of the header that could not be used anew, if there was one. 1: done; 0: there was nothing to do. */
int luks_repair(struct luks *luks, int fd);

/* Closes /dev/mapper/NAME. 0 also if there is none; -EBUSY. */
int luks_deactivate(const char *name);

/* Whether /dev/mapper/NAME is active and is the volume with that UUID. */
bool luks_is_active(const char *name, const char *uuid);

#endif
