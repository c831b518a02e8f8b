/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mark holds a digest of the nonce, so it does not give away what the TPM has; it is text enough that a person
 * who looks at such a disk learns what happened to it.
 */
#define _GNU_SOURCE
#include "intent.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <mbedtls/sha256.h>

#define RECORD_MAGIC "GanI"
#define MARK_TEXT    "Gantry was formatting this disk and has not finished.\n"

struct record {
	char magic[4];
	uint8_t disk[TPM_DIGEST_SIZE];
	uint64_t size;		/* big-endian */
	uint8_t nonce[16];
} __attribute__((packed));

/* The disk's identity as it reports it; a disk without serial and WWID is identified by its size alone. */
static int identify(const struct disk *disk, uint8_t ret[TPM_DIGEST_SIZE])
{
	char text[2 * DISK_ID_MAX + 8];
	int n = snprintf(text, sizeof(text), "%s\n%s", disk->wwid, disk->serial);

	return mbedtls_sha256((const uint8_t *)text, (size_t)n, ret, 0) == 0 ? 0 : -EIO;
}

int intent_new(const struct disk *disk, struct intent *ret)
{
	struct intent intent = {.size = disk->size};
	int r = identify(disk, intent.disk);

	if (r < 0)
		return r;
	if (getrandom(intent.nonce, sizeof(intent.nonce), 0) != (ssize_t)sizeof(intent.nonce))
		return -EIO;
	*ret = intent;
	return 0;
}

int intent_write(struct tpm *tpm, const struct intent *intent)
{
	struct record record = {.magic = RECORD_MAGIC, .size = htobe64(intent->size)};

	memcpy(record.disk, intent->disk, sizeof(record.disk));
	memcpy(record.nonce, intent->nonce, sizeof(record.nonce));
	return tpm_record_write(tpm, &record, sizeof(record));
}

int intent_read(struct tpm *tpm, struct intent *ret)
{
	uint8_t bytes[TPM_RECORD_MAX] = {0};
	struct record record;
	int r = tpm_record_read(tpm, bytes);

	if (r < 0)
		return r;
	memcpy(&record, bytes, sizeof(record));
	if (r != sizeof(record) || memcmp(record.magic, RECORD_MAGIC, sizeof(record.magic)) != 0)
		return 0;
	ret->size = be64toh(record.size);
	memcpy(ret->disk, record.disk, sizeof(ret->disk));
	memcpy(ret->nonce, record.nonce, sizeof(ret->nonce));
	return 1;
}

int intent_clear(struct tpm *tpm)
{
	return tpm_record_clear(tpm);
}

bool intent_is_for(const struct intent *intent, const struct disk *disk)
{
	uint8_t identity[TPM_DIGEST_SIZE];

	return intent->size == disk->size && identify(disk, identity) == 0 &&
	       memcmp(identity, intent->disk, sizeof(identity)) == 0;
}

void intent_mark(const struct intent *intent, uint8_t ret[INTENT_MARK_SIZE])
{
	memset(ret, 0, INTENT_MARK_SIZE);
	memcpy(ret, MARK_TEXT, sizeof(MARK_TEXT) - 1);
	(void)mbedtls_sha256(intent->nonce, sizeof(intent->nonce), ret + INTENT_MARK_SIZE - TPM_DIGEST_SIZE, 0);
}

bool intent_is_mark(const uint8_t sector[INTENT_MARK_SIZE])
{
	return memcmp(sector, MARK_TEXT, sizeof(MARK_TEXT)) == 0;
}
