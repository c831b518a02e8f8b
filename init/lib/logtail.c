/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements logtail.h. */
#include <stdbool.h>
#include <string.h>

#include "logtail.h"
#include "utf8.h"

#define READ_TRIES 4	/* then a torn copy is used: it is checked in any case */

/* A writer was killed in logtail_add(): only lines that end count, and neither size nor kept can be believed. */
static void mend(struct logtail *tail)
{
	size_t used = tail->size <= sizeof(tail->bytes) ? tail->size : 0;

	while (used > 0 && tail->bytes[used - 1])
		used--;
	tail->size = (uint32_t)used;
	tail->kept = 0;
	for (size_t i = 0; i < used; i++)
		tail->kept += !tail->bytes[i];
}

void logtail_add(struct logtail *tail, const char *text, size_t size)
{
	uint32_t turn = tail->turn | 1;
	size_t used, gone = 0;

	if (tail->turn & 1)
		mend(tail);
	used = tail->size <= sizeof(tail->bytes) ? tail->size : 0;
	if (size > LOGTAIL_LINE_MAX) {
		size = LOGTAIL_LINE_MAX;
		while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)	/* not within a character */
			size--;
	}
	while (gone < used && (tail->kept >= LOGTAIL_LINES || used - gone + size + 1 > sizeof(tail->bytes))) {
		const char *end = memchr(tail->bytes + gone, '\0', used - gone);

		gone = end ? (size_t)(end + 1 - tail->bytes) : used;
		tail->kept--;
	}
	__atomic_store_n(&tail->turn, turn, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memmove(tail->bytes, tail->bytes + gone, used - gone);
	memcpy(tail->bytes + used - gone, text, size);
	tail->bytes[used - gone + size] = '\0';
	tail->size = (uint32_t)(used - gone + size + 1);
	tail->kept = used == gone ? 1 : tail->kept + 1;
	tail->lines++;
	__atomic_store_n(&tail->turn, turn + 1, __ATOMIC_RELEASE);
}

static void copy(const struct logtail *tail, struct logtail *ret)
{
	for (int i = 0; i < READ_TRIES; i++) {
		uint32_t turn = __atomic_load_n(&tail->turn, __ATOMIC_ACQUIRE);

		memcpy(ret, tail, sizeof(*ret));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(turn & 1) && turn == __atomic_load_n(&tail->turn, __ATOMIC_RELAXED))
			return;
	}
}

/* Each line cleaned; false: they are too many or too long. */
static bool clean_all(struct logtail *ret, const char *bytes, size_t size)
{
	char line[LOGTAIL_LINE_MAX];
	size_t lines = 0;

	ret->size = 0;
	for (size_t at = 0; at < size; lines++) {
		const char *end = memchr(bytes + at, '\0', size - at);
		size_t n = end ? (size_t)(end - bytes) - at : size - at;
		size_t clean = utf8_clean(line, sizeof(line), bytes + at, n);

		if (lines == LOGTAIL_LINES || clean + 1 > sizeof(ret->bytes) - ret->size)
			return false;
		memcpy(ret->bytes + ret->size, line, clean);
		ret->bytes[ret->size + clean] = '\0';
		ret->size += (uint32_t)clean + 1;
		at += n + 1;
	}
	return true;
}

/* Bytes that are no character take more room when they are cleaned: the oldest lines make it. */
void logtail_read(const struct logtail *tail, struct logtail *ret)
{
	static struct logtail raw;
	size_t size, from = 0;

	copy(tail, &raw);
	size = raw.size <= sizeof(raw.bytes) ? raw.size : 0;
	ret->turn = 0;
	ret->lines = raw.lines;
	ret->dropped = raw.dropped;
	while (!clean_all(ret, raw.bytes + from, size - from)) {
		const char *end = memchr(raw.bytes + from, '\0', size - from);

		from = end ? (size_t)(end + 1 - raw.bytes) : size;
	}
}

const char *logtail_last(const struct logtail *copy)
{
	size_t at = copy->size;

	if (at < 1)
		return NULL;
	for (at--; at > 0 && copy->bytes[at - 1]; at--)
		;
	return copy->bytes + at;
}
