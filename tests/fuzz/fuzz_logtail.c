/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the page of a service's last lines: what is read of it is whole, clean lines, and reading that again
 * changes nothing. Then the input's lines fill a page, which is torn as by a role that is killed in the middle: the line
 * that the next one adds is the last one.
 */
/* links: init/lib */
#include <string.h>

#include "init/lib/logtail.h"
#include "init/lib/utf8.h"
#include "target.h"

static void check_copy(const struct logtail *copy)
{
	size_t lines = 0;

	must(copy->size <= sizeof(copy->bytes) && (!copy->size || !copy->bytes[copy->size - 1]), "whole lines");
	for (size_t at = 0; at < copy->size; at += strlen(copy->bytes + at) + 1, lines++) {
		char out[LOGTAIL_LINE_MAX + 1];
		size_t n = strlen(copy->bytes + at);

		must(n <= LOGTAIL_LINE_MAX && utf8_clean(out, sizeof(out), copy->bytes + at, n) == n &&
		     !memcmp(out, copy->bytes + at, n), "a clean line");
	}
	must(lines <= LOGTAIL_LINES, "no more lines than there may be");
	must(!copy->size == !logtail_last(copy), "a last line, if there is any");
}

/* The lines of the input, one after the other. */
static void fill(struct logtail *tail, const char *bytes, size_t size)
{
	while (size > 0) {
		const char *end = memchr(bytes, '\n', size);
		size_t n = end ? (size_t)(end - bytes) : size;
		char line[2 * LOGTAIL_LINE_MAX + 1];
		size_t clean = utf8_clean(line, sizeof(line) - 1, bytes, n);

		line[clean] = '\0';
		if (clean > 0)
			logtail_add(tail, line, clean);
		bytes += n + (end != NULL);
		size -= n + (end != NULL);
	}
}

/* As if the role had been killed in logtail_add(): some of the oldest lines are moved out, a part of the new one is in. */
static void tear(struct logtail *tail, size_t lines, size_t part)
{
	size_t gone = 0;

	for (; lines > 0 && gone < tail->size; lines--)
		gone += strlen(tail->bytes + gone) + 1;
	tail->turn |= 1;
	memmove(tail->bytes, tail->bytes + gone, tail->size - gone);
	part = part < sizeof(tail->bytes) - (tail->size - gone) ? part : sizeof(tail->bytes) - (tail->size - gone);
	memset(tail->bytes + tail->size - gone, 'x', part);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct logtail tail, first, second;
	static const char line[] = "the newest line";
	uint64_t lines;

	memset(&tail, 0, sizeof(tail));
	memcpy(&tail, bytes, size < sizeof(tail) ? size : sizeof(tail));
	logtail_read(&tail, &first);
	check_copy(&first);
	logtail_read(&first, &second);
	must(second.size == first.size && !memcmp(second.bytes, first.bytes, first.size), "a copy's copy is the same");
	logtail_add(&tail, line, sizeof(line) - 1);
	logtail_read(&tail, &first);
	check_copy(&first);
	if (size < 2)
		return 0;
	memset(&tail, 0, sizeof(tail));
	fill(&tail, (const char *)bytes + 2, size - 2);
	tear(&tail, bytes[0] % 4, bytes[1] % 32);
	lines = tail.lines;
	logtail_add(&tail, line, sizeof(line) - 1);
	must(tail.lines == lines + 1 && !(tail.turn & 1) && tail.size <= sizeof(tail.bytes), "one more");
	logtail_read(&tail, &first);
	check_copy(&first);
	must(logtail_last(&first) && !strcmp(logtail_last(&first), line), "the added line is the last one");
	return 0;
}
