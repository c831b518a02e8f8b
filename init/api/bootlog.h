/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The events of an earlier boot. The role api has no files, so a process of the role api-store reads them (logread.h),
 * as gantry-api, too: what is on a disk is as untrusted as what comes by network. It is asked and answers over one
 * socket; the answer is what the client gets.
 */
#ifndef INIT_API_BOOTLOG_H
#define INIT_API_BOOTLOG_H

#include "filter.h"
#include "request.h"

/* What goes over the socket first. */
struct bootlog_request {
	struct filter filter;
	uint32_t json;		/* an array, or lines */
};

/* Comes back first: the answer follows, or there is no such boot. Without either the log could not be read. */
#define BOOTLOG_FOUND '+'
#define BOOTLOG_NONE  '-'

enum MHD_Result answer_boot_log(struct request *request, const struct filter *filter, bool json);

#endif
