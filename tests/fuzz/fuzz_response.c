/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as what a server answers, through the real libcurl and a socket. The first byte says how it is asked (the enum
 * below); the rest is sent, and the connection closed. What the stages see of it keeps to the limits that http.h
 * promises, and a Content-Range is only what a line of the answer says.
 */
/* links: stages/lib/http.c */
/* libs: curl */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "stages/lib/http.h"
#include "target.h"

enum {SINK = 1, HEAD = 2, REFUSES = 4, SMALL = 8};

#define SMALL_BYTES 100

static struct input answer;
static int listener = -1;
static char url[64];
static size_t sunk;
static unsigned begun;
static sem_t served;

/* One connection after the other: the request up to its empty line, then the answer. */
static void *serve(void *unused)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		char request[4096];
		size_t n = 0;
		ssize_t got = 1;

		must(fd >= 0, "a connection");
		while (n < sizeof(request) && got > 0 && !memmem(request, n, "\r\n\r\n", 4)) {
			got = recv(fd, request + n, sizeof(request) - n, 0);
			n += got > 0 ? (size_t)got : 0;
		}
		for (size_t at = 0; at < answer.size; at += (size_t)got) {
			got = send(fd, answer.bytes + at, answer.size - at, MSG_NOSIGNAL);
			if (got <= 0)
				break;
		}
		shutdown(fd, SHUT_WR);
		while (recv(fd, request, sizeof(request), 0) > 0)
			;
		close(fd);
		sem_post(&served);
	}
	return unused;
}

static void begin(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	pthread_t thread;

	if (listener >= 0)
		return;
	signal(SIGPIPE, SIG_IGN);
	sem_init(&served, 0, 0);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(bind(listener, (struct sockaddr *)&at, size) == 0 && listen(listener, 8) == 0 &&
	     getsockname(listener, (struct sockaddr *)&at, &size) == 0, "a listener");
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/object", ntohs(at.sin_port));
	must(pthread_create(&thread, NULL, serve, NULL) == 0, "a thread");
}

static int take_piece(void *context, const void *bytes, size_t size)
{
	must(context == &sunk && bytes && begun == 1, "the body comes after its beginning");
	sunk += size;
	return 0;
}

static int take_begin(void *context, const struct http_response *head)
{
	must(context == &sunk && ++begun == 1, "one beginning");
	must(head->status >= 200 && head->status <= 299 && head->content_length >= -1, "the beginning of a good answer");
	return answer.size % 2 ? 0 : -ECANCELED;
}

static int take_any(void *context, const struct http_response *head)
{
	take_begin(context, head);
	return 0;
}

static bool number(const char **at, const char *end, uint64_t *ret)
{
	const char *begin = *at;

	*ret = 0;
	for (; *at < end && isdigit((unsigned char)**at); ++*at)
		if (__builtin_mul_overflow(*ret, (uint64_t)10, ret) || __builtin_add_overflow(*ret, (uint64_t)(**at - '0'), ret))
			return false;
	return *at > begin;
}

static bool word(const char **at, const char *end, const char *what)
{
	size_t n = strlen(what);

	if ((size_t)(end - *at) < n || strncasecmp(*at, what, n) != 0)
		return false;
	*at += n;
	return true;
}

/* Whether a line of the answer says exactly that. */
static bool has_range(uint64_t first, uint64_t total)
{
	const char *end = (const char *)answer.bytes + answer.size;

	for (const char *at = (const char *)answer.bytes; at < end; at++) {
		const char *p = at;
		uint64_t a, b, c;

		if (!word(&p, end, "content-range:"))
			continue;
		while (p < end && strchr(" \t\n\r\v\f", *p))	/* a folded line, too */
			p++;
		if (word(&p, end, "bytes ") && number(&p, end, &a) && word(&p, end, "-") && number(&p, end, &b) &&
		    word(&p, end, "/") && number(&p, end, &c) && a == first && c == total && a <= b && b < c)
			return true;
	}
	return false;
}

static void check(int r, const struct http_response *got, uint8_t how)
{
	size_t most = how & SMALL ? SMALL_BYTES : HTTP_MAXIMUM_BYTES;
	bool good = got->status >= 200 && got->status <= 299;

	must(memchr(got->error, 0, sizeof(got->error)) && !strpbrk(got->error, "\r\n"), "an error is one line");
	if (r < 0)
		must(got->error[0], "an error says why");
	else
		must(got->status > 0 && got->status <= 999 && got->body && !got->body[got->body_size], "an answer");
	must(got->body_size <= (good ? most : HTTP_REFUSAL_MAX) + (r < 0 ? 1 : 0), "a bounded body");
	must(!(how & SINK) || sunk <= most, "a bounded transfer");
	must(!(how & SINK) || !good || got->body_size == 0, "the sink has it all");
	must(got->content_length >= -1 && got->date >= -1, "numbers, or nothing");
	if (got->first_from_content_range || got->total_from_content_range)
		must(has_range(got->first_from_content_range, got->total_from_content_range), "a range that the answer says");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, size};
	uint8_t how = input_byte(&input);
	struct http_request request = {.method = how & HEAD ? "HEAD" : NULL, .maximum_bytes = how & SMALL ? SMALL_BYTES : 0,
				       .timeout_ms = 10000};
	struct http_response got;
	int r;

	begin();
	answer = input;
	sunk = begun = 0;
	request.url = url;
	if (how & SINK) {
		request.sink = take_piece;
		request.sink_context = &sunk;
		request.begin = how & REFUSES ? take_begin : take_any;
		request.maximum_bytes = how & SMALL ? SMALL_BYTES : HTTP_MAXIMUM_BYTES;
	}
	r = http_perform(&request, &got);
	sem_wait(&served);	/* the server has let go of the input */
	check(r, &got, how);
	http_response_free(&got);
	return 0;
}
