/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements body.h. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "body.h"
#include "init/lib/io.h"
#include "init/lib/loop.h"

#define FILES_MAX 4			/* uploads at once: each is in memory until it is complete */
#define PACE_NS   1000000000LL		/* over which the pace is measured */
#define SLOW      32768			/* bytes in that time */

static struct request *files[FILES_MAX];

/* Bytes in PACE_NS, lately; an upload that began less than that ago is not slow. */
static uint64_t pace(struct request *request)
{
	int64_t ns = loop_now_ns() - request->body_seen_ns;

	if (ns >= PACE_NS) {
		request->body_pace = (request->body_size - request->body_seen) * PACE_NS / (uint64_t)ns;
		request->body_seen = request->body_size;
		request->body_seen_ns += ns;
	}
	return request->body_pace;
}

static void leave(struct request *request)
{
	for (size_t i = 0; i < FILES_MAX; i++)
		if (files[i] == request)
			files[i] = NULL;
	close(request->body_fd);
	request->body_fd = -1;
}

/* A place for one more file, NULL: there is none. The slowest goes on sending, so that it gets its answer. */
static struct request **find_place(void)
{
	struct request **slowest = &files[0];

	for (size_t i = 0; i < FILES_MAX; i++) {
		if (!files[i])
			return &files[i];
		if (pace(files[i]) < pace(*slowest))
			slowest = &files[i];
	}
	if (pace(*slowest) >= SLOW)
		return NULL;
	(*slowest)->body_error = -EBUSY;
	leave(*slowest);
	return slowest;
}

static int begin_file(struct request *request)
{
	struct request **place = find_place();

	if (!place)
		return -EBUSY;
	request->body_fd = memfd_create("body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (request->body_fd < 0)
		return -errno;
	request->body_seen_ns = loop_now_ns();
	request->body_pace = UINT64_MAX;
	*place = request;
	return 0;
}

int body_begin(struct request *request)
{
	if (request->route->body == BODY_TEXT)
		request->text = (struct text)TEXT_GROWING(request->body_max + 1);
	return request->route->body == BODY_FILE ? begin_file(request) : 0;
}

void body_add(struct request *request, const char *bytes, size_t size)
{
	if (request->body_error)
		return;
	if (request->route->body == BODY_FILE) {
		request->body_error = io_write(request->body_fd, bytes, size);
		pace(request);
	}
	if (request->route->body != BODY_TEXT)
		return;
	text_add(&request->text, bytes, size);
	request->body_error = request->text.cut ? -ENOMEM : 0;
}

void body_end(struct request *request)
{
	if (request->body_fd >= 0)
		leave(request);
}
