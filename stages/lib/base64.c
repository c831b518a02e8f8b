/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Four characters, three bytes; the last group may be shorter. One table a direction would save nothing here.
 */
#define _GNU_SOURCE
#include "base64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char common[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static char to_character(unsigned value, bool url)
{
	return value < 62 ? common[value] : value == 62 ? url ? '-' : '+' : url ? '_' : '/';
}

static int to_value(char c, bool url)
{
	const char *p = c ? strchr(common, c) : NULL;

	return p ? (int)(p - common) : c == (url ? '-' : '+') ? 62 : c == (url ? '_' : '/') ? 63 : -1;
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

int base64_decode(const char *text, size_t size, bool url, char **ret, size_t *ret_size)
{
	size_t used = 0, padding = 0;
	char *out;

	if (!url) {
		if (size % 4 != 0)
			return -EBADMSG;
		while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
			padding++;
		size -= padding;
	}
	if (size % 4 == 1)
		return -EBADMSG;
	out = malloc(size / 4 * 3 + 4);
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < size; i += 4) {
		size_t have = size - i < 4 ? size - i : 4;
		unsigned bits = 0;

		for (size_t k = 0; k < 4; k++) {
			int value = k < have ? to_value(text[i + k], url) : 0;

			if (value < 0)
				goto bad;
			bits = bits << 6 | (unsigned)value;
		}
		if ((have == 2 && (bits & 0xFFFF)) || (have == 3 && (bits & 0xFF)))
			goto bad;
		for (size_t k = 0; k + 1 < have; k++)
			out[used++] = (char)(bits >> (16 - 8 * k));
	}
	out[used] = '\0';
	*ret = out;
	*ret_size = used;
	return 0;
bad:
	explicit_bzero(out, used);
	free(out);
	return -EBADMSG;
}
