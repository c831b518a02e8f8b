/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is at a path now, as a word that two looks can compare: which file, and when it was written. A socket or pid
 * file that an earlier life of a service left behind has the same word as before that service's start; one that was
 * made or written since has another. It is compared, never ordered: a clock that is set in the meantime does no harm.
 */
#ifndef INIT_LAUNCH_TRACE_H
#define INIT_LAUNCH_TRACE_H

#include <stddef.h>

#include <gantry/report.h>

/* Writes the word for the path, and for what it leads to, into ret, TRACE_MAX bytes; "" if there is nothing. */
void trace_of(const char *path, char *ret);

#endif
