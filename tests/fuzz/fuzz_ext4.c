/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the superblock of the file system on the volume: what is taken has sizes that a file system can have, and
 * says no more than the bytes do. A reader of its own looks at the same fields.
 */
/* links: disk stages/lib init/lib */
/* libs: libseccomp */
#include <errno.h>
#include <string.h>

#include "stages/disk/superblock.h"
#include "target.h"

static uint64_t field(const uint8_t *bytes, size_t at, size_t size)
{
	uint64_t value = 0;

	while (size-- > 0)
		value = value << 8 | bytes[at + size];
	return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t copy[SUPERBLOCK_SIZE] = {0};
	struct superblock got, before;
	unsigned __int128 whole;
	uint64_t blocks, log_size;
	int r;

	memset(&before, 0x55, sizeof(before));
	memcpy(copy, bytes, size < sizeof(copy) ? size : sizeof(copy));
	memcpy(&got, &before, sizeof(got));
	r = superblock_read(copy, &got);
	log_size = field(copy, 0x18, 4);
	blocks = field(copy, 0x04, 4) + (field(copy, 0x60, 4) & 0x80 ? field(copy, 0x150, 4) << 32 : 0);
	whole = log_size <= 6 ? (unsigned __int128)blocks << (10 + log_size) : 0;
	if (r != 0) {
		must(r == -EUCLEAN && !memcmp(&got, &before, sizeof(got)), "what is refused changes nothing");
		must(field(copy, 0x38, 2) != 0xef53 || whole == 0 || whole > UINT64_MAX, "a good one is taken");
		return 0;
	}
	must(field(copy, 0x38, 2) == 0xef53 && got.block_size == 1024u << log_size && whole == got.size, "as the bytes say");
	must(!got.clean || (field(copy, 0x3a, 2) == 1 && !(field(copy, 0x60, 4) & 4)), "clean only if it says so");
	return 0;
}
