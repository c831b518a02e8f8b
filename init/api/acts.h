/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Actions, uploads and the password: what a client asks is passed on by its name, PID 1 does it (pid1/act.h), and the
 * answer waits for the event that says how it ended.
 */
#ifndef INIT_API_ACTS_H
#define INIT_API_ACTS_H

#include "options.h"
#include "request.h"

void acts_init(const struct api_options *options);

/* The client is gone. */
void acts_forget(const struct request *request);

#endif
