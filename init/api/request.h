/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One request on its way through the HTTP side: the fields of http.c, and those of its answer. An answer either queues
 * a response (respond*), or suspends the request and is called again after request_resume(); `asked` says which of the
 * two calls it is. A new route is a row in routes.c, a function in answers.h, and its entry in docs/openapi.yaml; a
 * request to PID 1 is one of gantry/control.h, sent by pid1.h.
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

/* When a route is answered. Once a password is stored, every route also needs that. */
enum access {
	ACCESS_ALIVE,	/* always */
	ACCESS_READ,	/* before the disk is open unless boot.json has api.before_unlock "nothing" */
	ACCESS_ACT,	/* never before the disk is open, and not if another site's page caused the request */
};

/* Treatment of a request's body. */
enum body {
	BODY_IGNORED,	/* read and thrown away */
	BODY_TEXT,	/* in request->text */
	BODY_FILE,	/* in a memfd, request->body_fd */
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
	const char *methods;	/* as in the Allow header: "GET" or "GET, POST"; NULL: any */
	enum access access;
	enum body body;
	size_t body_max;	/* bytes; 0: HTTP's own limit */
	size_t (*body_max_of)(const char *name);	/* instead of body_max, where the limit depends on the name */
	enum MHD_Result (*answer)(struct request *request);
};

struct request {
	const struct route *route;
	struct MHD_Connection *connection;
	const char *method;
	const char *name;		/* the rest behind the route's path; "": none */
	bool allowed;			/* the route has this method */
	const char *fault;		/* what is wrong with the head; NULL: nothing */
	size_t body_max, body_size;
	int body_fd;			/* -1: none */
	int body_error;			/* it could not be kept */
	int64_t body_seen_ns;		/* body.c's, as are the next two */
	size_t body_seen;
	uint64_t body_pace;
	enum credentials credentials;
	uint64_t admitted;		/* access_generation() when access was granted or refused; 0: not yet */
	bool whole;			/* the body is there */
	bool asked;
	int result;			/* for the answer's own use between its two calls */
	struct text text;		/* likewise; freed with the request */
	size_t status_room;		/* ask_status()'s, while it waits */
	void (*status_write)(struct text *t, const struct status *status);
	void *kept;			/* likewise; given to `release` when the request ends */
	void (*release)(void *kept);
};

/* Each takes over `response` (NULL: no memory) and returns MHD's result. type may be NULL. */
enum MHD_Result respond(struct request *request, unsigned code, const char *type, struct MHD_Response *response);

/* body must be a constant. */
enum MHD_Result respond_constant(struct request *request, unsigned code, const char *type, const char *body);

/* {"code":CODE,"message":"MESSAGE"}, a constant without characters that JSON escapes. */
enum MHD_Result respond_error(struct request *request, unsigned code, const char *message);

/* The request's text, which the response takes over; for answers that add headers. NULL: no memory. */
struct MHD_Response *response_of_text(struct request *request);
enum MHD_Result respond_text(struct request *request, unsigned code, const char *type);

/* 503: PID 1 is busy, or out of memory. */
enum MHD_Result respond_unavailable(struct request *request);

/* 429: PID 1 has begun as many operations as it does in that time. */
enum MHD_Result respond_too_many(struct request *request);

/* 503: as many uploads as there may be are in transfer. */
enum MHD_Result respond_too_many_uploads(struct request *request);

/* 503: it needs the disk, or the stored password, and the disk is not open. */
enum MHD_Result respond_locked(struct request *request);

/* The value of a query argument, not NUL-terminated; "" with size 0 if it is absent. */
const char *request_argument(struct request *request, const char *name, size_t *ret_size);

/* The arguments of a request for events. NULL, or the error message, valid until the next call. */
struct filter;
const char *request_filter(struct request *request, struct filter *ret);

/* HTTP's descriptor of the connection, or -1. */
int connection_fd(struct MHD_Connection *connection);

enum MHD_Result request_suspend(struct request *request);
void request_resume(struct request *request);

/* True if a request was resumed since the last call: libmicrohttpd has work. */
bool requests_resumed(void);

#endif
