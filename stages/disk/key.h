/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the disk's key comes from. Each source is a name of the options `keys` and `enroll`, a way to get the key of
 * an existing volume, and a way to get one for a new keyslot; each has a keyslot of its own, which a token names.
 */
#ifndef STAGES_DISK_KEY_H
#define STAGES_DISK_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "lukswrite.h"
#include "stages/lib/secret.h"
#include "stages/lib/tpm.h"

#define KEY_WHY_MAX       224
#define KEY_SIZE_MAX      512	/* bytes; libcryptsetup's limit for a passphrase */
#define KEY_ARTIFACT      "disk-key"
#define RECOVERY_ARTIFACT "disk-recovery"
#define RECOVERY_SIZE_MIN 20	/* bytes; a shorter secret is refused for a new keyslot */
#define KEY_SOURCES_MAX   5

struct key_place {
	const char *uuid;		/* of the volume that is made; one that is opened has its own in the header */
	uint32_t pcrs;			/* bit n: PCR n, for tpm2 */
	bool may_be_unmeasured;		/* a key may also be sealed to PCRs that nothing was measured into */
	const char *policy_key;		/* path; NULL: there is none */
	struct tpm_approval approval;	/* of tpm2-signed; read when it is first needed */
	bool has_approval;
	unsigned approval_number;	/* of its partition, as approval_find() counts them */
	bool is_open;			/* the stage has the volume's key, so that no text of a reader's goes further */
	int64_t artifact_wait_ms;	/* how long to wait for an artifact; negative: as long as it may come */
};

struct key_source {
	const char *name;
	const char *token;	/* type of the token that names its keyslot; NULL: it has none of its own */
	enum luks_cost cost;
	bool in_token;		/* each token has a key of its own; otherwise there is one, of this source */
	/*
	 * The key of that volume, of that token if it is in one. -EAGAIN and -ENODEV: another try may help; any other
	 * negative errno: none will. why says what happened.
	 */
	int (*get)(struct key_place *place, const struct luks_header *header, const struct luks_token *token,
		   struct secret *ret_key, char why[KEY_WHY_MAX]);
	/* A key for a new keyslot with its token (JSON, the caller's to free). NULL: it only opens. */
	int (*make)(struct key_place *place, struct secret *ret_key, char **ret_token, char why[KEY_WHY_MAX]);
};

/* NULL: no such source. */
const struct key_source *key_source_named(const char *name);

/* Whether another try may end otherwise after that error of get or make. */
bool key_error_may_pass(int error);

#endif
