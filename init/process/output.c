/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements output.h. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "init/event/event.h"
#include "init/event/sender.h"
#include "output.h"

#define TURN_BUDGET 32		/* reads of one process in one turn of the loop */
#define REPORT_NS   1000000000LL

/* Lines of one process that become events; the others are dropped. */
static const struct bucket_limit limit = {.per_s = 100, .burst = 1000};
static const struct bucket_limit reports_limit = EVENT_DROP_REPORTS;

void output_keep_text(char *to, const char *bytes, size_t size)
{
	if (size >= NODE_REASON_MAX)
		size = NODE_REASON_MAX - 1;
	for (size_t i = 0; i < size; i++)
		to[i] = (unsigned char)bytes[i] < 0x20 || bytes[i] == 0x7f ? ' ' : bytes[i];
	to[size] = '\0';
}

static void make_event(struct output *output, int64_t now_ns)
{
	if (bucket_take(&output->events, &limit, now_ns)) {
		if (sender_may(output->source, now_ns))
			event_add(EVENT_INFO, EVENT_MESSAGE, output->source, output->line, output->line_size, NULL, 0);
		return;
	}
	output->lines_dropped++;
	event_count_told_drop();
	if (!output->report.armed)
		loop_arm(&output->report, bucket_due(&output->reports, &reports_limit, now_ns + REPORT_NS));
}

static void end_line(struct output *output)
{
	if (!output->line_size)
		return;
	output_keep_text(output->text, output->line, output->line_size);
	if (output->source)
		make_event(output, loop_now_ns());
	output->line_size = 0;
}

static void report_dropped(struct output *output)
{
	if (output->lines_dropped)
		event_say(EVENT_WARNING, output->source, "output limit of %" PRId64 " lines/s exceeded: "
			  "%lu lines dropped", limit.per_s, output->lines_dropped);
	output->lines_dropped = 0;
}

static void report(struct loop_timer *timer)
{
	struct output *output = (struct output *)((char *)timer - offsetof(struct output, report));

	bucket_take(&output->reports, &reports_limit, loop_now_ns());
	report_dropped(output);
}

static void take(struct output *output, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '\n') {
			end_line(output);
			output->line_cut = false;
		} else if (output->line_size < OUTPUT_LINE_SIZE) {
			output->line[output->line_size++] = bytes[i];
		} else if (!output->line_cut) {
			end_line(output);
			output->line_cut = true;
			output->line[output->line_size++] = bytes[i];
		}
	}
}

/* Returns false at the end of the pipe. */
static bool read_pipe(struct output *output)
{
	char bytes[4096];

	for (int i = 0; i < TURN_BUDGET; i++) {
		ssize_t n = read(output->pipe.fd, bytes, sizeof(bytes));

		if (n > 0)
			take(output, bytes, (size_t)n);
		else if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		else
			return false;
	}
	return true;
}

static void close_pipe(struct output *output)
{
	int fd = output->pipe.fd;

	loop_remove(&output->pipe);
	if (fd >= 0)
		close(fd);
}

static void ready(struct loop_source *source, uint32_t events)
{
	struct output *output = (struct output *)((char *)source - offsetof(struct output, pipe));

	(void)events;
	if (!read_pipe(output))
		close_pipe(output);
}

int output_begin(struct output *output, int fd, const char *source, char *text, char *line)
{
	*output = (struct output){.pipe = {.fd = -1, .ready = ready}, .report = {.fire = report}, .source = source,
				  .text = text, .line = line};
	return loop_add(&output->pipe, fd, EPOLLIN);
}

void output_cancel(struct output *output)
{
	loop_remove(&output->pipe);
}

void output_end(struct output *output)
{
	if (output->pipe.fd >= 0)
		read_pipe(output);
	end_line(output);
	report_dropped(output);
	loop_disarm(&output->report);
	close_pipe(output);
}
