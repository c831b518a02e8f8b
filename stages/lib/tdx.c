/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * configfs-tsm gives each request its own directory; `generation` counts the writes to it, so another count than
 * ours means that the quote may be for bytes of another process. Directories there belong to root whoever made them.
 * Sources: Linux Documentation/ABI/testing/configfs-tsm, Intel TDX module ABI (TDREPORT_STRUCT), Intel DCAP quote
 * format version 4.
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

static int open_request(const char *name, uid_t user)
{
	_cleanup_(cleanup_close) int fd = -1;
	char path[128];
	int r;

	snprintf(path, sizeof(path), "%s/gantry-%.60s", TSM_REPORTS, name);
	(void)rmdir(path);
	if (mkdir(path, 0700) < 0)
		return errno == ENXIO || errno == EPERM ? -ENOENT : -errno;
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fchownat(fd, "inblob", user, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	r = fd;
	fd = -1;
	return r;
}

static int open_or_error(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void tdx_open(struct tdx *ret, const char *name, uid_t user)
{
	ret->device = open_or_error(TDX_DEVICE, O_RDWR);
	ret->rtmr3 = open_or_error(TDX_RTMR3, O_WRONLY);
	ret->request = name && ret->device >= 0 ? open_request(name, user) : -ENOENT;
}

void tdx_close(struct tdx *tdx)
{
	int *const fds[] = {&tdx->device, &tdx->rtmr3, &tdx->request};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -EBADF;
	}
}

int tdx_get_report(const struct tdx *tdx, const uint8_t reportdata[TDX_REPORTDATA_SIZE],
		   uint8_t ret[TDX_REPORT_SIZE])
{
	struct report_request request = {0};

	if (tdx->device < 0)
		return tdx->device == -ENOENT || tdx->device == -ENXIO ? -ENODEV : tdx->device;
	memcpy(request.reportdata, reportdata, TDX_REPORTDATA_SIZE);
	if (ioctl(tdx->device, TDX_CMD_GET_REPORT0, &request) < 0)
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

static int read_text(int directory, const char *name, char *ret, size_t size)
{
	ssize_t n = read_attribute(directory, name, ret, size - 1);

	if (n < 0)
		return (int)n;
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

/* The kernel's unsigned long, which begins anew after its last. */
static int read_generation(int directory, unsigned long *ret)
{
	char text[64], *end;
	int r = read_text(directory, "generation", text, sizeof(text));

	if (r < 0)
		return r;
	*ret = strtoul(text, &end, 10);
	return *end || !*text ? -EPROTO : 0;
}

static int quote_once(int directory, const uint8_t *reportdata, uint8_t *quote, size_t *ret_size)
{
	unsigned long before, after;
	char provider[64];
	ssize_t n;
	int r;

	r = read_text(directory, "provider", provider, sizeof(provider));
	if (r == 0 && strcmp(provider, "tdx_guest") != 0)
		r = -EPROTO;
	if (r == 0)
		r = read_generation(directory, &before);
	if (r == 0)
		r = write_attribute(directory, "inblob", reportdata, TDX_REPORTDATA_SIZE);
	if (r < 0)
		return r;
	n = read_attribute(directory, "outblob", quote, TDX_QUOTE_MAX);
	if (n < 0)
		return (int)n;
	r = read_generation(directory, &after);
	if (r < 0)
		return r;
	if (after != before + 1)
		return -EBUSY;
	if (!tdx_quote_valid(quote, (size_t)n) ||
	    memcmp(tdx_quote_reportdata(quote), reportdata, TDX_REPORTDATA_SIZE) != 0)
		return -EBADMSG;
	*ret_size = (size_t)n;
	return 0;
}

int tdx_get_quote(const struct tdx *tdx, const uint8_t reportdata[TDX_REPORTDATA_SIZE], uint8_t **ret,
		  size_t *ret_size)
{
	struct backoff backoff = {.minimum_ms = 250, .maximum_ms = 2000};
	uint8_t *quote;
	int r = -ENOMEM;

	if (tdx->request < 0)
		return tdx->request;
	quote = malloc(TDX_QUOTE_MAX);
	for (int i = 0; quote && i < QUOTE_TRIES; i++) {
		r = quote_once(tdx->request, reportdata, quote, ret_size);
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

int tdx_extend_rtmr3(const struct tdx *tdx, const uint8_t digest[TDX_RTMR_SIZE])
{
	ssize_t n;

	if (tdx->rtmr3 < 0)
		return tdx->rtmr3 == -EACCES ? -ENOENT : tdx->rtmr3;
	n = write(tdx->rtmr3, digest, TDX_RTMR_SIZE);
	return n == TDX_RTMR_SIZE ? 0 : n < 0 ? -errno : -EIO;
}
