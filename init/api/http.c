/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Routes. The older System API's are kept to the letter (docs/system-api.md); a table says which path takes which
 * method. Answers that need PID 1 suspend the request until it has spoken; long ones are written piece by piece from
 * a cursor into the event ring, so their memory does not grow with their length.
 */
#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "../eventtext.h"
#include "../loop.h"
#include "../status.h"
#include "../text.h"
#include "conn.h"
#include "http.h"
#include "pid1.h"

#define POOL_SIZE     (16 * 1024)	/* of one connection: bounds the request's head */
#define BODY_MAX      (64 * 1024)	/* of a request; read and thrown away */
#define PIECE_SIZE    8192
#define RUNS_A_TURN   8

#define JSON "application/json"
#define TEXT "text/plain; charset=utf-8"

struct request {
	const struct route *route;
	struct MHD_Connection *connection;
	size_t body_size;
	bool suspended, asked;
	int result;		/* of what PID 1 was asked */
	struct text text;	/* the status document */
};

struct route {
	const char *path;
	const char *method;
	enum MHD_Result (*answer)(struct request *request);
};

static struct MHD_Daemon *daemon_;
static struct loop_source epoll_source = LOOP_SOURCE_INIT;
static struct loop_timer run_timer;
static bool run_due;

/* ---- answers -------------------------------------------------------------------------------------------------- */

static enum MHD_Result respond(struct request *request, unsigned code, const char *type,
			       struct MHD_Response *response)
{
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	if (type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	r = MHD_queue_response(request->connection, code, response);
	MHD_destroy_response(response);
	return r;
}

/* body must be a constant. */
static enum MHD_Result respond_constant(struct request *request, unsigned code, const char *type, const char *body)
{
	return respond(request, code, type, MHD_create_response_from_buffer_static(strlen(body), body));
}

static enum MHD_Result not_found(struct request *request)
{
	return respond_constant(request, MHD_HTTP_NOT_FOUND, TEXT, "404 page not found\n");
}

static enum MHD_Result wrong_method(struct request *request)
{
	struct MHD_Response *response = MHD_create_response_empty(MHD_RF_NONE);

	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, request->route->method);
	return respond(request, MHD_HTTP_METHOD_NOT_ALLOWED, NULL, response);
}

static enum MHD_Result unavailable(struct request *request)
{
	return respond_constant(request, MHD_HTTP_SERVICE_UNAVAILABLE, JSON,
				"{\"code\":503,\"message\":\"Gantry's PID 1 is busy, try again\"}\n");
}

static enum MHD_Result answer_alive(struct request *request)
{
	return respond_constant(request, MHD_HTTP_OK, JSON, "{\"status\":\"ok\"}\n");
}

/* ---- events --------------------------------------------------------------------------------------------------- */

struct listing {
	uint64_t next, last;
	bool json, begun, ended;
	size_t done;
	struct text text;		/* the piece under way */
	char bytes[EVENT_JSON_MAX + 2];
};

/* Puts the next event, or the end, into the listing's text. False: nothing is left. */
static bool next_piece(struct listing *l)
{
	char record[EVENT_RECORD_MAX];
	struct event_view e;
	uint64_t seq = l->next;
	size_t size = l->next <= l->last ? ring_read(pid1_events(), &seq, record) : 0;

	l->done = l->text.size = 0;
	l->text.cut = false;
	if (size > 0 && seq <= l->last && event_view(&e, record, size) == 0) {
		l->next = seq + 1;
		if (l->json) {
			text_put(&l->text, l->begun ? "," : "[");
			event_json(&l->text, &e);
		} else {
			event_text_line(&l->text, &e);
		}
		l->begun = true;
		return true;
	}
	if (l->ended)
		return false;
	l->ended = true;
	l->next = l->last + 1;
	if (l->json)
		text_put(&l->text, l->begun ? "]\n" : "[]\n");
	return l->json;
}

static ssize_t read_listing(void *with, uint64_t position, char *out, size_t room)
{
	struct listing *l = with;
	size_t used = 0;

	(void)position;
	while (used < room) {
		size_t n = l->text.size - l->done;

		if (n == 0) {
			if (!next_piece(l))
				break;
			continue;
		}
		n = n < room - used ? n : room - used;
		memcpy(out + used, l->text.bytes + l->done, n);
		l->done += n;
		used += n;
	}
	return used > 0 ? (ssize_t)used : MHD_CONTENT_READER_END_OF_STREAM;
}

static enum MHD_Result list_events(struct request *request, bool json)
{
	struct listing *l = malloc(sizeof(*l));

	if (!l)
		return unavailable(request);
	l->next = 1;
	l->last = pid1_events()->last;
	l->json = json;
	l->begun = l->ended = false;
	l->done = 0;
	l->text = (struct text)TEXT_FIXED(l->bytes);
	return respond(request, MHD_HTTP_OK, json ? JSON : TEXT,
		       MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE_SIZE, read_listing, l, free));
}

static const char *argument(struct request *request, const char *name, size_t *ret_size)
{
	const char *value = NULL;

	*ret_size = 0;
	if (MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value,
					  ret_size) != MHD_YES || !value)
		return "";
	return value;
}

static enum MHD_Result answer_events(struct request *request)
{
	size_t size;
	const char *format = argument(request, "format", &size);

	return list_events(request, size != 4 || memcmp(format, "text", 4) != 0);
}

static enum MHD_Result answer_logs(struct request *request)
{
	return list_events(request, false);
}

/* ---- what PID 1 is asked -------------------------------------------------------------------------------------- */

static void resume(struct request *request)
{
	request->suspended = false;
	MHD_resume_connection(request->connection);
	run_due = true;
}

static enum MHD_Result suspend(struct request *request)
{
	request->suspended = request->asked = true;
	MHD_suspend_connection(request->connection);
	return MHD_YES;
}

static void posted(void *with, int result)
{
	struct request *request = with;

	request->result = result;
	resume(request);
}

static enum MHD_Result answer_new_event(struct request *request)
{
	size_t size;
	const char *message;

	if (request->asked)
		return request->result < 0 ? unavailable(request) :
		       respond(request, MHD_HTTP_OK, NULL, MHD_create_response_empty(MHD_RF_NONE));
	message = argument(request, "message", &size);
	if (pid1_post(EVENT_INFO, true, message, size, posted, request) < 0)
		return unavailable(request);
	return suspend(request);
}

static void collected(void *with, const struct status *status)
{
	struct request *request = with;

	request->result = -EIO;
	if (status) {
		request->text = (struct text)TEXT_GROWING(STATUS_JSON_MAX);
		status_json(&request->text, status);
		request->result = request->text.cut ? -ENOMEM : 0;
	}
	resume(request);
}

static enum MHD_Result answer_status(struct request *request)
{
	enum MHD_Result r;

	if (!request->asked)
		return pid1_status(collected, request) < 0 ? unavailable(request) : suspend(request);
	if (request->result < 0)
		return unavailable(request);
	r = respond(request, MHD_HTTP_OK, JSON, MHD_create_response_from_buffer_with_free_callback(
			request->text.size, request->text.bytes, free));
	request->text = (struct text){0};
	return r;
}

/* ---- routing -------------------------------------------------------------------------------------------------- */

static const struct route routes[] = {
	{"/", "GET", answer_alive},
	{"/livez", "GET", answer_alive},
	{"/logs", "GET", answer_logs},
	{"/api/v1/events", "GET", answer_events},
	{"/api/v1/new_event", "GET", answer_new_event},
	{"/api/v1/status", "GET", answer_status},
};

static const struct route *find_route(const char *path)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++)
		if (strcmp(routes[i].path, path) == 0)
			return &routes[i];
	return NULL;
}

static enum MHD_Result answer(struct request *request, const char *method)
{
	if (!request->route)
		return not_found(request);
	if (strcmp(request->route->method, method) != 0)
		return wrong_method(request);
	return request->route->answer(request);
}

static int http_fd(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

/* True if a body follows that is not worth reading: its connection ends with our answer. */
static bool body_too_large(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return length && strtoull(length, NULL, 10) > BODY_MAX;
}

/* Called with the head, then with each piece of a body, then at the end, and again after a resume. */
static enum MHD_Result handle(void *with, struct MHD_Connection *connection, const char *url, const char *method,
			      const char *version, const char *body, size_t *body_size, void **request_with)
{
	struct request *request = *request_with;

	(void)with;
	(void)version;
	(void)body;
	if (!request) {
		request = calloc(1, sizeof(*request));
		if (!request)
			return MHD_NO;
		*request_with = request;
		request->connection = connection;
		request->route = find_route(url);
		conn_request_began(http_fd(connection));
		return body_too_large(connection) ? respond_constant(request, MHD_HTTP_CONTENT_TOO_LARGE, TEXT,
				"request body too large\n") : MHD_YES;
	}
	if (*body_size > 0) {
		request->body_size += *body_size;
		*body_size = 0;
		return request->body_size > BODY_MAX ? MHD_NO : MHD_YES;
	}
	return answer(request, method);
}

static void completed(void *with, struct MHD_Connection *connection, void **request_with,
		      enum MHD_RequestTerminationCode code)
{
	struct request *request = *request_with;

	(void)with;
	(void)code;
	conn_request_ended(http_fd(connection));
	if (!request)
		return;
	free(request->text.bytes);
	free(request);
	*request_with = NULL;
}

static void discard_log(void *with, const char *fmt, va_list args)
{
	(void)with;
	(void)fmt;
	(void)args;
}

/* ---- the server ----------------------------------------------------------------------------------------------- */

int http_serve(int fd, const struct sockaddr *peer, socklen_t peer_size)
{
	run_due = true;
	return MHD_add_connection(daemon_, fd, peer, peer_size) == MHD_YES ? 0 : -EIO;	/* closes fd itself */
}

static void ready(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
	run_due = true;
}

static void fire(struct loop_timer *timer)
{
	(void)timer;
	run_due = true;
}

void http_run(void)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	for (int i = 0; i < RUNS_A_TURN && run_due; i++) {
		run_due = false;
		MHD_run(daemon_);
		if (MHD_get_timeout(daemon_, &timeout_ms) != MHD_YES)
			loop_disarm(&run_timer);
		else if (timeout_ms == 0)
			run_due = true;
		else
			loop_arm(&run_timer, loop_now_ns() + (int64_t)timeout_ms * 1000000);
	}
	if (run_due)
		loop_arm(&run_timer, loop_now_ns());
}

int http_init(void)
{
	const union MHD_DaemonInfo *info;

	daemon_ = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
				   MHD_USE_ERROR_LOG, 0, NULL, NULL, handle, NULL,
				   MHD_OPTION_EXTERNAL_LOGGER, discard_log, NULL,
				   MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
				   MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONN_MAX + 16,
				   MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_SIZE,
				   MHD_OPTION_END);
	if (!daemon_)
		return -EIO;
	info = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return -EIO;
	epoll_source.ready = ready;
	run_timer.fire = fire;
	return loop_add(&epoll_source, info->epoll_fd, EPOLLIN);
}
