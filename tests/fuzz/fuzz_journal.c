/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes behind a right first line of a journal: only runs inside files are marked, the counts agree with the
 * marks, and writing would go on at the end of a line.
 */
/* links: snapshot stages/lib */
/* libs: mbedtls */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stages/snapshot/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check(const struct manifest *m)
{
	uint64_t done = 0;

	for (uint32_t f = 0; f < m->count; f++)
		for (uint64_t b = 0; b < m->files[f].blocks; b++)
			if (blocks_is_done(m, f, b))
				done += blocks_run_bytes(m, &(struct blocks_run){ f, b, 1 });
	if (done != m->done || done > m->total)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char reason[S3_ERROR_MAX], head[128], *text;
	struct manifest m;
	size_t n, valid = 0;

	if (manifest_init(&m, "n", "p/") || manifest_add(&m, "a", "\"e\"", 70 * MANIFEST_BLOCK + 3, reason) ||
	    manifest_add(&m, "b", "\"e\"", 1, reason) || manifest_seal(&m, reason))
		abort();
	n = journal_format_head(&m, head);
	text = malloc(n + size);
	if (!text)
		abort();
	memcpy(text, head, n);
	if (size)
		memcpy(text + n, bytes, size);
	if (journal_replay(text, n + size, &m, &valid) || valid < n || valid > n + size || text[valid - 1] != '\n')
		abort();
	check(&m);
	free(text);
	manifest_free(&m);
	return 0;
}
