/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rate limit of each sender on the event socket and the FIFO. Events above it are dropped and counted, and once a
 * second the count becomes an event with the sender as its source. The sender is not blocked. So a program that floods
 * does not push the events of all others out of the ring.
 */
#ifndef INIT_EVENT_SENDER_H
#define INIT_EVENT_SENDER_H

#include <stdbool.h>
#include <stdint.h>

struct sender;

/* Sets the limit of every sender, in events; per_s 0, and before the first call: no limit. */
void sender_limit(int64_t per_s, int64_t burst);

/*
 * The sender of this name, which is its events' source. Never NULL: the table is bounded, and a new sender evicts the
 * one that was silent longest. Valid until the next call.
 */
struct sender *sender_find(const char *name);

/* True: one more event may be added. False: it is counted as dropped. now_ns: CLOCK_BOOTTIME. */
bool sender_may(struct sender *sender, int64_t now_ns);

#endif
