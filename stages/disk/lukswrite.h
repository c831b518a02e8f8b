/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a volume's header gets: a new one is made in memory and written to the disk last, a changed one in an order that
 * a power cut cannot break, a damaged copy from the good one.
 */
#ifndef STAGES_DISK_LUKSWRITE_H
#define STAGES_DISK_LUKSWRITE_H

#include "luks.h"

#define LUKS_SECTOR_NEW 4096	/* bytes; of a new volume */

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
 * A new volume for a disk of that size, with that UUID (NULL: any) and these keyslots (at least one), in memory: the
 * disk is not touched.
 */
int luks_format(const char *path, uint64_t size, const char *uuid, const struct luks_slot *slots, size_t n_slots,
		struct luks **ret, char why[LUKS_WHY_MAX]);

/* Of a volume from luks_format(). */
const char *luks_uuid(const struct luks *luks);

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

#endif
