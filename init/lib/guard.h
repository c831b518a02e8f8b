/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls that another process can hold up as long as it likes, in a program that must go on. read(2), close(2) and most
 * other calls on a pipe wait for its lock, also without O_NONBLOCK and whatever signal comes; a process that splices
 * from a silent socket into the pipe, or writes from a page that does not come, has that lock. So such a call is
 * announced. If it takes too long, another thread goes on in place of the one that waits. That one gets its turn when
 * its call has returned, finishes what the call was for, and ends.
 *
 * One thread at a time works, so the program needs no locks of its own. There is a second one, which only watches.
 */
#ifndef INIT_LIB_GUARD_H
#define INIT_LIB_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#define GUARD_PATIENCE_MS 100	/* after this time, twice this at most, another thread goes on */

struct guard {
	void (*turn)(void);		/* one turn of the program's loop */
	void (*held)(void *with);	/* that thread calls it first; with: of guard_call() */
	size_t stack_size;		/* of a thread */
};

/* Runs turns for ever; a turn ends the program by itself. Returns negative errno if there is no thread to watch. */
int guard_run(const struct guard *guard);

/* The call begins. What its result belongs to must be left alone by other threads until guard_done(). */
void guard_call(void *with);

/*
 * The call has returned. False: others have gone on meanwhile. They wait for the caller now; it must finish this matter
 * alone, and return from its turn: what it knew before the call may no longer be true.
 */
bool guard_done(void);

/* Whether that was so in this turn. */
bool guard_late(void);

/* Others may work meanwhile: around the waiting for something to do. */
void guard_rest(void);
void guard_resume(void);

#endif
