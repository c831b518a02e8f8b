/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements bootlog.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gantry/control.h>

#include "answers.h"
#include "bootlog.h"
#include "init/lib/loop.h"
#include "init/show/logback.h"
#include "pid1.h"

#define PIECE_SIZE 8192
#define LINES      100	/* unless the client says how many */
#define LINES_MAX  LOGBACK_LINES_MAX

/* Belongs to the request until there is a response, then to that. */
struct bootlog {
	struct loop_source source;	/* our end */
	struct request *request;
	bool json;
	bool waiting;			/* suspended until there is data */
	bool begun;			/* PID 1 has answered */
	bool closed;			/* end of file; PID 1's answer may follow, since it closes a refused socket */
	bool orphan;			/* the request is over, but PID 1 will still answer */
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

/* Sends `what` first. */
static struct bootlog *ask(struct request *request, enum control_kind kind, const char *name, const void *what,
			   size_t size, bool json)
{
	struct bootlog *b = calloc(1, sizeof(*b));
	int pair[2];

	if (!b || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		free(b);
		return NULL;
	}
	*b = (struct bootlog){.source = {.fd = -1, .ready = ready}, .request = request, .json = json};
	if (send(pair[0], what, size, MSG_NOSIGNAL) != (ssize_t)size || loop_add(&b->source, pair[0], 0) < 0 ||
	    pid1_act(kind, name, strlen(name), pair[1], begun, b) < 0) {
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
	request->kept = NULL;
	return respond(request, MHD_HTTP_OK, b->json ? TYPE_JSON : TYPE_TEXT, response);
}

static enum MHD_Result begin(struct request *request, struct bootlog *b)
{
	if (!b)
		return respond_unavailable(request);
	request->kept = b;
	request->release = destroy;
	wait_for_more(b);
	return MHD_YES;
}

/* Data has arrived, or PID 1 has answered. none: the message if the log does not exist. */
static enum MHD_Result go_on(struct request *request, const char *none)
{
	struct bootlog *b = request->kept;
	char found;
	ssize_t n;

	if (b->begun && b->result == -EDQUOT)
		return respond_too_many(request);
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
		return respond_error(request, MHD_HTTP_NOT_FOUND, none);
	return respond_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "Failed to read the log");
}

enum MHD_Result answer_boot_log(struct request *request, const struct filter *filter, bool json)
{
	struct bootlog_request what = {.filter = *filter, .json = json};

	return request->kept ? go_on(request, "No such boot in the log") :
	       begin(request, ask(request, CONTROL_BOOT_LOG, "", &what, sizeof(what), json));
}

/* The argument `lines`. False: malformed. */
static bool take_lines(struct request *request, uint32_t *ret)
{
	size_t size;
	const char *value = request_argument(request, "lines", &size);

	*ret = size > 0 ? 0 : LINES;
	for (size_t i = 0; i < size; i++) {
		if (value[i] < '0' || value[i] > '9' || i == 6)
			return false;
		*ret = *ret * 10 + (uint32_t)(value[i] - '0');
	}
	return *ret >= 1 && *ret <= LINES_MAX;
}

enum MHD_Result answer_service_log(struct request *request)
{
	uint32_t lines;

	if (request->kept)
		return go_on(request, "No log for this service");
	if (!take_lines(request, &lines))
		return respond_error(request, MHD_HTTP_BAD_REQUEST, "Malformed argument: lines");
	return begin(request, ask(request, CONTROL_SERVICE_LOG, request->name, &lines, sizeof(lines), false));
}
