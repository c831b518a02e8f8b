/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UTF-8, and cleaning hostile bytes for a terminal, a JSON string and a log line. */
#ifndef INIT_LIB_UTF8_H
#define INIT_LIB_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Writes at most `room` bytes of valid UTF-8 to out (no terminator) and returns how many; cut between characters. Tab,
 * newline and carriage return become a space; terminal colour sequences are removed; other control characters, invalid
 * bytes, line separators and direction overrides become U+FFFD. in and out must not overlap.
 */
size_t utf8_clean(char *out, size_t room, const char *in, size_t size);

/* Decodes one character (RFC 3629; size > 0); returns its size, or 0 if in does not start with a valid one. */
size_t utf8_decode(const char *in, size_t size, uint32_t *ret);

/* Writes a character (not a surrogate, at most U+10FFFF) to out, which has room for four bytes; returns its size. */
size_t utf8_encode(char *out, uint32_t c);

#endif
