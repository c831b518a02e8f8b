/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A role's side of the report socket (include/gantry/report.h): events, progress, the result, and artifacts given and
 * taken. Every call is one whole datagram, so threads and forked workers may report too; only report_take() belongs to
 * one thread. A text that is too long is cut; if PID 1 has closed its end, the role continues, and report_result()
 * returns the error.
 */
#ifndef INIT_LIB_REPORT_H
#define INIT_LIB_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gantry/event.h>

/* A message event, printf-like, in one line without a full stop. */
void report_event(enum event_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same with fields: a NULL-ended array of "key=value" strings. Fields that no longer fit are left out whole. */
void report_fields(enum event_level level, const char *const fields[], const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Bytes done of total (0: unknown), bytes a second as the caller smoothed it, UINT32_MAX seconds: unknown. */
void report_progress(uint64_t done, uint64_t total, uint64_t per_second, uint32_t eta_s, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* The one-line reason of the role's end, good or bad. The last one counts. 0, or negative errno: not sent. */
int report_result(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, and there was nothing to do: the node is skipped, not done. */
int report_skipped(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Whether this process has reported a result yet. */
bool report_has_result(void);

/* One message of this kind (enum report_kind) with this body, at most REPORT_BODY_MAX bytes. 0 or negative errno. */
int report_send(int kind, const void *body, size_t size);

/*
 * Hands over an artifact: copies the bytes into a sealed memfd and sends it. 0 or negative errno. The caller keeps (and
 * wipes) its own bytes. Blocks only while the socket's buffer is full.
 */
int report_give(const char *artifact, const void *bytes, size_t size);

/*
 * Asks for an artifact and waits at most timeout_ms (negative: for ever; 0: only looks). 0: *ret_fd is a sealed
 * memfd of at most ARTIFACT_SIZE_MAX bytes, the caller's to close. -ENOENT: no node gives it any more. -ETIMEDOUT:
 * not yet; the request stands, so poll REPORT_FD for input beside other descriptors and call again with 0.
 * -EPIPE: PID 1 closed its end. -EBADMSG: the answer is malformed or the memfd is not sealed. An artifact can be taken
 * again after it was taken.
 */
int report_take(const char *artifact, int timeout_ms, int *ret_fd);

/* Moves the socket to the lowest free number from `least` on, for a program that wants REPORT_FD's. 0 or -errno. */
int report_move(int least);

/* PID 1 has closed its end: it no longer waits for this process. */
bool report_closed(void);

#endif
