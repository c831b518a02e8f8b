/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The services' logs on their way from the thread that reads pipes (service.c) to the one that writes files
 * (writer.c), so that a disk that hangs keeps nobody from printing for long. Each service has a ring of fixed size
 * of whole lines as they are to be in its file; the two threads share nothing else.
 */
#ifndef INIT_LOG_RING_H
#define INIT_LOG_RING_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "file.h"
#include "init/lib/logwire.h"

#define LOGRING_SIZE   (256 * 1024)
#define LOGRING_CHUNK  65536		/* written at once: at least the longest line */
#define LOG_PATIENCE_MS 1000		/* of readers with a writer that does not get on */
#define LOG_RETRY_MS   5000		/* between two tries of what a disk refused */

struct logring {
	size_t begin, used;
	char bytes[LOGRING_SIZE];
};

struct logged {
	struct log_service service;
	struct logring *ring;		/* NULL: not known yet */
	struct logfile file;		/* the writer's */
	int64_t retry_ms;		/* the writer's: not before this; 0: at once */
	bool failing;
	char why[96];			/* of failing */
};

/* Guarded by its lock but for what never changes. */
struct logshare {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct logged *nodes;
	size_t n_nodes;
	int64_t progress_ms;		/* when the writer last got on, or began */
	bool open_wanted, open;		/* the directory */
	bool finish;
	bool readers_wait;
	int readers_event;		/* eventfd: there is room again */
	int opener;			/* socket to the process that opens the directory */
};

int64_t log_now_ms(void);

/* How much fits. */
size_t logring_room(const struct logring *ring);
void logring_put(struct logring *ring, const char *bytes, size_t size);

/* Copies whole lines, or what is left of one, to out (LOGRING_CHUNK bytes); the size. */
size_t logring_peek(const struct logring *ring, char *out);
void logring_drop(struct logring *ring, size_t size);

/*
 * The directory is made and opened by a process of its own, for the role itself is nobody: started while it is still
 * root, it does this and nothing else, and ends once it has. ask: the descriptor, or negative errno; it waits.
 */
int logopener_start(const struct log_hello *hello, int *ret_socket);
int logopener_ask(int socket);

/* The writer's thread; argument: the struct logshare. Returns when all is written, or cannot be, after `finish`. */
void *logwriter_run(void *share);

/* An event about a node, or LOG_NOBODY; from either thread. */
void log_say(enum event_level level, size_t node, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * The role's confinement, in two steps: who it is, before the second thread; then what it may call, for all threads.
 * 0, or negative errno and in *ret_what what failed.
 */
int logconfine_identity(const char **ret_what);
int logconfine_calls(size_t address_space, const char **ret_what);

/* This thread may use files below this directory alone, -1: none. 0 or negative errno. */
int logconfine_files(int directory);

#endif
