/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes through the legacy FIFO's line assembly, in pieces whose sizes the input chooses too: as many events as
 * newlines, and at most one unfinished line of bounded size.
 */
#include <stdlib.h>

#include "init/process/fifo.c"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static size_t added;

int64_t loop_now_ns(void)
{
	return 1;
}

int loop_add(struct loop_source *s, int fd, uint32_t events)
{
	(void)s;
	(void)fd;
	(void)events;
	return 0;
}

int loop_take(struct loop_source *s, int fd, uint32_t events)
{
	return fd < 0 ? fd : loop_add(s, fd, events);
}

void loop_remove(struct loop_source *s)
{
	(void)s;
}

int relay_open_fifo(struct relay_pipe *pipe, int fd)
{
	(void)pipe;
	return fd;
}

int relay_again(struct relay_pipe *pipe)
{
	(void)pipe;
	return 0;
}

enum relay_word relay_receive(int socket, const char **ret, size_t *ret_size)
{
	(void)socket;
	(void)ret;
	(void)ret_size;
	return RELAY_NOTHING;
}

void relay_close(struct relay_pipe *pipe, bool by_somebody, const char *owner)
{
	(void)pipe;
	(void)by_somebody;
	(void)owner;
}

bool relay_may(const char *owner)
{
	(void)owner;
	return true;
}

bool sender_may(const char *name, int64_t at_ns)
{
	(void)name;
	(void)at_ns;
	return true;
}

void loop_arm(struct loop_timer *timer, int64_t due_ns)
{
	(void)timer;
	(void)due_ns;
}

void loop_disarm(struct loop_timer *timer)
{
	(void)timer;
}

void event_say(enum event_level level, const char *name, const char *fmt, ...)
{
	(void)level;
	(void)name;
	(void)fmt;
}

void event_add(enum event_level level, enum event_kind kind, const char *name, const char *text, size_t text_size,
	       const char *fields, size_t fields_size)
{
	(void)level;
	(void)kind;
	(void)name;
	(void)fields;
	(void)fields_size;
	if (text_size > LINE_ROOM || (text_size > 0 && memchr(text, '\n', text_size)))
		abort();
	added++;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	size_t newlines = 0;

	added = 0;
	for (size_t i = 0; i < size; i++)
		newlines += bytes[i] == '\n';
	while (size > 0) {
		size_t n = bytes[0] < size ? bytes[0] + 1u : size;

		take((const char *)bytes, n < size ? n : size);
		bytes += n < size ? n : size;
		size -= n < size ? n : size;
	}
	if (added != newlines || line_size > LINE_ROOM)
		abort();
	if (unfinished)
		end_line();
	return 0;
}
