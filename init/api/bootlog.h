/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Logs on the disk: the events of an earlier boot, and service logs. The role api cannot open files, so a process of
 * the role api-store reads them (logread.h, show/logback.h), as user gantry-api, since files on a disk are as untrusted
 * as network input. The request goes to it over a socket, and its answer is passed on to the client.
 */
#ifndef INIT_API_BOOTLOG_H
#define INIT_API_BOOTLOG_H

#include "filter.h"
#include "request.h"

/* Sent first; for a service log, the number of lines (uint32_t) instead. */
struct bootlog_request {
	struct filter filter;
	uint32_t json;		/* an array, or lines */
};

/* The first byte of the answer: the log follows, or it does not exist. Without either, reading it failed. */
#define BOOTLOG_FOUND '+'
#define BOOTLOG_NONE  '-'

enum MHD_Result answer_boot_log(struct request *request, const struct filter *filter, bool json);

#endif
