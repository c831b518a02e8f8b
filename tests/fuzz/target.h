/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets share. Many take a row of pieces: each has its size in front, two bytes, little-endian; the last
 * one ends with the input.
 */
#ifndef TESTS_FUZZ_TARGET_H
#define TESTS_FUZZ_TARGET_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static inline void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "must hold: %s\n", what);
	abort();
}

struct input {
	const uint8_t *bytes;
	size_t size;
};

/* False: no more. */
static inline bool input_piece(struct input *input, struct input *ret)
{
	size_t n;

	if (input->size < 2)
		return false;
	n = (size_t)input->bytes[0] | (size_t)input->bytes[1] << 8;
	ret->bytes = input->bytes + 2;
	ret->size = n < input->size - 2 ? n : input->size - 2;
	input->bytes = ret->bytes + ret->size;
	input->size -= 2 + ret->size;
	return true;
}

static inline uint8_t input_byte(struct input *input)
{
	if (!input->size)
		return 0;
	input->size--;
	return *input->bytes++;
}

/* How many descriptors this process has: the same before and after, if none was left open. */
static inline size_t open_fds(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 200; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

#endif
