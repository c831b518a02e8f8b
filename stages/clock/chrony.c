/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Offsets and numbers are those of chrony's candm.h, protocol version 6. All fields are big-endian; a float is a
 * 7-bit exponent above a 25-bit coefficient, both signed, with value = coefficient * 2^(exponent - 25).
 */
#define _GNU_SOURCE
#include "chrony.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "stages/lib/backoff.h"

#define VERSION           6
#define PACKET_REQUEST    1
#define PACKET_REPLY      2
#define COMMAND_ONLINE    1
#define COMMAND_TRACKING  33
#define REPLY_NULL        1
#define REPLY_TRACKING    5
#define STATUS_SUCCESS    0
#define STATUS_UNAUTH     2
#define STATUS_VERSION    18	/* bad packet version */
#define REPLY_HEAD_SIZE   28

enum {
	AT_VERSION = 0, AT_PACKET = 1, AT_COMMAND = 4, AT_REPLY = 6, AT_REQUEST_SEQUENCE = 8, AT_STATUS = 8,
	AT_SEQUENCE = 16, AT_REFERENCE = 28, AT_ADDRESS = 32, AT_FAMILY = 48, AT_STRATUM = 52, AT_LEAP = 54,
	AT_CORRECTION = 68, AT_LAST_OFFSET = 72, AT_ROOT_DELAY = 92, AT_ROOT_DISPERSION = 96,
};

static uint16_t get16(const unsigned char *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static double get_float(const unsigned char *p)
{
	uint32_t x = get32(p);
	int exponent = (int)(x >> 25), coefficient = (int)(x & 0x1FFFFFF);
	double value;

	if (exponent >= 64)
		exponent -= 128;
	if (coefficient >= 1 << 24)
		coefficient -= 1 << 25;
	value = coefficient;
	for (exponent -= 25; exponent > 0; exponent--)
		value *= 2;
	for (; exponent < 0; exponent++)
		value /= 2;
	return value;
}

static void format_request(unsigned char command, uint32_t sequence, unsigned char *ret, size_t size)
{
	memset(ret, 0, size);
	ret[AT_VERSION] = VERSION;
	ret[AT_PACKET] = PACKET_REQUEST;
	ret[AT_COMMAND + 1] = command;
	for (int i = 0; i < 4; i++)
		ret[AT_REQUEST_SEQUENCE + i] = (unsigned char)(sequence >> (24 - 8 * i));
}

void chrony_format_tracking(uint32_t sequence, unsigned char ret[CHRONY_TRACKING_SIZE])
{
	format_request(COMMAND_TRACKING, sequence, ret, CHRONY_TRACKING_SIZE);
}

/* Mask and address of no family: all sources. */
void chrony_format_online(uint32_t sequence, unsigned char ret[CHRONY_ONLINE_SIZE])
{
	format_request(COMMAND_ONLINE, sequence, ret, CHRONY_ONLINE_SIZE);
}

static int parse_head(const unsigned char *p, size_t size, uint32_t sequence, unsigned command, unsigned reply)
{
	if (size < REPLY_HEAD_SIZE || p[AT_PACKET] != PACKET_REPLY)
		return -EBADMSG;
	if (get32(p + AT_SEQUENCE) != sequence)
		return -ESTALE;
	if (p[AT_VERSION] != VERSION || get16(p + AT_STATUS) == STATUS_VERSION)
		return -EPROTONOSUPPORT;
	if (get16(p + AT_STATUS) == STATUS_UNAUTH)
		return -EPERM;
	return get16(p + AT_STATUS) == STATUS_SUCCESS && get16(p + AT_COMMAND) == command &&
		get16(p + AT_REPLY) == reply ? 0 : -EBADMSG;
}

int chrony_parse_done(const void *bytes, size_t size, uint32_t sequence)
{
	return parse_head(bytes, size, sequence, COMMAND_ONLINE, REPLY_NULL);
}

/* Of a reference clock: four characters at most, as its driver or `refid` says ("PHC0"). Those of no text: "". */
static void read_refid(const unsigned char *p, char *ret)
{
	size_t n = 0;

	while (n < 4 && p[n] > 0x20 && p[n] < 0x7f)
		n++;
	for (size_t i = n; i < 4; i++)
		if (p[i])
			n = 0;
	memcpy(ret, p, n);
	ret[n] = '\0';
}

int chrony_parse_tracking(const void *bytes, size_t size, uint32_t sequence, struct chrony_tracking *ret)
{
	const unsigned char *p = bytes;
	struct chrony_tracking t = {0};
	int r = parse_head(p, size, sequence, COMMAND_TRACKING, REPLY_TRACKING);

	if (r < 0)
		return r;
	if (size != CHRONY_TRACKING_SIZE)
		return -EBADMSG;
	t.reference_id = get32(p + AT_REFERENCE);
	switch (get16(p + AT_FAMILY)) {
	case 0:
		read_refid(p + AT_REFERENCE, t.source);
		break;
	case 1:
		inet_ntop(AF_INET, p + AT_ADDRESS, t.source, sizeof(t.source));
		break;
	case 2:
		inet_ntop(AF_INET6, p + AT_ADDRESS, t.source, sizeof(t.source));
		break;
	default:
		return -EBADMSG;
	}
	if (get16(p + AT_LEAP) >= CHRONY_LEAP_MAX)
		return -EBADMSG;
	t.stratum = get16(p + AT_STRATUM);
	t.leap = get16(p + AT_LEAP);
	t.correction_s = get_float(p + AT_CORRECTION);
	t.last_offset_s = get_float(p + AT_LAST_OFFSET);
	t.root_delay_s = get_float(p + AT_ROOT_DELAY);
	t.root_dispersion_s = get_float(p + AT_ROOT_DISPERSION);
	*ret = t;
	return 0;
}

bool chrony_has_reference(const struct chrony_tracking *t)
{
	return t->leap != CHRONY_LEAP_UNSYNCHRONISED &&
		(t->source[0] || (t->reference_id != 0 && t->reference_id != 0x7F7F0101));
}

static int open_unix(const char *path, struct chrony *c)
{
	struct sockaddr_un own = {.sun_family = AF_UNIX}, server = {.sun_family = AF_UNIX};
	const char *slash = strrchr(path, '/');
	int n;

	n = snprintf(own.sun_path, sizeof(own.sun_path), "%.*s/gantry-clock.%d.sock", (int)(slash - path), path,
		     (int)getpid());
	if ((size_t)n >= sizeof(own.sun_path) || strlen(path) >= sizeof(server.sun_path))
		return -ENAMETOOLONG;
	strcpy(server.sun_path, path);
	c->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	/* chronyd answers to a name only; it may run as another user, hence the mode. */
	unlink(own.sun_path);
	if (bind(c->fd, (struct sockaddr *)&own, sizeof(own)) < 0)
		return -errno;
	memcpy(c->own_path, own.sun_path, sizeof(c->own_path));
	if (chmod(own.sun_path, 0666) < 0 || connect(c->fd, (struct sockaddr *)&server, sizeof(server)) < 0)
		return -errno;
	return 0;
}

static int open_udp(const char *address, struct chrony *c)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	char host[64];
	const char *colon = strrchr(address, ':');
	unsigned long port;
	char *end;

	if (!colon || (size_t)(colon - address) >= sizeof(host))
		return -EINVAL;
	memcpy(host, address, (size_t)(colon - address));
	host[colon - address] = '\0';
	port = strtoul(colon + 1, &end, 10);
	if (*end || port == 0 || port > 65535 || inet_pton(AF_INET, host, &server.sin_addr) != 1)
		return -EINVAL;
	server.sin_port = htons((uint16_t)port);
	c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&server, sizeof(server)) < 0)
		return -errno;
	return 0;
}

int chrony_open(const char *address, struct chrony *ret)
{
	struct chrony c = {.fd = -1, .sequence = (uint32_t)time_now_ms()};
	int r = address[0] == '/' ? open_unix(address, &c) : open_udp(address, &c);

	if (r < 0)
		chrony_close(&c);
	else
		*ret = c;
	return r;
}

void chrony_close(struct chrony *c)
{
	cleanup_close(&c->fd);
	c->fd = -1;
	if (c->own_path[0])
		unlink(c->own_path);
	c->own_path[0] = '\0';
}

/* Sends, then waits for the datagram that `parse` does not find stale. */
static int exchange(struct chrony *c, const unsigned char *request, size_t size, int timeout_ms,
		    int (*parse)(const void *bytes, size_t size, uint32_t sequence, void *ret), void *ret)
{
	unsigned char reply[1024];
	int64_t end = time_now_ms() + timeout_ms;
	ssize_t n;
	int r;

	if (send(c->fd, request, size, MSG_NOSIGNAL) < 0)
		return -errno;
	for (;;) {
		struct pollfd p = {.fd = c->fd, .events = POLLIN};
		int64_t left = end - time_now_ms();

		r = poll(&p, 1, left > 0 ? (int)left : 0);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0)
			return -ETIMEDOUT;
		n = recv(c->fd, reply, sizeof(reply), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return -errno;
		r = parse(reply, (size_t)n, c->sequence, ret);
		if (r != -ESTALE)
			return r;
	}
}

static int parse_done(const void *bytes, size_t size, uint32_t sequence, void *ret)
{
	(void)ret;
	return chrony_parse_done(bytes, size, sequence);
}

int chrony_online(struct chrony *c, int timeout_ms)
{
	unsigned char request[CHRONY_ONLINE_SIZE];

	chrony_format_online(++c->sequence, request);
	return exchange(c, request, sizeof(request), timeout_ms, parse_done, NULL);
}

static int parse_tracking(const void *bytes, size_t size, uint32_t sequence, void *ret)
{
	return chrony_parse_tracking(bytes, size, sequence, ret);
}

int chrony_ask(struct chrony *c, int timeout_ms, struct chrony_tracking *ret)
{
	unsigned char request[CHRONY_TRACKING_SIZE];

	chrony_format_tracking(++c->sequence, request);
	return exchange(c, request, sizeof(request), timeout_ms, parse_tracking, ret);
}
