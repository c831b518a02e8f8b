/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rate limit of each sender of text, on every way in: event socket, FIFO, HTTP, gantryctl, the notify socket,
 * report sockets, lines of services' output. Messages above it are dropped and counted, and the count becomes an event
 * with the sender as its source. The sender is not blocked. So a program that floods does not push the events of all
 * others out of the ring.
 */
#ifndef INIT_EVENT_SENDER_H
#define INIT_EVENT_SENDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The sender of a process that belongs to no stage or service: one for all processes of that user, for a process can
 * have as many pids as it likes. Beside root's there are 16, which users share by their numbers, for there are as many
 * uids as a process with the right to change its own likes. Valid until the next call.
 */
const char *sender_of_stranger(uid_t uid);

/*
 * Sets the limit of every sender, in events; per_s 0, and before the first call: no limit. All together have eight
 * times of it.
 */
void sender_limit(int64_t per_s, int64_t burst);

/*
 * True: this source may add one more event. False: it is counted as dropped. now_ns: CLOCK_BOOTTIME. The source is a
 * stage, a service, a part of Gantry's own or what sender_of_stranger() returned.
 */
bool sender_may(const char *source, int64_t now_ns);

/* The same for a stage and a role of Gantry's own, on its own socket: what other senders sent does not count. */
bool sender_may_report(const char *source, int64_t now_ns);

#endif
