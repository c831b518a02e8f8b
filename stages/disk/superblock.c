/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements superblock.h. Documentation/filesystems/ext4/super.rst of the kernel; little-endian. */
#include "superblock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>


#define BLOCKS_LOW       0x04
#define LOG_BLOCK_SIZE   0x18
#define LOG_BLOCK_MAX    6	/* 65536 bytes: EXT4_MAX_BLOCK_LOG_SIZE in fs/ext4/ext4.h of the kernel */
#define MAGIC            0x38
#define STATE            0x3a
#define STATE_VALID      1	/* and neither "errors detected" nor "orphans being recovered" */
#define INCOMPAT         0x60
#define INCOMPAT_RECOVER 0x4
#define INCOMPAT_64BIT   0x80
#define BLOCKS_HIGH      0x150

static uint32_t little_endian(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int superblock_read(const uint8_t bytes[SUPERBLOCK_SIZE], struct superblock *ret)
{
	uint32_t log_size = little_endian(bytes + LOG_BLOCK_SIZE), incompat = little_endian(bytes + INCOMPAT);
	uint64_t blocks = little_endian(bytes + BLOCKS_LOW), size;

	if (bytes[MAGIC] != 0x53 || bytes[MAGIC + 1] != 0xef || log_size > LOG_BLOCK_MAX)
		return -EUCLEAN;
	if (incompat & INCOMPAT_64BIT)
		blocks |= (uint64_t)little_endian(bytes + BLOCKS_HIGH) << 32;
	if (blocks == 0 || __builtin_mul_overflow(blocks, (uint64_t)1024 << log_size, &size))
		return -EUCLEAN;
	ret->clean = bytes[STATE] == STATE_VALID && bytes[STATE + 1] == 0 && !(incompat & INCOMPAT_RECOVER);
	ret->block_size = (uint64_t)1024 << log_size;
	ret->size = size;
	return 0;
}

struct answer {
	int32_t result;
	struct superblock superblock;
};

static void read_bytes(int fd, const void *asked, void *ret)
{
	struct answer *answer = ret;

	(void)fd;
	answer->result = superblock_read(asked, &answer->superblock);
}

int superblock_ask(const uint8_t bytes[SUPERBLOCK_SIZE], struct superblock *ret, char why[READER_WHY_MAX])
{
	struct answer answer;
	const struct superblock *s = &answer.superblock;
	int r = reader_ask(&(struct reader_task){read_bytes, -1, bytes, &answer, sizeof(answer)}, why);
	bool sane;

	if (r < 0)
		return r;
	if (answer.result == -EUCLEAN) {
		snprintf(why, READER_WHY_MAX, "volume holds no ext4 file system");
		return -EUCLEAN;
	}
	sane = answer.result == 0 && s->clean <= 1 && s->block_size >= 1024 && s->block_size <= 65536 &&
	       !(s->block_size & (s->block_size - 1)) && s->size && s->size % s->block_size == 0;
	if (!sane) {
		snprintf(why, READER_WHY_MAX, "its reader's answer is malformed");
		return -EBADMSG;
	}
	*ret = *s;
	return 0;
}
