/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes as lower-case hex digits: digests, measurements, signatures. One text for any bytes. */
#ifndef INIT_LIB_HEX_H
#define INIT_LIB_HEX_H

#include <stdbool.h>
#include <stddef.h>

#define HEX_SIZE(n) (2 * (n) + 1)	/* room for the text of n bytes with a NUL */

/* Writes text and NUL to ret (HEX_SIZE(size) bytes). */
void hex_encode(const void *bytes, size_t size, char *ret);

/* False, and ret undefined: the text does not begin with the digits of `size` bytes. */
bool hex_begins(const char *text, void *ret, size_t size);

/* The same of a text that has nothing behind them. */
bool hex_decode(const char *text, void *ret, size_t size);

#endif
