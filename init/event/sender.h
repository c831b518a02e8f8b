/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much of the ring one sender may fill. A token bucket for each that says something over the event socket or the
 * FIFO: who says more than the rate, once its burst is used up, goes on unhindered, but what it says is dropped and
 * counted, and the count is said once a second in its name. So one program gone wild does not wash away what all
 * others said.
 */
#ifndef INIT_EVENT_SENDER_H
#define INIT_EVENT_SENDER_H

#include <stdbool.h>
#include <stdint.h>

struct sender;

/* Both are events; per_s 0: no limit. Until it is called there is none. */
void sender_limit(int64_t per_s, int64_t burst);

/*
 * The sender of this name, which is the events' source. Never NULL: the table is bounded, the one not heard of for the
 * longest time makes room. Valid until the next call.
 */
struct sender *sender_find(const char *name);

/* True: one more may become an event. False: it is counted as dropped. now_ns: CLOCK_BOOTTIME. */
bool sender_may(struct sender *sender, int64_t now_ns);

#endif
