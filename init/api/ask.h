/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers that PID 1 gives: the request is suspended until it has. */
#ifndef INIT_API_ASK_H
#define INIT_API_ASK_H

#include "request.h"

/*
 * For an answer made of PID 1's status: true once `write` has put it into request->text, `room` bytes at most. False:
 * *ret is the answer's return value; if the request waits, the answer is called again.
 */
bool ask_status(struct request *request, size_t room, void (*write)(struct text *t, const struct status *status),
		enum MHD_Result *ret);

#endif
