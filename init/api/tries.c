/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements tries.h. This is how Metwally's "space saving" counts: never too few, with a table of any size. */
#include <string.h>

#include "tries.h"

#define REPORT_AGAIN_NS 60000000000LL

struct row {
	unsigned char key[ADDRESS_BYTES];
	int64_t since_ns;	/* when the last one was forgiven, or counting began */
	int64_t reported_ns;	/* 0: never */
	unsigned wrong;		/* less those forgiven */
	unsigned unreported;
};

static struct row rows[TRIES_ROWS];
static size_t n_rows;

static unsigned wrong_of(struct row *row, int64_t now_ns)
{
	int64_t forgiven = (now_ns - row->since_ns) / TRIES_AGAIN_NS;

	if (forgiven > 0) {
		row->wrong = forgiven >= row->wrong ? 0 : row->wrong - (unsigned)forgiven;
		row->since_ns += forgiven * TRIES_AGAIN_NS;
	}
	return row->wrong;
}

/* The address' row; or one that it may take, of which the key is another's or, in a new row, zero. */
static struct row *find(const unsigned char *key, int64_t now_ns)
{
	struct row *fewest = NULL;

	for (size_t i = 0; i < n_rows; i++) {
		struct row *row = &rows[i];
		unsigned wrong = wrong_of(row, now_ns);

		if (!memcmp(row->key, key, ADDRESS_BYTES))
			return row;
		if (!fewest || wrong < fewest->wrong || (wrong == fewest->wrong && row->since_ns < fewest->since_ns))
			fewest = row;
	}
	return n_rows < TRIES_ROWS ? &rows[n_rows] : fewest;
}

bool tries_left(const unsigned char key[ADDRESS_BYTES], int64_t now_ns)
{
	return find(key, now_ns)->wrong < TRIES_MAX;
}

unsigned tries_wrong(const unsigned char key[ADDRESS_BYTES], int64_t now_ns)
{
	struct row *row = find(key, now_ns);
	unsigned n;

	if (n_rows < TRIES_ROWS && row == &rows[n_rows])
		n_rows++;
	if (memcmp(row->key, key, ADDRESS_BYTES) != 0) {
		memcpy(row->key, key, ADDRESS_BYTES);
		row->reported_ns = 0;
		row->unreported = 0;
	}
	if (row->wrong < TRIES_MAX)
		row->wrong++;
	if (row->wrong == 1)
		row->since_ns = now_ns;
	n = ++row->unreported;
	if (row->reported_ns && now_ns - row->reported_ns < REPORT_AGAIN_NS)
		return 0;
	row->reported_ns = now_ns;
	row->unreported = 0;
	return n;
}
