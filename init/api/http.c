/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server: finds a request's route in the table it was given, has the credentials checked, keeps the body as the row
 * says, and calls the row's answer. It knows no route itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "access.h"
#include "http.h"
#include "init/lib/io.h"
#include "init/lib/loop.h"
#include "peer.h"
#include "request.h"
#include "stop.h"

#define POOL_SIZE     (16 * 1024)	/* of one connection: bounds the request's head */
#define BODY_MAX      (64 * 1024)	/* of a request; read and thrown away */
#define BODY_OVER     (64 * 1024)	/* read beyond the limit of a body without a length, so that 413 arrives */
#define BODY_FILES_MAX 4		/* uploads at once: each is in memory until it is complete */
#define RUNS_A_TURN   8

static struct MHD_Daemon *daemon_;
static struct loop_source epoll_source = LOOP_SOURCE_INIT;
static struct loop_timer run_timer;
static bool run_due;
static size_t n_body_files, n_requests;
static const struct route *routes;
static size_t n_routes;

/* ---- routing -------------------------------------------------------------------------------------------------- */

static enum MHD_Result not_found(struct request *request)
{
	return respond_constant(request, MHD_HTTP_NOT_FOUND, TYPE_TEXT, "404 page not found\n");
}

static enum MHD_Result wrong_method(struct request *request)
{
	struct MHD_Response *response = MHD_create_response_empty(MHD_RF_NONE);

	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, request->route->methods);
	return respond(request, MHD_HTTP_METHOD_NOT_ALLOWED, NULL, response);
}

/* For a path without a row: 404, but only after the check of the credentials. */
static const struct route no_route = {.access = ACCESS_READ, .answer = not_found};

/* The method as a word of the Allow header. */
static bool has_method(const struct route *route, const char *method)
{
	size_t n = strlen(method);

	for (const char *at = route->methods; at && (at = strstr(at, method)) != NULL; at += n)
		if ((at == route->methods || at[-1] == ' ') && (at[n] == ',' || !at[n]))
			return true;
	return !route->methods;
}

static const struct route *find_route(const char *path, const char **ret_name)
{
	for (size_t i = 0; i < n_routes; i++) {
		size_t n = strlen(routes[i].path);
		bool more = n > 1 && routes[i].path[n - 1] == '/';

		if (more ? strncmp(routes[i].path, path, n) || !path[n] || strchr(path + n, '/') :
			   strcmp(routes[i].path, path))
			continue;
		*ret_name = path + n;
		return &routes[i];
	}
	*ret_name = "";
	return &no_route;
}

static void take_route(struct request *request, const char *path)
{
	const struct route *route = find_route(path, &request->name);
	size_t max = route->body_max_of ? route->body_max_of(request->name) : route->body_max;

	request->route = route;
	request->allowed = has_method(route, request->method);
	request->body_max = max > 0 && request->allowed ? max : BODY_MAX;
}

/* ---- access --------------------------------------------------------------------------------------------------- */

static enum MHD_Result unauthorized(struct request *request)
{
	static const char body[] = "{\"code\":401,\"message\":\"Unauthorized\"}\n";
	struct MHD_Response *response = MHD_create_response_from_buffer_static(strlen(body), body);

	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Basic realm=\"system-api\"");
	return respond(request, MHD_HTTP_UNAUTHORIZED, TYPE_JSON, response);
}

static enum MHD_Result refuse(struct request *request, enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_DENIED:
		return unauthorized(request);
	case VERDICT_LOCKED:
		return respond_locked(request);
	case VERDICT_FOREIGN:
		return respond_error(request, MHD_HTTP_FORBIDDEN, "Request of another site refused");
	case VERDICT_LIMITED:
		return respond_error(request, MHD_HTTP_TOO_MANY_REQUESTS, "Too many wrong passwords, try again later");
	default:
		return respond_unavailable(request);
	}
}

/* ---- the request's body --------------------------------------------------------------------------------------- */

/* True if the announced body is too large to read; the connection ends with the answer. */
static bool is_too_large(struct request *request)
{
	const char *length = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_CONTENT_LENGTH);

	return length && strtoull(length, NULL, 10) > request->body_max;
}

static enum MHD_Result too_large(struct request *request)
{
	return request->route->body != BODY_IGNORED ?
	       respond_error(request, MHD_HTTP_CONTENT_TOO_LARGE, "Request body too large") :
	       respond_constant(request, MHD_HTTP_CONTENT_TOO_LARGE, TYPE_TEXT, "request body too large\n");
}

static void keep_body(struct request *request, const char *bytes, size_t size)
{
	if (request->body_error)
		return;
	if (request->route->body == BODY_FILE)
		request->body_error = io_write(request->body_fd, bytes, size);
	if (request->route->body != BODY_TEXT)
		return;
	text_add(&request->text, bytes, size);
	request->body_error = request->text.cut ? -ENOMEM : 0;
}

/* False: no room for the body. */
static bool prepare_body(struct request *request)
{
	if (request->route->body == BODY_TEXT)
		request->text = (struct text)TEXT_GROWING(request->body_max + 1);
	if (request->route->body != BODY_FILE)
		return true;
	if (n_body_files == BODY_FILES_MAX)
		return false;
	request->body_fd = memfd_create("body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	n_body_files += request->body_fd >= 0;
	return request->body_fd >= 0;
}

/* ---- the server ----------------------------------------------------------------------------------------------- */

/* Once for each request before its body is read, and again after a wait for the credentials' check. */
static enum MHD_Result take_head(struct request *request)
{
	enum verdict verdict = access_check(request);

	if (verdict == VERDICT_WAIT)
		return MHD_YES;
	request->admitted = true;
	request->asked = false;	/* a wait for the check was not the answer's */
	if (verdict != VERDICT_ALLOWED)
		return refuse(request, verdict);
	if (is_too_large(request))
		return too_large(request);
	if (!prepare_body(request))
		return respond_unavailable(request);
	peer_state(connection_fd(request->connection), LINK_BODY);
	return MHD_YES;
}

static struct request *begin(struct MHD_Connection *connection, const char *url, const char *method)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	n_requests++;
	request->connection = connection;
	request->method = method;
	request->body_fd = -1;
	take_route(request, url);
	peer_state(connection_fd(connection), LINK_ANSWER);
	return request;
}

/* Called with the head, then with each piece of a body, then at the end, and again after a resume. */
static enum MHD_Result handle(void *with, struct MHD_Connection *connection, const char *url, const char *method,
			      const char *version, const char *body, size_t *body_size, void **request_with)
{
	struct request *request = *request_with;

	(void)with;
	(void)version;
	if (!request) {
		request = begin(connection, url, method);
		*request_with = request;
		return request ? take_head(request) : MHD_NO;
	}
	if (!request->admitted)
		return take_head(request);
	if (*body_size > 0) {
		request->body_size += *body_size;
		if (request->body_size <= request->body_max)
			keep_body(request, body, *body_size);
		*body_size = 0;
		return request->body_size > request->body_max + BODY_OVER ? MHD_NO : MHD_YES;
	}
	peer_state(connection_fd(connection), LINK_ANSWER);
	if (request->body_size > request->body_max)
		return too_large(request);
	return request->allowed ? request->route->answer(request) : wrong_method(request);
}

static void completed(void *with, struct MHD_Connection *connection, void **request_with,
		      enum MHD_RequestTerminationCode code)
{
	struct request *request = *request_with;

	(void)with;
	(void)code;
	peer_state(connection_fd(connection), LINK_HEAD);
	if (!request)
		return;
	if (request->kept)
		request->release(request->kept);
	if (request->body_fd >= 0) {
		close(request->body_fd);
		n_body_files--;
	}
	free(request->text.bytes);
	free(request);
	*request_with = NULL;
	n_requests--;
	stop_check();
}

bool http_idle(void)
{
	return n_requests == 0;
}

static void discard_log(void *with, const char *fmt, va_list args)
{
	(void)with;
	(void)fmt;
	(void)args;
}

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

	run_due |= requests_resumed();
	for (int i = 0; i < RUNS_A_TURN && run_due; i++) {
		run_due = false;
		MHD_run(daemon_);
		if (MHD_get_timeout(daemon_, &timeout_ms) != MHD_YES)
			loop_disarm(&run_timer);
		else if (timeout_ms == 0)
			run_due = true;
		else
			loop_arm(&run_timer, loop_now_ns() + (int64_t)timeout_ms * 1000000);
		run_due |= requests_resumed();
	}
	if (run_due)
		loop_arm(&run_timer, loop_now_ns());
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. %00 stays as it is: decoded it would end a path before its end. */
static size_t unescape(void *with, struct MHD_Connection *connection, char *text)
{
	char *out = text;

	(void)with;
	(void)connection;
	for (const char *at = text; *at; at++) {
		int high = *at == '%' ? hex(at[1]) : -1, low = high < 0 ? -1 : hex(at[2]);
		bool escape = low >= 0 && (high | low) != 0;

		*out++ = escape ? (char)(high << 4 | low) : *at;
		at += escape ? 2 : 0;
	}
	*out = '\0';
	return (size_t)(out - text);
}

int http_init(size_t connections, const struct route *table, size_t n)
{
	const union MHD_DaemonInfo *info;

	routes = table;
	n_routes = n;
	daemon_ = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
				   MHD_USE_ERROR_LOG, 0, NULL, NULL, handle, NULL,
				   MHD_OPTION_EXTERNAL_LOGGER, discard_log, NULL,
				   MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
				   MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
				   MHD_OPTION_CONNECTION_LIMIT, (unsigned)connections + 16,
				   MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_SIZE,
				   MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
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
