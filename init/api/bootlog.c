/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements bootlog.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gantry/control.h>

#include "../loop.h"
#include "bootlog.h"
#include "pid1.h"

#define PIECE_SIZE 8192

/* Belongs to the request until there is a response, then to that. */
struct bootlog {
	struct loop_source source;	/* our end */
	struct request *request;
	bool json;
	bool waiting;			/* suspended until something comes */
	bool begun;			/* PID 1 has answered */
	bool closed;			/* nothing more comes, but PID 1's answer may: it closes what it refuses */
	bool orphan;			/* nobody wants it any more, but PID 1 will still answer */
	int64_t result;
};

static void destroy(void *with)
{
	struct bootlog *b = with;
	int fd = b->source.fd;

	loop_remove(&b->source);
	if (fd >= 0)
		close(fd);
	b->orphan = true;
	if (b->begun)
		free(b);
}

static void wake(struct bootlog *b)
{
	if (!b->waiting)
		return;
	b->waiting = false;
	loop_want(&b->source, 0);
	request_resume(b->request);
}

static void ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	loop_want(source, 0);
	wake((struct bootlog *)source);
}

static void begun(void *with, int64_t result)
{
	struct bootlog *b = with;

	b->begun = true;
	b->result = result;
	if (b->orphan)
		free(b);
	else if (result <= 0 || b->closed)
		wake(b);
}

static void wait_for_more(struct bootlog *b)
{
	b->waiting = true;
	request_suspend(b->request);
	loop_want(&b->source, EPOLLIN);
}

static ssize_t read_more(void *with, uint64_t position, char *out, size_t room)
{
	struct bootlog *b = with;
	ssize_t n = recv(b->source.fd, out, room, MSG_DONTWAIT);

	(void)position;
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		wait_for_more(b);
		return 0;
	}
	return n == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct bootlog *ask(struct request *request, const struct filter *filter, bool json)
{
	struct bootlog_request what = {.filter = *filter, .json = json};
	struct bootlog *b = calloc(1, sizeof(*b));
	int pair[2];

	if (!b || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		free(b);
		return NULL;
	}
	*b = (struct bootlog){.source = {.fd = -1, .ready = ready}, .request = request, .json = json};
	if (send(pair[0], &what, sizeof(what), MSG_NOSIGNAL) != sizeof(what) || loop_add(&b->source, pair[0], 0) < 0 ||
	    pid1_act(CONTROL_BOOT_LOG, "", 0, pair[1], begun, b) < 0) {
		loop_remove(&b->source);
		close(pair[0]);
		free(b);
		b = NULL;
	}
	close(pair[1]);
	return b;
}

static enum MHD_Result respond_found(struct request *request, struct bootlog *b)
{
	struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE_SIZE, read_more, b,
									  destroy);

	if (!response)
		return respond_unavailable(request);
	request->bootlog = NULL;
	return respond(request, MHD_HTTP_OK, b->json ? TYPE_JSON : TYPE_TEXT, response);
}

enum MHD_Result answer_boot_log(struct request *request, const struct filter *filter, bool json)
{
	struct bootlog *b = request->bootlog;
	char found;
	ssize_t n;

	if (!b) {
		b = ask(request, filter, json);
		if (!b)
			return respond_unavailable(request);
		request->bootlog = b;
		request->release = destroy;
		wait_for_more(b);
		return MHD_YES;
	}
	if (b->begun && b->result < 0 && b->result != -ENOENT)
		return respond_unavailable(request);
	n = b->begun && b->result < 0 ? 0 : recv(b->source.fd, &found, 1, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		wait_for_more(b);
		return MHD_YES;
	}
	if (n <= 0 && !b->begun) {
		b->closed = b->waiting = true;
		return request_suspend(request);
	}
	if (n == 1 && found == BOOTLOG_FOUND)
		return respond_found(request, b);
	if ((n == 1 && found == BOOTLOG_NONE) || b->result == -ENOENT)
		return respond_error(request, MHD_HTTP_NOT_FOUND, "No such boot in the log");
	return respond_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "Failed to read the log");
}
