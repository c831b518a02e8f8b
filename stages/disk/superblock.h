/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fields of an ext4 superblock that the stage relies on. The disk is the host's: they are claims, and the sizes
 * that they add up to are checked here.
 */
#ifndef STAGES_DISK_SUPERBLOCK_H
#define STAGES_DISK_SUPERBLOCK_H

#include <stdint.h>

#include "reader.h"

#define SUPERBLOCK_AT   1024	/* offset on the device, bytes */
#define SUPERBLOCK_SIZE 1024

struct superblock {
	uint32_t clean;		/* unmounted in order, no error ever seen, no journal to replay: 1 */
	uint64_t block_size;	/* bytes: 1024 to 65536, a power of two */
	uint64_t size;		/* bytes of the file system, whole blocks */
};

/*
 * In a child (reader.h), whose answer is checked. 0; -EUCLEAN: not an ext4 superblock, or one with impossible sizes; or
 * as reader_ask(), -EBADMSG also for an answer with impossible sizes. *ret is untouched then, and why says it.
 */
int superblock_ask(const uint8_t bytes[SUPERBLOCK_SIZE], struct superblock *ret, char why[READER_WHY_MAX]);

/* The same in this process: 0 or -EUCLEAN. */
int superblock_read(const uint8_t bytes[SUPERBLOCK_SIZE], struct superblock *ret);

#endif
