/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RFC 4648 in both alphabets, strict: the standard one with padding, the URL-safe one without; no white space, no
 * stray bits at the end. So there is exactly one text for any bytes.
 */
#ifndef STAGES_LIB_BASE64_H
#define STAGES_LIB_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)	/* room for the text of n bytes with a NUL */

/* Writes text and NUL to ret (BASE64_SIZE(size) bytes); returns the text's length. */
size_t base64_encode(const void *bytes, size_t size, bool url, char *ret);

/* 0 with *ret (malloc'ed, a NUL behind its *ret_size bytes), -EBADMSG or -ENOMEM. */
int base64_decode(const char *text, size_t size, bool url, char **ret, size_t *ret_size);

/* The standard alphabet, into at most that many bytes: 0, -EMSGSIZE beyond, -EBADMSG or -ENOMEM. */
int base64_decode_into(const char *text, void *ret, size_t maximum, size_t *ret_size);

#endif
