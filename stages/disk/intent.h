/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which disk is being formatted: a record in the TPM, which no disk can forge, and a mark in the disk's first sector,
 * which no other disk has. If both exist and match, a power cut interrupted the formatting, and the disk may be
 * overwritten although it is not blank. The record is written first, then the mark, before any other byte of the disk;
 * the finished header replaces the mark.
 */
#ifndef STAGES_DISK_INTENT_H
#define STAGES_DISK_INTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "find.h"
#include "stages/lib/tpm.h"

#define INTENT_MARK_SIZE 512	/* bytes: a sector, which a disk writes whole or not at all */

struct intent {
	uint8_t disk[TPM_DIGEST_SIZE];	/* digest of the disk's identity */
	uint64_t size;			/* of the disk, bytes */
	uint8_t nonce[16];
};

/* A new one for that disk. 0 or negative errno. */
int intent_new(const struct disk *disk, struct intent *ret);

/* Records it. -ENOSPC: the TPM's memory is full; and other errors of tpm_record_write(). */
int intent_write(struct tpm *tpm, const struct intent *intent);

/* 1: *ret is the record; 0: no record, or not one of ours. */
int intent_read(struct tpm *tpm, struct intent *ret);

int intent_clear(struct tpm *tpm);

/* Whether it is about that disk. */
bool intent_is_for(const struct intent *intent, const struct disk *disk);

/* The mark of that intent, as it goes to the disk's first sector. */
void intent_mark(const struct intent *intent, uint8_t ret[INTENT_MARK_SIZE]);

/* Whether a first sector is some intent's mark, without saying whose. */
bool intent_is_mark(const uint8_t sector[INTENT_MARK_SIZE]);

#endif
