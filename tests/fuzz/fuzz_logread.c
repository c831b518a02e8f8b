/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the two files of the persistent log, cut apart at the first NUL, if there is one. Whatever boot is asked
 * for, the answer is one JSON array of as many events as the result says, and as many lines of text.
 */
/* links: api show init/lib */
/* libs: json-c */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "init/api/logread.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static void fill(int fd, const uint8_t *bytes, size_t size)
{
	check(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size);
}

static int64_t count_json(const char *text, size_t size)
{
	struct json_object *array = json_tokener_parse(text);
	int64_t n;

	check(size >= 3 && text[size - 1] == '\n' && json_object_is_type(array, json_type_array));
	n = (int64_t)json_object_array_length(array);
	json_object_put(array);
	return n;
}

static int64_t count_lines(const char *text, size_t size)
{
	int64_t n = 0;

	check(size == 0 || text[size - 1] == '\n');
	for (size_t i = 0; i < size; i++)
		n += text[i] == '\n';
	return n;
}

static void read_back(const struct logread *what, int out)
{
	int64_t n;
	off_t size;
	char *text;

	check(ftruncate(out, 0) == 0 && lseek(out, 0, SEEK_SET) == 0);
	n = logread(what, out);
	size = lseek(out, 0, SEEK_CUR);
	check(n >= 0 || size == 0);
	if (n < 0)
		return;
	text = calloc(1, (size_t)size + 1);
	check(text && pread(out, text, (size_t)size, 0) == size);
	check((what->json ? count_json : count_lines)(text, (size_t)size) == n);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static int older = -1, newer = -1, out = -1;
	const uint8_t *end = memchr(bytes, 0, size);
	size_t first = end ? (size_t)(end - bytes) : 0, skip = end ? first + 1 : 0;

	if (out < 0) {
		older = memfd_create("older", MFD_CLOEXEC);
		newer = memfd_create("newer", MFD_CLOEXEC);
		out = memfd_create("out", MFD_CLOEXEC);
	}
	fill(older, bytes, first);
	fill(newer, bytes + skip, size - skip);
	for (int i = 0; i < 16; i++) {
		struct filter filter = {.boot = -(i % 3), .level = (uint32_t)(i % 2), .limit = 2,
					.given = i % 4 == 3 ? 1u << FILTER_LIMIT : 0};

		/* The first input is also the file of kept events: that of the same part, or with none after it. */
		read_back(&(struct logread){i < 8 ? -1 : older, i < 12 ? older : -1, newer, "running", &filter,
					    i % 8 < 4, NULL}, out);
	}
	return 0;
}
