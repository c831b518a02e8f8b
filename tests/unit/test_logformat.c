/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What services print, line by line, whatever the pieces it comes in; and the last lines in memory that somebody else
 * may write anything to.
 */
/* links: log init/lib */
#include <string.h>

#include "init/log/format.h"
#include "init/log/ring.h"
#include "init/lib/logtail.h"
#include "test.h"

static struct logsplit split;
static char out[LOG_FORMATTED_MAX];

/* Everything in `bytes`, handed over in pieces, as "line|line|", a piece of a line as "piece+". */
static const char *lines_of(const char *bytes, size_t size, size_t step, bool last)
{
	static char result[100000];
	struct logsplit_line line;
	size_t used = 0;

	for (size_t at = 0; at < size;) {
		size_t room, n = step < size - at ? step : size - at;
		char *to = logsplit_room(&split, &room);

		CHECK(room >= LOG_LINE_MAX);
		memcpy(to, bytes + at, n);
		logsplit_filled(&split, n);
		at += n;
		while (logsplit_next(&split, last && at == size, &line)) {
			memcpy(result + used, line.bytes, line.size);
			used += line.size;
			result[used++] = line.partial ? '+' : '|';
			logsplit_take(&split, &line);
		}
	}
	result[used] = '\0';
	return result;
}

TEST(lines_are_the_same_in_whatever_pieces_they_come)
{
	static const char text[] = "one\n\ntwo\nthree";

	for (size_t step = 1; step < sizeof(text); step++) {
		memset(&split, 0, sizeof(split));
		CHECK_STR(lines_of(text, sizeof(text) - 1, step, true), "one||two|three|");
	}
	memset(&split, 0, sizeof(split));
	CHECK_STR(lines_of(text, sizeof(text) - 1, 5, false), "one||two|");
}

TEST(a_line_without_end_is_cut_and_no_newline_is_taken_twice)
{
	static char text[3 * LOG_LINE_MAX];

	memset(text, 'x', sizeof(text));
	text[2 * LOG_LINE_MAX] = '\n';
	text[sizeof(text) - 1] = '\n';
	for (size_t step = 1; step <= LOG_LINE_MAX; step = step * 7 + 1) {
		const char *lines;

		memset(&split, 0, sizeof(split));
		lines = lines_of(text, sizeof(text), step, true);
		/* The first line has exactly two pieces: whether the second is known to be the last hangs on what came. */
		CHECK_INT(strcspn(lines, "+|"), LOG_LINE_MAX);
		CHECK_INT(strcspn(lines + LOG_LINE_MAX + 1, "+|"), LOG_LINE_MAX);
		CHECK_INT(strcspn(lines + 2 * LOG_LINE_MAX + 2, "+|"), LOG_LINE_MAX - 2);
		CHECK_INT(strlen(lines), 3 * LOG_LINE_MAX + 1);
	}
}

TEST(a_piece_does_not_end_within_a_character)
{
	static char text[LOG_LINE_MAX + 100];
	const char *lines;

	memset(text, 'x', sizeof(text));
	memcpy(text + LOG_LINE_MAX - 1, "\xc3\xa4", 2);
	text[sizeof(text) - 1] = '\n';
	memset(&split, 0, sizeof(split));
	lines = lines_of(text, sizeof(text), sizeof(text), true);
	CHECK_INT(strcspn(lines, "+"), LOG_LINE_MAX - 1);
	CHECK_MEM(lines + LOG_LINE_MAX, "\xc3\xa4xx", 4);
}

TEST(the_longest_line_fits_in_either_format)
{
	static char text[LOG_CLEAN_MAX];
	static const char replaced[] = "\xef\xbf\xbd";

	memset(text, '<', LOG_LINE_MAX);
	CHECK_INT(logformat_json(out, "2026-11-26T00:00:00.123456Z", "stdout", text, LOG_LINE_MAX, true),
		  LOG_LINE_MAX * 6 + sizeof("{\"time\":\"2026-11-26T00:00:00.123456Z\",\"stream\":\"stdout\",\"text\":\"\","
					    "\"partial\":true}\n") - 1);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = replaced[i % 3];
	CHECK(logformat_json(out, "2026-11-26T00:00:00.123456Z", "stderr", text, sizeof(text), false) > sizeof(text));
	CHECK_INT(logformat_text(out, text, sizeof(text), false), sizeof(text) + 1);
	CHECK_INT(logformat_text(out, text, sizeof(text), true), sizeof(text) + 7);
	CHECK_INT(logformat_text(out, "abc", 3, true), 10);
	CHECK_MEM(out, "abc [...]\n", 10);
	CHECK_INT(logformat_json(out, "t", "stderr", "a\"", 2, false), 44);
	CHECK_MEM(out, "{\"time\":\"t\",\"stream\":\"stderr\",\"text\":\"a\\\"\"}\n", 44);
}

TEST(the_last_lines_are_kept_by_number_and_by_size)
{
	static struct logtail tail, copy;
	static char big[1000];
	char word[24];

	for (int i = 0; i < 30; i++) {
		snprintf(word, sizeof(word), "line %d", i);
		logtail_add(&tail, word, strlen(word));
	}
	logtail_read(&tail, &copy);
	CHECK_STR(copy.bytes, "line 10");
	CHECK_STR(logtail_last(&copy), "line 29");
	CHECK_INT(copy.lines, 30);
	memset(big, 'y', sizeof(big));
	for (int i = 0; i < 12; i++)
		logtail_add(&tail, big, sizeof(big));
	logtail_read(&tail, &copy);
	CHECK_INT(copy.size, 7 * (LOGTAIL_LINE_MAX + 1));
	CHECK_INT(strlen(logtail_last(&copy)), LOGTAIL_LINE_MAX);
	memcpy(big + LOGTAIL_LINE_MAX - 1, "\xc3\xa4", 2);
	logtail_add(&tail, big, sizeof(big));
	logtail_read(&tail, &copy);
	CHECK_INT(strlen(logtail_last(&copy)), LOGTAIL_LINE_MAX - 1);
}

TEST(a_tail_with_anything_in_it_is_read_as_bounded_clean_lines)
{
	static struct logtail tail, copy;
	unsigned seed = 1;

	logtail_read(&tail, &copy);
	CHECK(!logtail_last(&copy));
	for (int round = 0; round < 4000; round++) {
		unsigned char *bytes = (unsigned char *)&tail;
		size_t lines = 0;

		for (size_t i = 0; i < sizeof(tail); i += 1 + seed % 97) {
			seed = seed * 1103515245 + 12345;
			bytes[i] = (unsigned char)(seed >> 16) % 4 ? (unsigned char)(seed >> 20) : 0;
		}
		if (round % 3)
			tail.size = seed % 6000;
		logtail_read(&tail, &copy);
		CHECK(copy.size <= sizeof(copy.bytes));
		CHECK(copy.size == 0 || !copy.bytes[copy.size - 1]);
		for (size_t i = 0; i < copy.size; i++)
			lines += !copy.bytes[i];
		CHECK(lines <= LOGTAIL_LINES);
		CHECK(copy.size == 0 || strlen(logtail_last(&copy)) <= LOGTAIL_LINE_MAX);
		logtail_add(&tail, "next", 4);	/* the writer's own page may be broken, too */
	}
}

TEST(a_ring_gives_back_whole_lines_in_their_order)
{
	static struct logring ring;
	static char chunk[LOGRING_CHUNK], line[5000];
	size_t put = 0, got = 0;

	for (int round = 0; round < 2000; round++) {
		size_t size = 1 + (size_t)round * 37 % 4999;

		memset(line, 'a' + round % 26, size - 1);
		line[size - 1] = '\n';
		if (logring_room(&ring) >= size) {
			logring_put(&ring, line, size);
			put += size;
		}
		if (round % 5 == 0) {
			size_t n = logring_peek(&ring, chunk);

			CHECK_INT(chunk[n - 1], '\n');
			n = n > 10000 ? 10000 : n;	/* a short write */
			logring_drop(&ring, n);
			got += n;
		}
		CHECK_INT(ring.used, put - got);
	}
	CHECK(put > LOGRING_SIZE * 2);
}
