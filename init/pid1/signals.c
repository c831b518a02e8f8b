/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements signals.h with a signalfd; only the signals of a crash have a handler, since the kernel ends a process
 * that blocks a signal of its own fault. A signal that another process sent is not a fault: the handler writes it to a
 * pipe, from which the loop makes an event.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "init/event/event.h"
#include "init/lib/loop.h"
#include "init/process/birth.h"
#include "init/process/child.h"
#include "signals.h"

#define CRASH_STACK 16384
#define SYNC_S      5			/* for sync(2) before the reboot after a crash */
#define SENT_A_TURN 64
#define SENT_NS     1000000000LL	/* an event at most this often */

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

/* ---- faults, and those that are none ---------------------------------------------------------------------------- */

static const struct {
	int sig;
	const char *name;
} crashes[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"}, {SIGABRT, "SIGABRT"}};

#define CRASHES (sizeof(crashes) / sizeof(crashes[0]))

struct sent {
	int sig, pid;
};

static int sent_fd = -1;		/* the handler's end of the pipe */
static struct loop_source sent_source = LOOP_SOURCE_INIT;
static struct loop_timer sent_timer;
static unsigned sent_untold;		/* since the last event */

static void say_untold(struct loop_timer *timer)
{
	(void)timer;
	if (sent_untold)
		event_say(EVENT_WARNING, "gantry", "%u more signals of a crash ignored that processes sent",
			  sent_untold);
	sent_untold = 0;
}

static void sent_ready(struct loop_source *source, uint32_t events)
{
	struct sent sent;

	(void)events;
	for (int i = 0; i < SENT_A_TURN && read(source->fd, &sent, sizeof(sent)) == sizeof(sent); i++) {
		if (sent_timer.armed) {
			sent_untold++;
			continue;
		}
		for (size_t k = 0; k < CRASHES; k++)
			if (crashes[k].sig == sent.sig)
				event_say(EVENT_WARNING, "gantry", "%s from process %d ignored", crashes[k].name,
					  sent.pid);
		loop_arm(&sent_timer, loop_now_ns() + SENT_NS);
	}
}

/*
 * The kernel's si_code of a fault is positive. abort(3) sends SIGABRT to itself by tkill(2), which no other process can
 * pretend: the kernel refuses SI_TKILL to rt_sigqueueinfo(2).
 */
static bool is_own_fault(const siginfo_t *info)
{
	return info->si_code > 0 || (info->si_code == SI_TKILL && info->si_pid == getpid());
}

/* sync(2) waits for every file system, also for one that does not answer: in a child, and for a bounded time. */
static void sync_for_a_while(void)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	pid_t child = (pid_t)syscall(SYS_fork);

	if (child == 0) {
		sync();
		_exit(0);
	}
	for (int i = 0; child > 0 && i < SYNC_S * 100 && waitpid(child, NULL, WNOHANG) == 0; i++)
		nanosleep(&pause, NULL);
}

/* A bug in PID 1: report it on the console and in the kernel's log, and reboot rather than leave a dead machine. */
_Noreturn static void crashed(int sig)
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
	sync_for_a_while();
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

/* Another fault in here finds its signal blocked, and the kernel ends PID 1. */
static void handle_crash(int sig, siginfo_t *info, void *context)
{
	struct sent sent = {sig, info->si_pid};
	int saved = errno;

	(void)context;
	if (is_own_fault(info))
		crashed(sig);
	(void)!write(sent_fd, &sent, sizeof(sent));	/* a full pipe: there are enough of them to tell */
	errno = saved;
}

/* ---- start ------------------------------------------------------------------------------------------------------ */

static int watch_sent(void)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	sent_fd = pair[1];
	sent_source.ready = sent_ready;
	sent_timer.fire = say_untold;
	return loop_add(&sent_source, pair[0], EPOLLIN);
}

int signals_init(void (*stop)(int sig, int sender))
{
	static char stack[CRASH_STACK];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_sigaction = handle_crash, .sa_flags = SA_ONSTACK | SA_SIGINFO};
	sigset_t all;
	int fd, r;

	birth_default_signals();	/* PID 1 may inherit ignored signals */
	sigfillset(&action.sa_mask);
	sigaltstack(&alternate, NULL);
	for (size_t i = 0; i < CRASHES; i++)
		sigaction(crashes[i].sig, &action, NULL);
	sigfillset(&all);
	for (size_t i = 0; i < CRASHES; i++)
		sigdelset(&all, crashes[i].sig);
	sigprocmask(SIG_SETMASK, &all, NULL);
	fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	stop_requested = stop;
	signals.ready = signals_ready;
	r = loop_add(&signals, fd, EPOLLIN);
	if (r == 0)
		r = watch_sent();
	reboot(RB_DISABLE_CAD);
	return r;
}
