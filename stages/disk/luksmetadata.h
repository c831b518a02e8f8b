/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The metadata of a LUKS2 header, the JSON in each of its copies (specification, section 3): what it must say to be
 * opened, and what it says then, in numbers and bounded text. It is parsed in a child (reader.h), so this struct is all
 * that the stage itself ever sees of it; luksform.h checks the struct and makes the JSON that is used of it.
 */
#ifndef STAGES_DISK_LUKSMETADATA_H
#define STAGES_DISK_LUKSMETADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stages/lib/tpm.h"

struct json_object;

#define LUKS_WHY_MAX      160
#define LUKS_BINARY_SIZE  4096		/* the binary part of each header copy; the JSON area follows */
#define LUKS_COPY_MAX     (64u << 10)	/* largest header copy that is read; libcryptsetup makes 16 KiB */
#define LUKS_KEYSLOTS_MAX 32		/* LUKS2_KEYSLOTS_MAX of libcryptsetup */
#define LUKS_TOKENS_MAX   32		/* LUKS2_TOKENS_MAX */
#define LUKS_SALT_MAX     128		/* bytes */
#define LUKS_DIGEST_MAX   64		/* bytes */
#define LUKS_TYPE_MAX     65		/* of a token, NUL included */
#define LUKS_STRIPES      4000		/* the only count libcryptsetup makes */
#define LUKS_OFFSET_MAX   (64u << 20)
#define LUKS_OFFSET_OURS       (2u << 20)
#define LUKS_OFFSET_CRYPTSETUP (16u << 20)	/* its default for LUKS2 on every disk */
#define LUKS_ALIGNMENT    4096
#define LUKS_MEMBER_BLOB     "tpm2-blob"	/* of a token; systemd's, too */
#define LUKS_MEMBER_CREATION "gantry-creation"	/* creation data and ticket */
#define LUKS_TOKEN_DEPTH  31		/* of JSON; the tokens' list and the metadata are around it */

/* Bounds on the cost of trying one key: seconds on a slow machine, and memory that a small one has. */
#define LUKS_PBKDF2_MIN        1000
#define LUKS_PBKDF2_MAX        (64 << 20)
#define LUKS_ARGON2_TIME_MAX   64
#define LUKS_ARGON2_MEMORY_MIN 32	/* KiB */
#define LUKS_ARGON2_MEMORY_MAX (1 << 20)
#define LUKS_ARGON2_CPUS_MAX   4

/* The encryption a volume must have. Sectors may be of 512 or 4096 bytes. */
struct luks_expect {
	const char *cipher;	/* "aes-xts-plain64" */
	unsigned key_size;	/* bytes of the volume key */
};

/* Which of the two copies can be used. The other one is damaged, missing, or older. */
enum luks_copies {
	LUKS_COPIES_BOTH,
	LUKS_COPIES_PRIMARY,
	LUKS_COPIES_SECONDARY,
	LUKS_COPIES_MAX,
};

/* Names of hashes, key derivations and flags, by number. */
extern const char *const luks_hashes[];		/* NULL-ended, as all three */
extern const char *const luks_kdfs[];
extern const char *const luks_flags[];
#define LUKS_KDF_PBKDF2 0
#define LUKS_KDF_ARGON2 1	/* and all above */

struct luks_bytes {
	uint32_t size;
	uint8_t bytes[LUKS_SALT_MAX];
};

struct luks_kdf {
	uint32_t type, hash;		/* the hash is pbkdf2's */
	int64_t cost;			/* iterations, or passes of argon2 */
	int64_t memory, cpus;		/* argon2: KiB, lanes */
	struct luks_bytes salt;
};

struct luks_area {
	uint64_t offset, size;
};

struct luks_keyslot {
	struct luks_area area;
	int64_t area_key_size, priority;	/* priority -1: none is given */
	uint32_t splitter_hash;
	struct luks_kdf kdf;
};

struct luks_token {
	char type[LUKS_TYPE_MAX];	/* empty: no token has this number */
	uint32_t keyslots;		/* bit n: it names keyslot n */
	/* Its other members as JSON, an object, in `texts` of the header; to be kept, not to be read. */
	uint32_t at, size;
	/* Of a key that the TPM has sealed. */
	uint32_t is_sealed;		/* whether the members below could be read */
	uint32_t pcrs;			/* bit n: sealed to PCR n; 0: to none, or not in a way that is understood */
	struct tpm_sealed sealed;
};

struct luks_header {
	uint64_t copy_size;		/* of each of the two copies; the second follows the first */
	uint64_t sequence;		/* of the copy that counts */
	uint64_t data_offset;		/* where the encrypted segment begins */
	uint64_t keyslots_size;
	uint32_t sector_size;		/* bytes */
	uint32_t copies;		/* enum luks_copies */
	uint32_t flags;			/* bit n: luks_flags[n] */
	char uuid[40], label[48], subsystem[48];
	uint32_t keyslots;		/* bit n: keyslot n is there */
	struct luks_keyslot slots[LUKS_KEYSLOTS_MAX];
	struct luks_kdf digest;		/* pbkdf2 */
	struct luks_bytes digest_value;
	struct luks_token tokens[LUKS_TOKENS_MAX];
	uint32_t texts_size;
	char texts[LUKS_COPY_MAX];
};

/* A copy's JSON area, to its last byte. 0 with *ret, the caller's to json_object_put(), -EBADMSG or -ENOMEM. */
int luks_metadata_parse(const char *text, size_t size, struct json_object **ret, char why[LUKS_WHY_MAX]);

/* Checks the metadata and fills in the header's fields from it. 0 or -EBADMSG. */
int luks_metadata_check(struct json_object *json, struct luks_header *header, const struct luks_expect *expect,
			uint64_t device_size, char why[LUKS_WHY_MAX]);

/* Writes the reason, made printable; returns -EBADMSG. */
int luks_refuse(char why[LUKS_WHY_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
