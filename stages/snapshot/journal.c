/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each line has a checksum of its own: after a power cut the journal's tail may be anything. What is read is written
 * again and compared, so that there is one spelling for each run.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "init/lib/hex.h"
#include "journal.h"
#include "lines.h"

#define JOURNAL_MAGIC "gantry-snapshot-journal 1 "

/* CRC-32 as in zip and Ethernet (reflected 0x04c11db7); a line is short, so bit by bit. */
static uint32_t crc32_of(const char *text)
{
	uint32_t crc = ~0u;

	for (; *text; text++) {
		crc ^= (unsigned char)*text;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

size_t journal_format_head(const struct manifest *m, char ret[static 128])
{
	size_t n = (size_t)sprintf(ret, "%s", JOURNAL_MAGIC);

	hex_encode(m->hash, MANIFEST_HASH_SIZE, ret + n);
	n += 2 * MANIFEST_HASH_SIZE;
	return n + (size_t)sprintf(ret + n, "\n");
}

size_t journal_format_record(const struct blocks_run *run, char ret[static JOURNAL_RECORD_MAX])
{
	char body[JOURNAL_RECORD_MAX - 10];

	snprintf(body, sizeof(body), "%" PRIu32 " %" PRIu64 " %" PRIu64, run->file, run->first, run->count);
	return (size_t)snprintf(ret, JOURNAL_RECORD_MAX, "%08" PRIx32 " %s\n", crc32_of(body), body);
}

int journal_replay(const void *bytes, size_t size, struct manifest *m, size_t *ret_valid)
{
	struct lines in = { bytes, (const char *)bytes + size };
	char line[128], head[128], record[JOURNAL_RECORD_MAX];

	journal_format_head(m, head);
	if (!lines_next(&in, line, sizeof(line)) || strncmp(line, head, strlen(head) - 1) || line[strlen(head) - 1])
		return -ESTALE;
	for (;;) {
		struct blocks_run run;
		uint64_t file;
		const char *rest;

		*ret_valid = (size_t)(in.at - (const char *)bytes);
		if (!lines_next(&in, line, sizeof(line)) || strlen(line) < 9 || line[8] != ' ')
			return 0;
		if (lines_number(line + 9, ' ', &file, &rest) || lines_number(rest, ' ', &run.first, &rest) ||
		    lines_number(rest, '\0', &run.count, NULL) || file > UINT32_MAX)
			return 0;
		run.file = (uint32_t)file;
		/* Written again and compared: checksum and spelling in one. */
		journal_format_record(&run, record);
		if (strncmp(line, record, strlen(line)) || record[strlen(line)] != '\n')
			return 0;
		if (blocks_mark(m, &run))
			return 0;
	}
}
