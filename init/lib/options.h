/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A role's options: JSON in the memfd that PID 1 gave it as descriptor 4 (OPTIONS_FD). They are read once, whole,
 * within a bound, and the descriptor is closed.
 */
#ifndef INIT_LIB_OPTIONS_H
#define INIT_LIB_OPTIONS_H

#include <stddef.h>

struct json_object;
struct stage_option;

/*
 * The bytes with a NUL behind them, the caller's to free; ret_size may be NULL. -ENODATA: none; -EFBIG: more than max;
 * or another negative errno.
 */
int options_text(size_t max, char **ret, size_t *ret_size);

/* The same, parsed: the caller's to put. -EBADMSG: not JSON. */
int options_json(size_t max, struct json_object **ret);

/* Adds what is absent and has a default; of an OPTION_OBJECTS to each of its objects. 0 or -ENOMEM. */
int options_fill(struct json_object *options, const struct stage_option *table);

#endif
