/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * configfs-tsm gives each request its own directory; `generation` counts the writes to it, so a count other than our
 * own says that the quote may answer somebody else's bytes. Sources: Linux Documentation/ABI/testing/configfs-tsm,
 * Intel TDX module ABI (TDREPORT_STRUCT), Intel DCAP quote format version 4.
 */
#define _GNU_SOURCE
#include "tdx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "backoff.h"

#define QUOTE_HEADER_SIZE 48
#define QUOTE_BODY_SIZE   584
#define QUOTE_REPORTDATA  (QUOTE_HEADER_SIZE + 520)
#define QUOTE_AUTH_AT     (QUOTE_HEADER_SIZE + QUOTE_BODY_SIZE)
#define QUOTE_SIZE_MIN    0x3FC
#define TEE_TYPE_TDX      0x81
#define QUOTE_TRIES       3

struct report_request {
	uint8_t reportdata[TDX_REPORTDATA_SIZE];
	uint8_t report[TDX_REPORT_SIZE];
};

#define TDX_CMD_GET_REPORT0 _IOWR('T', 1, struct report_request)

bool tdx_report_valid(const void *bytes, size_t size)
{
	return size == TDX_REPORT_SIZE && ((const uint8_t *)bytes)[0] == TEE_TYPE_TDX;
}

bool tdx_quote_valid(const void *bytes, size_t size)
{
	const uint8_t *q = bytes;
	uint32_t auth;

	if (size < QUOTE_SIZE_MIN || size > TDX_QUOTE_MAX)
		return false;
	auth = (uint32_t)q[QUOTE_AUTH_AT] | (uint32_t)q[QUOTE_AUTH_AT + 1] << 8 | (uint32_t)q[QUOTE_AUTH_AT + 2] << 16 |
		(uint32_t)q[QUOTE_AUTH_AT + 3] << 24;
	if (q[0] != 4 || q[1] != 0 || q[4] != TEE_TYPE_TDX || q[5] || q[6] || q[7] || auth > size - QUOTE_AUTH_AT - 4)
		return false;
	for (size_t i = QUOTE_AUTH_AT + 4 + auth; i < size; i++) {
		if (q[i])
			return false;
	}
	return true;
}

const uint8_t *tdx_quote_reportdata(const void *quote)
{
	return (const uint8_t *)quote + QUOTE_REPORTDATA;
}

int tdx_get_report(const uint8_t reportdata[TDX_REPORTDATA_SIZE], uint8_t ret[TDX_REPORT_SIZE])
{
	_cleanup_(cleanup_close) int fd = open(TDX_DEVICE, O_RDWR | O_CLOEXEC);
	struct report_request request = {0};

	if (fd < 0)
		return errno == ENOENT || errno == ENXIO ? -ENODEV : -errno;
	memcpy(request.reportdata, reportdata, TDX_REPORTDATA_SIZE);
	if (ioctl(fd, TDX_CMD_GET_REPORT0, &request) < 0)
		return -errno;
	if (!tdx_report_valid(request.report, sizeof(request.report)))
		return -EIO;
	memcpy(ret, request.report, TDX_REPORT_SIZE);
	return 0;
}

/* One read(2) may give less than there is; configfs binary attributes are read to their end. */
static ssize_t read_attribute(int directory, const char *name, void *buffer, size_t size)
{
	_cleanup_(cleanup_close) int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	size_t used = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = read(fd, (char *)buffer + used, size - used);

		if (n < 0)
			return -errno;
		if (n == 0 || (used += (size_t)n) == size)
			return (ssize_t)used;
	}
}

static int write_attribute(int directory, const char *name, const void *bytes, size_t size)
{
	_cleanup_(cleanup_close) int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, bytes, size);
	/* A binary attribute takes effect when it is closed, and that is where a refusal comes out. */
	if (n == (ssize_t)size) {
		int closed = fd;

		fd = -1;
		return close(closed) < 0 ? -errno : 0;
	}
	return n < 0 ? -errno : -EIO;
}

static int check_text(int directory, const char *name, const char *expected, int otherwise)
{
	char text[64];
	ssize_t n = read_attribute(directory, name, text, sizeof(text) - 1);

	if (n < 0)
		return (int)n;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, expected) == 0 ? 0 : otherwise;
}

static int quote_in(int directory, const uint8_t *reportdata, uint8_t *quote, size_t *ret_size)
{
	ssize_t n;
	int r;

	r = check_text(directory, "provider", "tdx_guest", -EPROTO);
	if (r == 0)
		r = check_text(directory, "generation", "0", -EBUSY);
	if (r == 0)
		r = write_attribute(directory, "inblob", reportdata, TDX_REPORTDATA_SIZE);
	if (r < 0)
		return r;
	n = read_attribute(directory, "outblob", quote, TDX_QUOTE_MAX);
	if (n < 0)
		return (int)n;
	r = check_text(directory, "generation", "1", -EBUSY);
	if (r < 0)
		return r;
	if (!tdx_quote_valid(quote, (size_t)n) ||
	    memcmp(tdx_quote_reportdata(quote), reportdata, TDX_REPORTDATA_SIZE) != 0)
		return -EBADMSG;
	*ret_size = (size_t)n;
	return 0;
}

static int quote_once(const uint8_t *reportdata, uint8_t *quote, size_t *ret_size)
{
	_cleanup_(cleanup_close) int directory = -1;
	char path[128];
	int r;

	snprintf(path, sizeof(path), "%s/gantry-%d", TSM_REPORTS, (int)getpid());
	(void)rmdir(path);	/* left by a process of our number that was killed */
	if (mkdir(path, 0700) < 0)
		return errno == ENXIO || errno == EPERM ? -ENOENT : -errno;
	directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = directory < 0 ? -errno : quote_in(directory, reportdata, quote, ret_size);
	cleanup_close(&directory);
	directory = -1;
	(void)rmdir(path);
	return r;
}

int tdx_get_quote(const uint8_t reportdata[TDX_REPORTDATA_SIZE], uint8_t **ret, size_t *ret_size)
{
	struct backoff backoff = {.minimum_ms = 250, .maximum_ms = 2000};
	uint8_t *quote = malloc(TDX_QUOTE_MAX);
	int r = -ENOMEM;

	for (int i = 0; quote && i < QUOTE_TRIES; i++) {
		r = quote_once(reportdata, quote, ret_size);
		if (r != -EBUSY && r != -EINTR && r != -ETIMEDOUT)
			break;
		if (i + 1 < QUOTE_TRIES)
			time_wait_ms(backoff_next_ms(&backoff));
	}
	if (r < 0)
		free(quote);
	else
		*ret = quote;
	return r;
}

int tdx_extend_rtmr3(const uint8_t digest[TDX_RTMR_SIZE])
{
	_cleanup_(cleanup_close) int fd = open(TDX_RTMR3, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT || errno == EACCES ? -ENOENT : -errno;
	n = write(fd, digest, TDX_RTMR_SIZE);
	return n == TDX_RTMR_SIZE ? 0 : n < 0 ? -errno : -EIO;
}
