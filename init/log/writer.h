/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The services' logs between the thread that reads pipes (service.c) and the thread that writes files (writer.c), so
 * that a disk that hangs does not hold up a service for long. Each service has a ring of fixed size; the threads share
 * nothing else.
 */
#ifndef INIT_LOG_WRITER_H
#define INIT_LOG_WRITER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "file.h"
#include "init/lib/logwire.h"
#include "ring.h"

#define LOG_PATIENCE_MS 1000		/* how long the reader waits for a writer without progress */
#define LOG_RETRY_MS    5000		/* between two attempts after a disk error */

struct logged {
	struct log_service service;
	struct logring *ring;		/* NULL: no pipe of it yet */
	struct logfile file;		/* the writer's */
	int64_t retry_ms;		/* the writer's: time of the next attempt; 0: at once */
	bool failing;
	char why[96];			/* the error, while failing */
};

/* The lock guards all members that change. */
struct logshare {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct logged *nodes;
	size_t n_nodes;
	int64_t progress_ms;		/* when the writer last made progress, or began */
	bool open_wanted, open;		/* the directory */
	bool finish;
	bool readers_wait;
	int readers_event;		/* eventfd: there is room again */
	int opener;			/* socket to the process that opens the directory */
};

/* CLOCK_MONOTONIC, the clock of the times above. */
int64_t log_now_ms(void);

/* The writer's thread; argument: the struct logshare. After `finish` it writes what is left, and returns. */
void *logwriter_run(void *share);

#endif
