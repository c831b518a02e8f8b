/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements writer.h: the thread of the role service-log that may block on a disk. It takes a chunk of each ring in
 * turn. An error of the disk is reported once, and the write is tried again; the lines stay in the ring meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "confine.h"
#include "init/lib/words.h"
#include "opener.h"
#include "writer.h"

static char chunk[LOGRING_CHUNK];
static int directory = -1;

int64_t log_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Tries until it succeeds or the role ends. Called with the lock held; false: no directory. */
static bool open_directory(struct logshare *share)
{
	bool said = false;

	while (!share->open_wanted && !share->finish)
		pthread_cond_wait(&share->work, &share->lock);
	while (share->open_wanted) {
		struct timespec until;
		int r;

		pthread_mutex_unlock(&share->lock);
		r = logopener_ask(share->opener);
		if (r >= 0) {
			directory = r;
			r = logconfine_files(directory);
		}
		if (r < 0 && !said)
			logchannel_say(EVENT_ERROR, LOG_NOBODY, "log directory: %s; trying again", strerror(-r));
		else if (r >= 0 && said)
			logchannel_say(EVENT_NOTICE, LOG_NOBODY, "log directory: works again");
		said = said || r < 0;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += LOG_RETRY_MS / 1000;
		pthread_mutex_lock(&share->lock);
		if (r >= 0) {
			share->open = true;
			share->progress_ms = log_now_ms();
			return true;
		}
		if (share->finish)
			return false;
		pthread_cond_timedwait(&share->work, &share->lock, &until);
	}
	return false;
}

static void wake_readers(struct logshare *share)
{
	uint64_t one = 1;

	share->progress_ms = log_now_ms();
	if (!share->readers_wait)
		return;
	share->readers_wait = false;
	(void)!write(share->readers_event, &one, sizeof(one));
}

static void tell(struct logged *n, size_t node, int r)
{
	if (r < 0 && !n->failing)
		logchannel_say(EVENT_ERROR, node, "log: %s.log: %s; trying again", n->service.name, strerror(-r));
	else if (r >= 0 && n->failing)
		logchannel_say(EVENT_NOTICE, node, "log: %s.log: works again", n->service.name);
}

/* Called with the lock held. */
static void write_chunk(struct logshare *share, size_t node)
{
	struct logged *n = &share->nodes[node];
	size_t size = logring_peek(n->ring, chunk), written = 0;
	int r;

	pthread_mutex_unlock(&share->lock);
	r = logfile_write(&n->file, directory, chunk, size, &written);
	tell(n, node, r);
	if (r == -ENOENT)	/* the directory was removed: the next process of this role makes a new one */
		_exit(1);
	pthread_mutex_lock(&share->lock);
	logring_drop(n->ring, written);
	n->failing = r < 0;
	n->retry_ms = r < 0 ? log_now_ms() + LOG_RETRY_MS : 0;
	if (r < 0)
		snprintf(n->why, sizeof(n->why), "%s", error_words(-r));
	if (written > 0)
		wake_readers(share);
}

/* True: something was written. *ret_due_ms: when to retry a failed write; 0: none failed. */
static bool one_round(struct logshare *share, int64_t *ret_due_ms)
{
	bool done = false;

	*ret_due_ms = 0;
	for (size_t i = 0; i < share->n_nodes; i++) {
		struct logged *n = &share->nodes[i];

		if (!n->ring || !n->ring->used)
			continue;
		if (n->retry_ms <= log_now_ms() || share->finish) {
			write_chunk(share, i);
			done = done || !n->failing;
		}
		if (n->failing && (!*ret_due_ms || n->retry_ms < *ret_due_ms))
			*ret_due_ms = n->retry_ms;
	}
	return done;
}

static void wait_for_work(struct logshare *share, int64_t due_ms)
{
	int64_t left_ms = due_ms ? due_ms - log_now_ms() : 0;
	struct timespec until;

	share->progress_ms = INT64_MAX;	/* an idle writer is not late */
	if (!due_ms) {
		pthread_cond_wait(&share->work, &share->lock);
	} else if (left_ms > 0) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += left_ms % 1000 * 1000000;
		until.tv_sec += left_ms / 1000 + until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&share->work, &share->lock, &until);
	}
	share->progress_ms = log_now_ms();
}

void *logwriter_run(void *with)
{
	struct logshare *share = with;
	int64_t due_ms;

	pthread_mutex_lock(&share->lock);
	if (open_directory(share)) {
		wake_readers(share);
		for (;;) {
			if (one_round(share, &due_ms))
				continue;
			if (share->finish)
				break;
			wait_for_work(share, due_ms);
		}
	}
	pthread_mutex_unlock(&share->lock);
	for (size_t i = 0; directory >= 0 && i < share->n_nodes; i++)
		if (share->nodes[i].ring)
			logfile_close(&share->nodes[i].file);
	if (directory >= 0)
		fsync(directory);
	return NULL;
}
