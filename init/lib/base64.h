/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RFC 4648 in both alphabets, strict: the standard one with padding, the URL-safe one without; no white space, no
 * stray bits at the end. So there is exactly one text for any bytes. Passphrases and passwords pass through here: how
 * long it takes and which memory it touches depends on the sizes alone.
 */
#ifndef INIT_LIB_BASE64_H
#define INIT_LIB_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#define BASE64_SIZE(n)  (((n) + 2) / 3 * 4 + 1)	/* room for the text of n bytes with a NUL */
#define BASE64_BYTES(n) ((n) / 4 * 3 + 2)	/* room for the bytes of any text of n characters */

/* Writes text and NUL to ret (BASE64_SIZE(size) bytes); returns the text's length. */
size_t base64_encode(const void *bytes, size_t size, bool url, char *ret);

/* 0; -EBADMSG: malformed, and the output is wiped; -EMSGSIZE: more than `room` bytes, none is written. */
int base64_decode(const char *text, size_t size, bool url, void *ret, size_t room, size_t *ret_size);

#endif
