/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the disk's key comes from. Each source is a name of the option `keys`, a way to get the key of an existing
 * volume, and a way to get one for a new volume; the stage tries them in the configured order.
 */
#ifndef STAGES_LIB_DISKKEY_H
#define STAGES_LIB_DISKKEY_H

#include <stdbool.h>
#include <stdint.h>

#include "luksheader.h"
#include "secret.h"

#define KEY_WHY_MAX       192
#define KEY_SIZE_MAX      512	/* bytes; libcryptsetup's limit for a passphrase */
#define KEY_ARTIFACT      "disk-key"

struct key_place {
	const char *tcti;
	uint32_t pcrs;		/* bit n: PCR n */
};

struct key_source {
	const char *name;
	/*
	 * The key of that volume, and the keyslot it is for (-1: any). -EAGAIN and -ENODEV: another try may help; any
	 * other negative errno: none will. why says what happened.
	 */
	int (*get)(const struct key_place *place, const struct luks_header *header, struct secret *ret_key,
		   int *ret_keyslot, char why[KEY_WHY_MAX]);
	/* A key for a new volume with its token (JSON, the caller's to free; NULL: none). */
	int (*make)(const struct key_place *place, struct secret *ret_key, char **ret_token, char why[KEY_WHY_MAX]);
};

/* NULL: no such source. */
const struct key_source *key_source_named(const char *name);

#endif
