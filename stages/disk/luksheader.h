/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The LUKS2 header as hostile input: a parser that knows only the shapes we open, and refuses all else with a
 * reason. It works on a copy in memory, before libcryptsetup sees a byte, and touches no device. What the metadata in
 * it says of tokens is in luksmetadata.h.
 */
#ifndef STAGES_DISK_LUKSHEADER_H
#define STAGES_DISK_LUKSHEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

#define LUKS_WHY_MAX      160
#define LUKS_BINARY_SIZE  4096		/* the binary part of each header copy; the JSON area follows */
#define LUKS_HEAD_SIZE    (68u << 10)	/* up to where a secondary copy may begin, and its binary part */
#define LUKS_COPY_MAX     (64u << 10)	/* largest header copy that is read; libcryptsetup makes 16 KiB */
#define LUKS_KEYSLOTS_MAX 8
#define LUKS_TOKENS_MAX   8

/* What a volume must be encrypted with. Sectors may be of 512 or 4096 bytes. */
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

/*
 * The size of both copies together, from the first LUKS_HEAD_SIZE bytes of a disk. 0: there is no LUKS2 header;
 * -EBADMSG: one that is refused, with the reason in why. A primary copy that is gone is no reason while there is a
 * secondary one.
 */
int64_t luks_header_size(const void *bytes, size_t size, char why[LUKS_WHY_MAX]);

/*
 * Checks both copies (as many bytes as luks_header_size() said) of a disk of device_size bytes. Of two good ones the
 * newer counts, of which `ret->copies` tells; it alone passes every check. 0, -ENOMEM, or -EBADMSG with the reason:
 * `cipher "cipher_null-ecb"`, `both copies are damaged`.
 */
int luks_header_check(const void *bytes, size_t size, uint64_t device_size, const struct luks_expect *expect,
		      struct luks_header *ret, char why[LUKS_WHY_MAX]);

/* Makes the copy that cannot be used anew from the other one, in memory: bytes as they were checked. */
void luks_header_mend(const struct luks_header *header, void *bytes);
void luks_header_free(struct luks_header *header);	/* takes a zeroed one */

#endif
