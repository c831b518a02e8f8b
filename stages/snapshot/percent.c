/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements percent.h: writes capital digits, as a signature wants them, and reads either. */
#include <errno.h>

#include "percent.h"

bool percent_is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

int percent_encode(const char *text, bool keep_slash, char *ret, size_t room)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = percent_is_unreserved(*text) || (keep_slash && c == '/');

		if (n + (plain ? 1 : 3) >= room)
			return -ENOSPC;
		if (plain) {
			ret[n++] = (char)c;
		} else {
			ret[n++] = '%';
			ret[n++] = digits[c >> 4];
			ret[n++] = digits[c & 15];
		}
	}
	if (n >= room)
		return -ENOSPC;
	ret[n] = '\0';
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int percent_decode(char *text, size_t *size)
{
	size_t n = 0;

	for (size_t i = 0; i < *size; i++) {
		int high, low;

		if (text[i] == '+') {
			text[n++] = ' ';
			continue;
		}
		if (text[i] != '%') {
			text[n++] = text[i];
			continue;
		}
		if (*size - i < 3)
			return -EBADMSG;
		high = hex_digit(text[i + 1]);
		low = hex_digit(text[i + 2]);
		if (high < 0 || low < 0 || (high == 0 && low == 0))
			return -EBADMSG;
		text[n++] = (char)(high << 4 | low);
		i += 2;
	}
	text[n] = '\0';
	*size = n;
	return 0;
}
