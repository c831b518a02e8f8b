/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements utf8.h: one pass, one decision per character. Every event text is cleaned here once, when it is added to
 * the ring, so that readers need not check it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "utf8.h"

#define REPLACEMENT      "\xef\xbf\xbd"
#define REPLACEMENT_SIZE 3

size_t utf8_decode(const char *bytes, size_t size, uint32_t *ret)
{
	const unsigned char *in = (const unsigned char *)bytes;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = in[0] < 0x80 ? 1 : in[0] < 0xc2 ? 0 : in[0] < 0xe0 ? 2 : in[0] < 0xf0 ? 3 : in[0] < 0xf5 ? 4 : 0;
	uint32_t c;

	if (n == 0 || n > size)
		return 0;
	c = n == 1 ? in[0] : in[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if ((in[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (in[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return n;
}

size_t utf8_encode(char *out, uint32_t c)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n; --i > 0; c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(first[n] | c);
	return n;
}

/* The size of a terminal control sequence (ESC [ parameters letter, ECMA-48 5.4) at in, or 0. */
static size_t csi(const unsigned char *in, size_t size)
{
	size_t i = 2;

	if (size < 3 || in[0] != 0x1b || in[1] != '[')
		return 0;
	while (i < size && i < 32 && in[i] >= 0x20 && in[i] <= 0x3f)
		i++;
	return i < size && in[i] >= 0x40 && in[i] <= 0x7e ? i + 1 : 0;
}

static bool printable(uint32_t c)
{
	return c >= 0x20 && (c < 0x7f || c > 0x9f) && !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069) &&
	       c != 0xfeff && (c & 0xfffe) != 0xfffe;
}

size_t utf8_clean(char *out, size_t room, const char *in, size_t size)
{
	const unsigned char *p = (const unsigned char *)in;
	size_t used = 0;

	while (size > 0 && used < room) {
		const char *piece = (const char *)p;
		uint32_t c = 0;
		size_t n, out_n;

		if (p[0] >= 0x20 && p[0] < 0x7f) {	/* nearly always */
			out[used++] = (char)*p++;
			size--;
			continue;
		}
		n = csi(p, size);
		if (n > 0) {
			p += n;
			size -= n;
			continue;
		}
		n = out_n = utf8_decode(piece, size, &c);
		if (n == 0) {
			n = 1;
			c = 0xffff;
		}
		if (c == '\t' || c == '\n' || c == '\r') {
			piece = " ";
		} else if (!printable(c)) {
			piece = REPLACEMENT;
			out_n = REPLACEMENT_SIZE;
		}
		if (out_n > room - used)
			break;
		memcpy(out + used, piece, out_n);
		used += out_n;
		p += n;
		size -= n;
	}
	return used;
}
