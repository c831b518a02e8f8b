/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asks chronyd how well the clock is set: the TRACKING command of its monitoring protocol, version 6 (chrony's
 * candm.h), over the daemon's Unix socket or UDP on loopback. Building and reading the datagrams is apart from the
 * sockets. chronyd offers no notification: the caller polls.
 */
#ifndef STAGES_CLOCK_CHRONY_H
#define STAGES_CLOCK_CHRONY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHRONY_TRACKING_SIZE 104	/* of the reply; the request is filled up to it, so it cannot amplify */
#define CHRONY_ONLINE_SIZE   60		/* of the request; its reply has a head only */
#define CHRONY_SOCKET        "/run/chrony/chronyd.sock"

enum chrony_leap {
	CHRONY_LEAP_NORMAL,
	CHRONY_LEAP_INSERT,
	CHRONY_LEAP_DELETE,
	CHRONY_LEAP_UNSYNCHRONISED,
	CHRONY_LEAP_MAX,
};

struct chrony_tracking {
	uint32_t reference_id;
	char source[48];	/* the reference's address, or a reference clock's name; "": none (a local clock) */
	unsigned stratum;
	enum chrony_leap leap;
	double correction_s;	/* the system clock's offset, as chronyd estimates it */
	double last_offset_s;
	double root_delay_s;
	double root_dispersion_s;
};

/* The request datagrams. */
void chrony_format_tracking(uint32_t sequence, unsigned char ret[CHRONY_TRACKING_SIZE]);
void chrony_format_online(uint32_t sequence, unsigned char ret[CHRONY_ONLINE_SIZE]);

/* A reply to a command that has none but success: as below. */
int chrony_parse_done(const void *bytes, size_t size, uint32_t sequence);

/*
 * 0; -EPROTONOSUPPORT: another protocol version; -EPERM: chronyd refuses the command; -ESTALE: the answer to another
 * request; -EBADMSG: not such a reply.
 */
int chrony_parse_tracking(const void *bytes, size_t size, uint32_t sequence, struct chrony_tracking *ret);

/* leap is not 3 and a reference is set (neither 0 nor 127.127.1.1 without an address). */
bool chrony_has_reference(const struct chrony_tracking *tracking);

/* A clock of one's own to ask with: an absolute path, or "ADDRESS:PORT" for UDP (IPv4). */
struct chrony {
	int fd;
	uint32_t sequence;
	char own_path[108];	/* our end of a Unix socket, removed by chrony_close(); "" with UDP */
};

/* 0 or negative errno: -ENOENT, -ECONNREFUSED: chronyd is not there (yet). */
int chrony_open(const char *address, struct chrony *ret);
void chrony_close(struct chrony *chrony);

/*
 * Tells chronyd that all its sources can be reached now: those that its configuration marks `offline` are asked at
 * once, the others stay as they are. Only a Unix socket carries such a command (-EPERM with UDP).
 */
int chrony_online(struct chrony *chrony, int timeout_ms);

/* One question, one answer within timeout_ms, else -ETIMEDOUT; answers to earlier questions are passed over. */
int chrony_ask(struct chrony *chrony, int timeout_ms, struct chrony_tracking *ret);

#endif
