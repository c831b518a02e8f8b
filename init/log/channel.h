/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The channel of the role service-log to PID 1; init/lib/logwire.h has its messages. */
#ifndef INIT_LOG_CHANNEL_H
#define INIT_LOG_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/lib/logwire.h"

/* One message, from either thread. False: PID 1 did not take it within 50 ms. */
bool logchannel_send(enum log_kind kind, size_t node, uint32_t argument, const void *body, size_t size);

/* Sends an event about a node or, with LOG_NOBODY, about the role itself; from either thread. */
void logchannel_say(enum event_level level, size_t node, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Receives one message; flags: of recvmsg(2). body: LOG_BODY_MAX bytes, aligned. 1: received, *ret_fd is the attached
 * descriptor, the caller's to close, or -1. 0: there is none. Negative errno: the channel is closed.
 */
int logchannel_receive(struct log_head *head, void *body, int *ret_fd, int flags);

#endif
