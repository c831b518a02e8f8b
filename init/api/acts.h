/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Actions, uploads and the password: the request is passed on to PID 1 by name, PID 1 does it (pid1/act.h), and the
 * answer waits for the event that says how it ended.
 */
#ifndef INIT_API_ACTS_H
#define INIT_API_ACTS_H

#include <stddef.h>

#include "options.h"

void acts_init(const struct api_options *options);

/* The most bytes that the upload of this name may have. */
size_t upload_max(const char *name);

#endif
