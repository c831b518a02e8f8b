/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bounded HTTP and HTTPS requests: each has a connect timeout, a total or stall timeout and a maximum size of the
 * answer; no proxy and no redirect is followed; https needs a pinned CA file. All calls block, so this is for stages,
 * never for PID 1. CURLcode becomes an errno here and nowhere else.
 */
#ifndef STAGES_LIB_HTTP_H
#define STAGES_LIB_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_CONNECT_TIMEOUT_MS 10000	/* where a request says 0 */
#define HTTP_TIMEOUT_MS         30000	/* where a request says 0 and has no sink */
#define HTTP_STALL_S            30	/* a transfer slower than HTTP_STALL_BYTES a second for so long is cut */
#define HTTP_STALL_BYTES        256
#define HTTP_MAXIMUM_BYTES      (1u << 20)	/* of a body, where a request says 0 and has no sink */
#define HTTP_REFUSAL_MAX        16384	/* of the body of an answer outside 200..299; the rest is dropped */

struct http_response;

struct http_request {
	const char *method;		/* NULL: GET, or POST with a body */
	const char *url;		/* http:// or https://, already encoded */
	const char *const *headers;	/* "Name: value", NULL-ended, or NULL */
	const void *body;
	size_t body_size;
	const char *ca_file;		/* PEM; https is refused without it */
	long connect_timeout_ms, timeout_ms;	/* 0: as above; with a sink, timeout_ms 0 means only stalls end it */
	unsigned stall_s;		/* 0: as above */
	size_t maximum_bytes;		/* of a 2xx body; one byte more is -EMSGSIZE */
	/*
	 * Gets the body of a 2xx answer piece by piece; anything but 0 ends the transfer and is the result.
	 */
	int (*sink)(void *context, const void *bytes, size_t size);
	/*
	 * Asked once when a 2xx answer begins, before its first byte, with status, content_length and the
	 * Content-Range fields filled in; anything but 0 ends it likewise. May be NULL.
	 */
	int (*begin)(void *context, const struct http_response *head);
	void *sink_context;
};

struct http_response {
	long status;
	char *body;			/* always NUL-terminated once an answer came; NULL before */
	size_t body_size;
	char *content_type;		/* NULL: the answer had none */
	char *etag;			/* as sent, with its quotes; NULL: none */
	int64_t date;			/* the server's clock, seconds since 1970; -1: not said */
	int64_t content_length;		/* -1: not said */
	uint64_t first_from_content_range, total_from_content_range;	/* both 0: not said */
	char error[256];		/* one line, when the result is negative */
};

/*
 * Keeps its connection between requests. One thread, and not across a fork: make it in the process that uses
 * it.
 */
struct http_client;
int http_client_new(struct http_client **ret);
struct http_client *http_client_free(struct http_client *client);	/* takes NULL, returns NULL */

/*
 * 0 when an HTTP answer came, of any status; otherwise a negative errno, and ret->error says why: -EHOSTUNREACH name
 * not resolved, -ECONNREFUSED, -ETIMEDOUT, -ECONNRESET connection lost in the middle, -EPROTO no TLS handshake or no
 * HTTP, -EKEYREJECTED certificate, -ENOKEY CA file, -EMSGSIZE too large, -EINVAL request, -ENOMEM, -EIO, or what the
 * sink returned. ret needs no initialisation; free it in every case.
 */
int http_client_perform(struct http_client *client, const struct http_request *request,
			struct http_response *ret);
int http_perform(const struct http_request *request, struct http_response *ret);
void http_response_free(struct http_response *response);	/* takes a zeroed one */

/* Whether a new try can help after this result of a perform (0: look at the status). */
bool http_worth_retry(int result, long status);

#endif
