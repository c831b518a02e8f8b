/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements hex.h. Upper-case digits are refused on reading, as they are never written. */
#include "hex.h"

void hex_encode(const void *bytes, size_t size, char *ret)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = bytes;

	for (size_t i = 0; i < size; i++) {
		ret[2 * i] = digits[p[i] >> 4];
		ret[2 * i + 1] = digits[p[i] & 15];
	}
	ret[2 * size] = '\0';
}

static int value_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_begins(const char *text, void *ret, size_t size)
{
	unsigned char *p = ret;

	for (size_t i = 0; i < size; i++) {
		int high = value_of(text[2 * i]), low = high < 0 ? -1 : value_of(text[2 * i + 1]);

		if (low < 0)
			return false;
		p[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

bool hex_decode(const char *text, void *ret, size_t size)
{
	return hex_begins(text, ret, size) && text[2 * size] == '\0';
}
