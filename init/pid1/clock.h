/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The clock of a machine whose host sets it: never before this program was built, nor before the previous boot ended;
 * every step of it is an event. Reading and setting the clock does not block.
 */
#ifndef INIT_PID1_CLOCK_H
#define INIT_PID1_CLOCK_H

#include <stdbool.h>
#include <stddef.h>

/* Call once, after event_init(). With `set`, a clock before the build's date is set to that, now and after a step. */
void clock_begin(bool set);

/*
 * Call once, in the loop's process after loop_init(): watches for steps. `was_set` is called when they are reported: at
 * once, and then at most every ten seconds. 0 or negative errno.
 */
int clock_watch(void (*was_set)(void));

/* How the previous boot ended, as the logger says it (init/log/lastboot.h): a clock before that is set to it. */
void clock_previous_end(const char *fields, size_t size);

#endif
