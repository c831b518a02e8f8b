/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements hex.h. Capital digits are refused on reading, as they are never written. */
#include <string.h>

#include "hex.h"

static const char digits[] = "0123456789abcdef";

void hex_encode(const void *bytes, size_t size, char *ret)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < size; i++) {
		ret[2 * i] = digits[p[i] >> 4];
		ret[2 * i + 1] = digits[p[i] & 15];
	}
	ret[2 * size] = '\0';
}

bool hex_decode(const char *text, void *ret, size_t size)
{
	unsigned char *p = ret;

	if (strlen(text) != 2 * size || strspn(text, digits) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++)
		p[i] = (unsigned char)((strchr(digits, text[2 * i]) - digits) << 4 |
				       (strchr(digits, text[2 * i + 1]) - digits));
	return true;
}
