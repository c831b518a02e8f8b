/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Four characters, three bytes; the last group may be shorter. No table and no branch depends on the content: a
 * hypervisor that watches cache lines or single steps would read a secret from either.
 */
#define _GNU_SOURCE
#include "base64.h"

#include <errno.h>
#include <string.h>

/* All bits set if low <= value <= high, else none. Each of them is below 256. */
static unsigned within(unsigned value, unsigned low, unsigned high)
{
	return 0 - ((~(value - low) & ~(high - value)) >> 31);
}

static char to_character(unsigned value, bool url)
{
	return (char)((within(value, 0, 25) & ('A' + value)) | (within(value, 26, 51) & ('a' + value - 26)) |
		      (within(value, 52, 61) & ('0' + value - 52)) | (within(value, 62, 62) & (url ? '-' : '+')) |
		      (within(value, 63, 63) & (url ? '_' : '/')));
}

/* 0 to 63, or -1. */
static int to_value(char character, bool url)
{
	unsigned c = (unsigned char)character, last = url ? '-' : '+', other = url ? '_' : '/';

	/* One more than the value, so that 0 is none. */
	return (int)((within(c, 'A', 'Z') & (c - 'A' + 1)) | (within(c, 'a', 'z') & (c - 'a' + 27)) |
		     (within(c, '0', '9') & (c - '0' + 53)) | (within(c, last, last) & 63) |
		     (within(c, other, other) & 64)) - 1;
}

size_t base64_encode(const void *bytes, size_t size, bool url, char *ret)
{
	const unsigned char *p = bytes;
	size_t n = 0;

	for (size_t i = 0; i < size; i += 3) {
		size_t have = size - i < 3 ? size - i : 3;
		unsigned bits = (unsigned)p[i] << 16 | (have > 1 ? (unsigned)p[i + 1] << 8 : 0) |
			(have > 2 ? p[i + 2] : 0);

		for (size_t k = 0; k < 4; k++) {
			if (k <= have)
				ret[n++] = to_character(bits >> (18 - 6 * k) & 63, url);
			else if (!url)
				ret[n++] = '=';
		}
	}
	ret[n] = '\0';
	return n;
}

int base64_decode(const char *text, size_t size, bool url, void *ret, size_t room, size_t *ret_size)
{
	size_t used = 0, padding = 0;
	unsigned char *out = ret;
	unsigned stray = 0;
	int bad = 0;

	if (!url) {
		if (size % 4 != 0)
			return -EBADMSG;
		while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
			padding++;
		size -= padding;
	}
	if (size % 4 == 1)
		return -EBADMSG;
	if (size / 4 * 3 + size % 4 * 3 / 4 > room)
		return -EMSGSIZE;
	for (size_t i = 0; i < size; i += 4) {
		size_t have = size - i < 4 ? size - i : 4;
		unsigned bits = 0;

		for (size_t k = 0; k < 4; k++) {
			int value = k < have ? to_value(text[i + k], url) : 0;

			bad |= value;	/* negative once one was */
			bits = bits << 6 | ((unsigned)value & 63);
		}
		stray |= have == 2 ? bits & 0xFFFF : have == 3 ? bits & 0xFF : 0;
		for (size_t k = 0; k + 1 < have; k++)
			out[used++] = (unsigned char)(bits >> (16 - 8 * k));
	}
	if (bad < 0 || stray) {
		explicit_bzero(out, used);
		return -EBADMSG;
	}
	*ret_size = used;
	return 0;
}
