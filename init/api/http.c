/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server and its routes: a table says which path takes which method and what a client must be allowed to do; the
 * answers are in files of their own. The older System API's routes are kept to the letter (docs/system-api.md).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "access.h"
#include "acts.h"
#include "bootlog.h"
#include "http.h"
#include "init/lib/loop.h"
#include "peer.h"
#include "request.h"
#include "stop.h"

#define POOL_SIZE     (16 * 1024)	/* of one connection: bounds the request's head */
#define BODY_MAX      (64 * 1024)	/* of a request; read and thrown away */
#define BODY_OVER     (64 * 1024)	/* of one without a length that is too large: read, so that 413 is heard */
#define BODY_FILES_MAX 4		/* uploads at once: each is kept in memory until it is whole */
#define RUNS_A_TURN   8

static struct MHD_Daemon *daemon_;
static struct loop_source epoll_source = LOOP_SOURCE_INIT;
static struct loop_timer run_timer;
static bool run_due;
static size_t n_body_files, n_requests;

/* ---- request.h ------------------------------------------------------------------------------------------------ */

enum MHD_Result respond(struct request *request, unsigned code, const char *type, struct MHD_Response *response)
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

enum MHD_Result respond_constant(struct request *request, unsigned code, const char *type, const char *body)
{
	return respond(request, code, type, MHD_create_response_from_buffer_static(strlen(body), body));
}

enum MHD_Result respond_error(struct request *request, unsigned code, const char *message)
{
	char body[256];
	struct text t = TEXT_FIXED(body);

	text_printf(&t, "{\"code\":%u,\"message\":\"%s\"}\n", code, message);
	return respond(request, code, TYPE_JSON, MHD_create_response_from_buffer_copy(t.size, body));
}

struct MHD_Response *response_of_text(struct request *request)
{
	struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(
		request->text.size, request->text.bytes, free);

	if (response)
		request->text = (struct text){0};
	return response;
}

enum MHD_Result respond_text(struct request *request, unsigned code, const char *type)
{
	return respond(request, code, type, response_of_text(request));
}

enum MHD_Result respond_unavailable(struct request *request)
{
	return respond_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Gantry's PID 1 is busy, try again");
}

enum MHD_Result respond_locked(struct request *request)
{
	return respond_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Not before the disk is open");
}

const char *request_argument(struct request *request, const char *name, size_t *ret_size)
{
	const char *value = NULL;

	*ret_size = 0;
	if (MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value,
					  ret_size) != MHD_YES || !value)
		return "";
	return value;
}

enum MHD_Result request_suspend(struct request *request)
{
	request->asked = true;
	MHD_suspend_connection(request->connection);
	return MHD_YES;
}

void request_resume(struct request *request)
{
	MHD_resume_connection(request->connection);
	run_due = true;
}

/* ---- routing -------------------------------------------------------------------------------------------------- */

static enum MHD_Result answer_alive(struct request *request)
{
	return respond_constant(request, MHD_HTTP_OK, TYPE_JSON, ALIVE);
}

static enum MHD_Result not_found(struct request *request)
{
	return respond_constant(request, MHD_HTTP_NOT_FOUND, TYPE_TEXT, "404 page not found\n");
}

static enum MHD_Result wrong_method(struct request *request)
{
	struct MHD_Response *response = MHD_create_response_empty(MHD_RF_NONE);

	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, request->route->allow);
	return respond(request, MHD_HTTP_METHOD_NOT_ALLOWED, NULL, response);
}

#define SHOW(at, function) {.path = at, .allow = "GET", .access = ACCESS_READ, .answer = function}

static const struct route routes[] = {
	SHOW("/", answer_root),
	SHOW("/livez", answer_alive),
	SHOW("/logs", answer_logs),
	SHOW("/api/v1/events", answer_events),
	SHOW("/api/v1/new_event", answer_new_event),
	SHOW("/api/v1/status", answer_status),
	/* On the disk, so not before the password is known. */
	{.path = "/api/v1/logs/", .allow = "GET", .access = ACCESS_ACT, .answer = answer_service_log},
	SHOW("/api/v1/actions", answer_actions),
	{.path = "/api/v1/actions/", .allow = "GET, POST", .access = ACCESS_ACT, .answer = answer_action},
	{.path = "/api/v1/file-upload/", .allow = "POST", .access = ACCESS_ACT, .answer = answer_upload,
	 .body_max = upload_body_max, .body_to_file = true},
	{.path = "/api/v1/set-basic-auth", .allow = "POST", .access = ACCESS_ACT, .answer = answer_password,
	 .body_max = password_body_max},
	SHOW("/metrics", answer_metrics),
	SHOW("/api/v1/events/stream", answer_stream),
	SHOW("/api/v1/boot.svg", answer_boot_chart),
	SHOW("/assets/page.js", answer_page_script),
	SHOW("/assets/page.css", answer_page_style),
	SHOW("/assets/page.svg", answer_page_icon),
};

static void find_route(struct request *request, const char *path)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
		size_t n = strlen(routes[i].path);
		bool more = n > 1 && routes[i].path[n - 1] == '/';

		if (more ? strncmp(routes[i].path, path, n) || !path[n] || strchr(path + n, '/') :
			   strcmp(routes[i].path, path))
			continue;
		request->route = &routes[i];
		request->name = path + n;
		return;
	}
}

/* The method as a word of the Allow header. */
static bool allowed(const char *allow, const char *method)
{
	size_t n = strlen(method);

	for (const char *at = allow; (at = strstr(at, method)) != NULL; at += n)
		if ((at == allow || at[-1] == ' ') && (at[n] == ',' || !at[n]))
			return true;
	return false;
}

static enum MHD_Result answer(struct request *request)
{
	if (!request->route)
		return not_found(request);
	if (!allowed(request->route->allow, request->method))
		return wrong_method(request);
	return request->route->answer(request);
}

/* ---- what a client may --------------------------------------------------------------------------------------- */

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
		return respond_error(request, MHD_HTTP_FORBIDDEN, "Not at another site's wish");
	case VERDICT_LIMITED:
		return respond_error(request, MHD_HTTP_TOO_MANY_REQUESTS, "Too many wrong passwords, try again later");
	default:
		return respond_unavailable(request);
	}
}

/* ---- the request's body --------------------------------------------------------------------------------------- */

static int http_fd(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

static size_t body_max(const struct request *request)
{
	bool wanted = request->route && request->route->body_max && allowed(request->route->allow, request->method);

	return wanted ? request->route->body_max(request) : BODY_MAX;
}

/* True if a body follows that is not worth reading: its connection ends with our answer. */
static bool is_too_large(struct request *request)
{
	const char *length = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_CONTENT_LENGTH);

	return length && strtoull(length, NULL, 10) > body_max(request);
}

static enum MHD_Result too_large(struct request *request)
{
	return request->route && request->route->body_max ?
	       respond_error(request, MHD_HTTP_CONTENT_TOO_LARGE, "Request body too large") :
	       respond_constant(request, MHD_HTTP_CONTENT_TOO_LARGE, TYPE_TEXT, "request body too large\n");
}

static int write_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

static void keep_body(struct request *request, const char *bytes, size_t size)
{
	const struct route *route = request->route;

	if (!route || !route->body_max || request->body_error)
		return;
	if (!route->body_to_file) {
		text_add(&request->text, bytes, size);
		request->body_error = request->text.cut ? -ENOMEM : 0;
		return;
	}
	request->body_error = write_all(request->body_fd, bytes, size);
}

/* True: the body may come. */
static bool prepare_body(struct request *request)
{
	if (!request->route || !request->route->body_max)
		return true;
	if (!request->route->body_to_file) {
		request->text = (struct text)TEXT_GROWING(body_max(request) + 1);
		return true;
	}
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
	peer_state(http_fd(request->connection), LINK_BODY);
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
	request->name = "";
	request->body_fd = -1;
	find_route(request, url);
	peer_state(http_fd(connection), LINK_ANSWER);
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
		if (request->body_size <= body_max(request))
			keep_body(request, body, *body_size);
		*body_size = 0;
		return request->body_size > body_max(request) + BODY_OVER ? MHD_NO : MHD_YES;
	}
	peer_state(http_fd(connection), LINK_ANSWER);
	if (request->body_size > body_max(request))
		return too_large(request);
	return answer(request);
}

static void completed(void *with, struct MHD_Connection *connection, void **request_with,
		      enum MHD_RequestTerminationCode code)
{
	struct request *request = *request_with;

	(void)with;
	(void)code;
	peer_state(http_fd(connection), LINK_HEAD);
	if (!request)
		return;
	access_forget(request);
	acts_forget(request);
	if (request->body_fd >= 0) {
		close(request->body_fd);
		n_body_files--;
	}
	if (request->bootlog)
		request->release(request->bootlog);
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

int http_init(const struct api_options *options)
{
	const union MHD_DaemonInfo *info;

	daemon_ = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
				   MHD_USE_ERROR_LOG, 0, NULL, NULL, handle, NULL,
				   MHD_OPTION_EXTERNAL_LOGGER, discard_log, NULL,
				   MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
				   MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
				   MHD_OPTION_CONNECTION_LIMIT, (unsigned)options->connections + 16,
				   MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_SIZE,
				   MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
				   MHD_OPTION_END);
	if (!daemon_)
		return -EIO;
	info = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return -EIO;
	acts_init(options);
	epoll_source.ready = ready;
	run_timer.fire = fire;
	return loop_add(&epoll_source, info->epoll_fd, EPOLLIN);
}
