/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One request on its way through the HTTP side: what http.c has found out about it, and what the files with the
 * answers need to answer it. An answer either queues a response (respond*), or suspends the request and is called
 * again once request_resume() was called; `asked` tells it which of the two calls it is.
 */
#ifndef INIT_API_REQUEST_H
#define INIT_API_REQUEST_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init/lib/text.h"

#define TYPE_JSON "application/json"
#define TYPE_TEXT "text/plain; charset=utf-8"

#define ALIVE "{\"status\":\"ok\"}\n"

struct request;
struct status;

/* What a client must be allowed to do. */
enum access {
	ACCESS_READ,	/* open before the disk is, if boot.json says so */
	ACCESS_ACT,	/* changes the machine: only once the stored password is known */
};

/* Where the check of the credentials stands. */
enum credentials {
	CREDENTIALS_NEW,
	CREDENTIALS_CHECKED,	/* by a slow hash, under way */
	CREDENTIALS_RIGHT,
	CREDENTIALS_WRONG,
};

struct route {
	const char *path;	/* with a trailing "/": and one more segment, the request's `name` */
	const char *allow;	/* methods, as in the Allow header: "GET" or "GET, POST" */
	enum access access;
	enum MHD_Result (*answer)(struct request *request);
	/*
	 * Of a body that the answer wants in request->text, or request->body_fd: its limit; NULL: bodies are thrown
	 * away.
	 */
	size_t (*body_max)(const struct request *request);
	bool body_to_file;	/* into a memfd */
};

struct request {
	const struct route *route;	/* NULL: no such path */
	struct MHD_Connection *connection;
	const char *method;
	const char *name;		/* what follows the route's path; "" if nothing does */
	size_t body_size;
	int body_fd;			/* -1: none */
	int body_error;			/* it could not be kept */
	enum credentials credentials;
	bool admitted;			/* the head has been answered by `go on` */
	bool asked;
	int result;			/* for the answer's own use between its two calls */
	struct text text;		/* likewise; freed with the request */
	size_t status_room;		/* request_status()'s, while it waits */
	void (*status_write)(struct text *t, const struct status *status);
	void *bootlog;			/* bootlog.c's, while it waits; given to `release` with the request */
	void (*release)(void *bootlog);
};

/* Each takes over `response` (NULL: no memory) and returns what MHD wants. type may be NULL. */
enum MHD_Result respond(struct request *request, unsigned code, const char *type, struct MHD_Response *response);

/* body must be a constant. */
enum MHD_Result respond_constant(struct request *request, unsigned code, const char *type, const char *body);

/* {"code":CODE,"message":"MESSAGE"}, a constant without characters that JSON escapes. */
enum MHD_Result respond_error(struct request *request, unsigned code, const char *message);

/* The request's text, which the response takes over; for those who add headers. NULL: no memory. */
struct MHD_Response *response_of_text(struct request *request);
enum MHD_Result respond_text(struct request *request, unsigned code, const char *type);

/* 503: PID 1 cannot be asked now, or there is no memory. */
enum MHD_Result respond_unavailable(struct request *request);

/* 503: what is asked for lies on the disk, or only its owner may do it. */
enum MHD_Result respond_locked(struct request *request);

/* The value of a query argument, not NUL-terminated; "" with size 0 if it is absent. */
const char *request_argument(struct request *request, const char *name, size_t *ret_size);

enum MHD_Result request_suspend(struct request *request);
void request_resume(struct request *request);

/*
 * For an answer made of PID 1's status: true once `write` has put it into request->text, `room` bytes at the most.
 * False: *ret is what MHD wants now; the answer is called again, or there is nothing more to be said. ask.c.
 */
bool request_status(struct request *request, size_t room, void (*write)(struct text *t, const struct status *status),
		    enum MHD_Result *ret);

/* The arguments of a request for events; NULL, or what is wrong with them, valid until the next call. listing.c. */
struct filter;
const char *request_filter(struct request *request, struct filter *ret);

/* listing.c: the events as a JSON array or as lines. */
enum MHD_Result answer_events(struct request *request);
enum MHD_Result answer_logs(struct request *request);

/* stream.c: the events as they come. */
enum MHD_Result answer_stream(struct request *request);

/* ask.c: what PID 1 is asked. */
enum MHD_Result answer_new_event(struct request *request);
enum MHD_Result answer_status(struct request *request);

/* acts.c: what changes the machine. */
enum MHD_Result answer_actions(struct request *request);
enum MHD_Result answer_action(struct request *request);
enum MHD_Result answer_upload(struct request *request);
enum MHD_Result answer_password(struct request *request);
size_t upload_body_max(const struct request *request);
size_t password_body_max(const struct request *request);
/* metrics.c: for Prometheus. */
enum MHD_Result answer_metrics(struct request *request);

/* page.c: what a browser is shown. */
enum MHD_Result answer_root(struct request *request);
enum MHD_Result answer_page_script(struct request *request);
enum MHD_Result answer_page_style(struct request *request);
enum MHD_Result answer_page_icon(struct request *request);
enum MHD_Result answer_boot_chart(struct request *request);

#endif
