/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes text from a disk, a store or a document safe to print in an event or a log: no control characters, no escape
 * sequences.
 */
#ifndef STAGES_LIB_PRINTABLE_H
#define STAGES_LIB_PRINTABLE_H

#include <stddef.h>

/* A copy cut to room bytes with its NUL, '?' for every byte that is not printable ASCII. text may be ret itself. */
void printable_copy(const char *text, char *ret, size_t room);

#endif
