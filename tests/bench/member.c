/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the contestants of services.py supervise: static and small, so that what is measured is them. It is compiled
 * once for each ROLE, since neither s6 nor runit gives its program an argument. It tells what happens, and when, in
 * records of 16 bytes on a FIFO: CLOCK_MONOTONIC in nanoseconds, and a letter.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BEGIN   1	/* says so and becomes its arguments: the contestant */
#define SERVE   2	/* says that it has started, waits for SIGTERM, says that it ends */
#define QUIT    3	/* says that it has started, and is gone */
#define ORPHANS 4	/* when told to, leaves ORPHAN_COUNT dead processes to PID 1, says that it has, and waits */

#define FIFO "/t/fifo"
#define GO "/t/go"
#define ORPHANS_AT_ONCE 100
#ifndef ORPHAN_COUNT
#define ORPHAN_COUNT 100000
#endif

static int fifo;

static void tell(char letter)
{
	struct timespec now;
	struct {
		int64_t ns;
		char letter, rest[7];
	} record = {.letter = letter};

	clock_gettime(CLOCK_MONOTONIC, &now);
	record.ns = now.tv_sec * 1000000000LL + now.tv_nsec;
	if (write(fifo, &record, sizeof(record)) != sizeof(record))
		_exit(1);
}

static void leave_orphans(void)
{
	for (int i = 0; i < ORPHAN_COUNT / ORPHANS_AT_ONCE; i++) {
		pid_t between = fork();

		if (between < 0)
			_exit(1);
		if (!between) {
			for (int k = 0; k < ORPHANS_AT_ONCE; k++) {
				pid_t pid = vfork();

				if (!pid)
					_exit(0);
				while (pid < 0)		/* there is no room as long as PID 1 has not reaped */
					pid = usleep(1000) < 0 ? -1 : fork();
				if (!pid)
					_exit(0);
			}
			_exit(0);
		}
		waitpid(between, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	sigset_t stops;

	(void)argc;
	(void)argv;
	sigemptyset(&stops);
	sigaddset(&stops, SIGTERM);
	if (ROLE != BEGIN)
		sigprocmask(SIG_BLOCK, &stops, NULL);
	fifo = open(FIFO, O_WRONLY | O_CLOEXEC);
	if (fifo < 0)
		return 1;
	switch (ROLE) {
	case BEGIN:
		tell('b');
		execv(argv[1], argv + 1);
		return 1;
	case QUIT:
		tell('s');
		return 0;
	case ORPHANS:
		tell('s');
		if (open(GO, O_RDONLY | O_CLOEXEC) < 0)	/* returns once somebody opens it for writing */
			return 1;
		leave_orphans();
		tell('o');
		break;
	default:
		tell('s');
	}
	while (sigwaitinfo(&stops, NULL) < 0)
		;
	tell('e');
	return 0;
}
