/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements printable.h: ASCII only, because terminals differ in what else they print. */
#include "printable.h"

void printable_copy(const char *text, char *ret, size_t room)
{
	size_t n = 0;

	for (; *text && n + 1 < room; text++)
		ret[n++] = *text >= ' ' && *text <= '~' ? *text : '?';
	ret[n] = '\0';
}
