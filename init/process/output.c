/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements output.h. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>

#include "init/event/event.h"
#include "init/event/sender.h"
#include "output.h"

#define TURN_BUDGET 8		/* messages of the relay in one turn of the loop */
#define REPORT_NS   1000000000LL
#define HELD_NS     1000000000LL	/* until an event says that the pipe is held: a slow machine does so, too */

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

bool output_is_cause(const char *line, size_t size)
{
	static const char *const words[] = {"error", "fatal", "panic", "fail", "exception", "critical", "cannot",
					    "denied", "abort"};

	for (size_t i = 0; i + 4 <= size; i++) {
		for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
			if ((line[i] | 0x20) == words[k][0] && strlen(words[k]) <= size - i &&
			    !strncasecmp(line + i, words[k], strlen(words[k])))
				return true;
		}
	}
	return false;
}

const char *output_cause(const struct output *output)
{
	bool any = output->cause && output->cause[0];

	return any && output->cause_age > 0 && output->cause_age < OUTPUT_CAUSE_LINES ? output->cause : NULL;
}

static void make_event(struct output *output, int64_t now_ns)
{
	if (bucket_take(&output->events, &limit, now_ns)) {
		if (sender_may(output->owner, now_ns))
			event_add(EVENT_INFO, EVENT_MESSAGE, output->owner, output->line, output->line_size, NULL, 0);
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
	if (output_is_cause(output->line, output->line_size)) {
		memcpy(output->cause, output->text, NODE_REASON_MAX);
		output->cause_age = 0;
	} else if (output->cause_age < OUTPUT_CAUSE_LINES) {
		output->cause_age++;
	}
	if (!output->quiet)
		make_event(output, loop_now_ns());
	output->line_size = 0;
}

static void report_dropped(struct output *output)
{
	if (output->lines_dropped)
		event_say(EVENT_WARNING, output->owner, "output limit of %" PRId64 " lines/s exceeded: "
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

static void close_socket(struct output *output)
{
	loop_remove(&output->socket);
	loop_disarm(&output->patience);
	relay_close(&output->pipe, output->held, output->owner);
}

static void finish(struct output *output)
{
	void (*done)(void *with) = output->done;

	if (!done)
		return;
	output->done = NULL;
	end_line(output);
	report_dropped(output);
	loop_disarm(&output->report);
	done(output->with);
}

/* ---- a pipe that somebody holds ---------------------------------------------------------------------------------- */

static void end_held(struct output *output)
{
	event_say(EVENT_WARNING, output->owner, "its last output is lost: a process holds the pipe");
	close_socket(output);
	finish(output);
}

static void lose_patience(struct loop_timer *timer)
{
	struct output *output = (struct output *)((char *)timer - offsetof(struct output, patience));

	if (output->done) {
		output->held = true;
		end_held(output);
		return;
	}
	output->told_held = true;
	event_say(EVENT_WARNING, output->owner, "its output cannot be read: a process holds the pipe");
}

/* Returns false if the output ends with it. */
static bool set_held(struct output *output, bool held)
{
	output->held = held;
	if (output->done && held) {
		end_held(output);
		return false;
	}
	if (output->done)
		return true;
	if (held)
		loop_arm(&output->patience, loop_now_ns() + HELD_NS);
	else
		loop_disarm(&output->patience);
	if (!held && output->told_held)
		event_say(EVENT_NOTICE, output->owner, "its output is read again");
	output->told_held = output->told_held && held;
	return true;
}

/* ---- the socket -------------------------------------------------------------------------------------------------- */

/* The relay has passed on the rest after output_end(), or it has ended itself. */
static void socket_ended(struct output *output)
{
	bool ended = output->done;

	output->held = false;
	loop_remove(&output->socket);
	if (!ended && relay_again(&output->pipe) == 0 && loop_add(&output->socket, output->pipe.socket, EPOLLIN) == 0)
		return;
	close_socket(output);
	finish(output);
}

static void read_socket(struct output *output)
{
	const char *bytes;
	size_t size;

	for (int i = 0; i < TURN_BUDGET; i++) {
		enum relay_word word = relay_receive(output->socket.fd, &bytes, &size);

		switch (word) {
		case RELAY_BYTES:
			take(output, bytes, size);
			break;
		case RELAY_HELD:
		case RELAY_FREE:
			if (!set_held(output, word == RELAY_HELD))
				return;
			break;
		case RELAY_END:
			socket_ended(output);
			return;
		case RELAY_NOTHING:
			return;
		}
	}
}

static void ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	read_socket((struct output *)((char *)source - offsetof(struct output, socket)));
}

int output_begin(struct output *output, const char *owner, bool quiet, char *text, char *cause, char *line)
{
	int r;

	*output = (struct output){.pipe = RELAY_PIPE_NONE, .socket = {.fd = -1, .ready = ready},
				  .report = {.fire = report}, .patience = {.fire = lose_patience}, .owner = owner,
				  .quiet = quiet, .text = text, .cause = cause, .line = line};
	r = relay_may(owner) ? relay_open(&output->pipe) : -EBUSY;
	if (r == 0)
		r = loop_add(&output->socket, output->pipe.socket, EPOLLIN);
	if (r < 0)
		close_socket(output);
	return r;
}

void output_cancel(struct output *output)
{
	close_socket(output);
}

void output_end(struct output *output, void (*done)(void *with), void *with)
{
	output->done = done;
	output->with = with;
	if (output->socket.fd < 0) {
		finish(output);
	} else if (output->held) {
		end_held(output);
	} else {
		relay_finish(&output->pipe);
		loop_arm(&output->patience, loop_now_ns() + OUTPUT_WAIT_NS);
		read_socket(output);
	}
}
