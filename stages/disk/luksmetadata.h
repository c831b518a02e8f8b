/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The metadata of a LUKS2 header, the JSON in each of its copies (specification, section 3): what it must say to be
 * opened, and its tokens and keyslots once it has passed. luksheader.c chooses the copy.
 */
#ifndef STAGES_DISK_LUKSMETADATA_H
#define STAGES_DISK_LUKSMETADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

#define LUKS_WHY_MAX      160
#define LUKS_BINARY_SIZE  4096		/* the binary part of each header copy; the JSON area follows */
#define LUKS_COPY_MAX     (64u << 10)	/* largest header copy that is read; libcryptsetup makes 16 KiB */
#define LUKS_KEYSLOTS_MAX 8
#define LUKS_TOKENS_MAX   8

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
};

struct luks_area {
	uint64_t offset, size;
};

struct luks_header {
	uint64_t copy_size;		/* of each of the two copies; the second follows the first */
	uint64_t data_offset;		/* where the encrypted segment begins */
	unsigned sector_size;		/* bytes */
	enum luks_copies copies;
	char uuid[40];
	unsigned keyslots;		/* bit n: keyslot n is there */
	struct luks_area areas[LUKS_KEYSLOTS_MAX];
	struct json_object *json;	/* the checked metadata */
};

/* A copy's JSON area, to its last byte. 0 with *ret, the caller's to json_object_put(), -EBADMSG or -ENOMEM. */
int luks_metadata_parse(const char *text, size_t size, struct json_object **ret, char why[LUKS_WHY_MAX]);

/* Checks header->json and fills in the header's fields from it. 0 or -EBADMSG. */
int luks_metadata_check(struct luks_header *header, const struct luks_expect *expect, uint64_t device_size,
			char why[LUKS_WHY_MAX]);

/* The first token of that type, and in *ret_keyslot the keyslot it belongs to. NULL: none. Borrowed. */
struct json_object *luks_metadata_token(const struct luks_header *header, const char *type, int *ret_keyslot);

/* Whether some token names that keyslot. */
bool luks_metadata_names(const struct luks_header *header, int keyslot);


/* Writes the reason, made printable; returns -EBADMSG. */
int luks_refuse(char why[LUKS_WHY_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
