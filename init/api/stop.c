/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements stop.h. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "init/lib/loop.h"
#include "stop.h"

static struct loop_source source = LOOP_SOURCE_INIT;
static struct loop_timer limit;
static int64_t limit_ns;
static bool stopping;
static void (*on_begin)(void);
static bool (*is_idle)(void);

static void end(struct loop_timer *timer)
{
	(void)timer;
	loop_stop();
}

void stop_check(void)
{
	if (stopping && is_idle())
		loop_stop();
}

static void ready(struct loop_source *s, uint32_t events)
{
	(void)events;
	loop_remove(s);
	stopping = true;
	loop_arm(&limit, loop_now_ns() + limit_ns);
	if (on_begin)
		on_begin();
	stop_check();
}

int stop_init(void (*begin)(void), bool (*idle)(void), int limit_ms)
{
	sigset_t term;
	int fd;

	on_begin = begin;
	is_idle = idle;
	limit_ns = limit_ms * 1000000LL;
	limit.fire = end;
	source.ready = ready;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	fd = signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : loop_add(&source, fd, EPOLLIN);
}
