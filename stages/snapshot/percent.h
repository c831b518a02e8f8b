/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Percent-encoding, as signed URLs, lists of keys and our own lines of text have it. */
#ifndef STAGES_SNAPSHOT_PERCENT_H
#define STAGES_SNAPSHOT_PERCENT_H

#include <stdbool.h>
#include <stddef.h>

/* Letters, digits and "-._~": the unreserved characters of RFC 3986. */
bool percent_is_unreserved(char c);

/* Everything but unreserved characters (and '/', if kept) as %XX. -ENOSPC if it does not fit. */
int percent_encode(const char *text, bool keep_slash, char *ret, size_t room);

/*
 * In place, with a NUL behind the *size bytes that are left (there is room for it); '+' is a space. -EBADMSG for a bad
 * escape or an encoded NUL.
 */
int percent_decode(char *text, size_t *size);

#endif
