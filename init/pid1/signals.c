/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements signals.h with a signalfd; only the signals of a crash have a handler. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init/lib/loop.h"
#include "init/process/birth.h"
#include "init/process/child.h"
#include "signals.h"

#define CRASH_STACK 16384

static struct loop_source signals = LOOP_SOURCE_INIT;
static void (*stop_requested)(int sig, int sender);

static void signals_ready(struct loop_source *source, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT || info.ssi_signo == SIGPWR)
			stop_requested((int)info.ssi_signo, info.ssi_code == SI_USER ? (int)info.ssi_pid : 0);
	child_reap();
}

/* A bug in PID 1: report it on the console and in the kernel's log, and reboot rather than leave a dead machine. */
static void crashed(int sig)
{
	static const char text[] = "\n<0>gantry: PID 1 crashed, rebooting; signal ";
	char line[sizeof(text) + 8];
	size_t n = sizeof(text) - 1;
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	memcpy(line, text, n);
	line[n++] = (char)('0' + sig / 10);
	line[n++] = (char)('0' + sig % 10);
	line[n++] = '\n';
	if (fd >= 0 && write(fd, line + 1, n - 1) < 0)
		fd = -1;
	if (write(2, line + 4, n - 4) < 0)
		fd = -1;
	sync();
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

int signals_init(void (*stop)(int sig, int sender))
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	static char stack[CRASH_STACK];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_RESETHAND};
	sigset_t all;
	int fd, r;

	birth_default_signals();	/* PID 1 may inherit ignored signals */
	sigaltstack(&alternate, NULL);
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		sigaction(crashes[i], &action, NULL);
	sigfillset(&all);
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		sigdelset(&all, crashes[i]);
	sigprocmask(SIG_SETMASK, &all, NULL);
	fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	stop_requested = stop;
	signals.ready = signals_ready;
	r = loop_add(&signals, fd, EPOLLIN);
	reboot(RB_DISABLE_CAD);
	return r;
}
