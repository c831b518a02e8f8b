/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements child.h. On SIGCHLD PID 1 calls waitpid() for any process until none is left. Only PID 1 reaps, so a pid
 * in the table always belongs to its child. Reports and output of a child are read to the end before its exit is
 * reported, so that its last message is not lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "birth.h"
#include "cgroup.h"
#include "forkserver.h"
#include "init/event/event.h"
#include "init/event/eventsock.h"
#include "init/lib/inbox.h"
#include "init/lib/loop.h"
#include "logpipe.h"
#include "output.h"
#include "relay.h"
#include "row.h"

#define REAP_BUDGET 4096	/* processes reaped in one turn */
#define REAP_BATCH  64		/* children among them */
#define REPORTS_AT_THE_END 1024

/* Buffers for a child's messages, apart from its row: the pages of a silent child are never touched or allocated. */
struct words {
	char reason[NODE_REASON_MAX], text[NODE_REASON_MAX], cause[NODE_REASON_MAX], line[OUTPUT_LINE_SIZE];
	char takes[CHILD_TAKES_MAX][ARTIFACT_NAME_MAX];
};

#define HASH_SIZE 1024

static struct child *children;
static size_t n_used;
static struct child *by_pid[HASH_SIZE], *unused;

/* A node costs PID 1 some descriptors, and the kernel's own limit is lower than those of 1,200. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_max < BIRTH_NOFILE_HARD)
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){BIRTH_NOFILE_HARD, BIRTH_NOFILE_HARD});
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int child_init(size_t n, const struct child_nodes *nodes)
{
	struct words *words;

	raise_descriptor_limit();
	children = calloc(n, sizeof(*children));
	words = calloc(n, sizeof(*words));
	if (!children || !words)
		return -ENOMEM;
	child_report_init(children, n, nodes);
	for (size_t i = n; i-- > 0;) {
		struct child *child = &children[i];

		child->report.fd = child->output.socket.fd = -1;
		child->reason = words[i].reason;
		child->text = words[i].text;
		child->cause = words[i].cause;
		child->line = words[i].line;
		child->takes = words[i].takes;
		child->next = unused;
		unused = child;
	}
	return 0;
}

pid_t child_pid(const struct child *child)
{
	return child->exited ? 0 : child->pid;
}

size_t child_node(const struct child *child)
{
	return child->spec.node;
}

void child_disown(struct child *child)
{
	child->spec.with = NULL;
}

void *child_with(const struct child *child)
{
	return child->spec.with;
}

const char *child_last_text(const struct child *child)
{
	if (child->spec.logged)
		logpipe_last_line(child->spec.node, child->text);
	return child->text;
}

const char *child_reason(const struct child *child)
{
	return child->reason[0] ? child->reason : NULL;
}

struct child *child_by_pid(pid_t pid)
{
	struct child *child = by_pid[(unsigned)pid % HASH_SIZE];

	while (child && child->pid != pid)
		child = child->next;
	return child;
}

size_t child_count(void)
{
	return n_used;
}

static void use(struct child *child, pid_t pid)
{
	struct child **bucket = &by_pid[(unsigned)pid % HASH_SIZE];

	unused = child->next;
	child->next = *bucket;
	*bucket = child;
	child->pid = pid;
	child->used = true;
	n_used++;
}

/* The kernel may reuse its pid from now on. */
static void forget_pid(struct child *child)
{
	struct child **at = &by_pid[(unsigned)child->pid % HASH_SIZE];

	while (*at != child)
		at = &(*at)->next;
	*at = child->next;
}

/* The row's pid and messages stay readable until the row is used again. */
static void release(struct child *child)
{
	child->next = unused;
	unused = child;
	child->used = false;
	n_used--;
	child_forget_takes(child);
}

/* ---- start and exit ------------------------------------------------------------------------------------------- */

static struct birth birth_of(const struct child_spec *spec, int out_fd, int err_fd, int channel_fd)
{
	return (struct birth){
		.argv = spec->argv, .service = spec->service,
		.out_fd = out_fd, .err_fd = err_fd, .channel_fd = channel_fd, .options_fd = spec->options_fd,
		.payload_fd = spec->payload_fd > 0 ? spec->payload_fd : -1, .cgroup_fd = spec->cgroup_fd,
	};
}

static void close_pair(int pair[2])
{
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
}

/* Writes only to buffers that are in use: see struct words. */
static void forget_words(struct child *child)
{
	if (child->reason[0])
		child->reason[0] = '\0';
	if (child->text[0])
		child->text[0] = '\0';
	if (child->cause[0])
		child->cause[0] = '\0';
}

/*
 * Returns the descriptors for its stdout and stderr: a pipe that the relay reads, or those of its log. *ret_null:
 * /dev/null instead, which the caller closes; or -1. 0 or negative errno.
 */
static int open_output(struct child *child, int *ret_out, int *ret_err, int *ret_null)
{
	int r;

	if (child->spec.logged)
		return logpipe_open(child->spec.node, ret_out, ret_err);
	r = output_begin(&child->output, child->spec.source, child->spec.quiet, child->text, child->cause,
			 child->line);
	*ret_out = *ret_err = child->output.pipe.write_fd;
	if (r == -EBUSY) {
		event_say(EVENT_WARNING, child->spec.source, "its output goes to /dev/null: processes hold too many "
			  "of its earlier pipes");
		*ret_out = *ret_err = *ret_null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		r = *ret_null < 0 ? -errno : 0;
	}
	return r;
}

/* Creates everything PID 1 needs before the fork, so that a failure leaves no process behind. */
int child_start(const struct child_spec *spec, struct child **ret)
{
	int channel[2] = {-1, -1}, null = -1, out = -1, err = -1;
	struct child *child = unused;
	struct birth birth;
	pid_t pid;
	int r;

	if (!child)
		return -EAGAIN;
	*child = (struct child){
		.next = child->next, .reason = child->reason, .text = child->text, .cause = child->cause,
		.line = child->line, .takes = child->takes, .spec = *spec,
		.report = {.fd = -1, .ready = child_report_ready}, .output = OUTPUT_NONE,
	};
	forget_words(child);
	if (spec->channel_fd < 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0) {
		r = -errno;
		goto out;
	}
	r = open_output(child, &out, &err, &null);
	if (r == 0 && channel[0] >= 0)
		r = loop_add(&child->report, channel[0], EPOLLIN);
	if (r < 0)
		goto out;
	birth = birth_of(spec, out, err, channel[1] >= 0 ? channel[1] : spec->channel_fd);
	pid = forkserver_start(&birth);
	if (pid < 0) {
		r = pid;
		goto out;
	}
	use(child, pid);
	channel[0] = -1;
	*ret = child;
	r = 0;
out:
	if (null >= 0)
		close(null);
	if (r < 0) {
		output_cancel(&child->output);
		loop_remove(&child->report);
	}
	close_pair(channel);
	return r;
}

static const char *cgroup_name(const struct child_spec *spec)
{
	return spec->cgroup ? spec->cgroup : spec->node != CHILD_NO_NODE ? spec->source : NULL;
}

static bool kill_cgroup(struct child *child)
{
	if (child->spec.kill)
		return child->spec.kill(child);
	return cgroup_name(&child->spec) && cgroup_kill(cgroup_name(&child->spec));
}

void child_signal(struct child *child, int sig)
{
	if (sig == SIGKILL && kill_cgroup(child))
		return;
	if (child->exited)
		return;
	/* Its process group is its session's (setsid() in birth.c); until setsid() ran, signal the process alone. */
	if (sig != SIGKILL || kill(-child->pid, sig) < 0)
		kill(child->pid, sig);
}

/* What a process that failed without a reason of its own printed last, with the line that looks like the reason. */
static const char *printed(struct child *child)
{
	const char *last = child_last_text(child);
	const char *cause = child->spec.logged ? logpipe_cause(child->spec.node, child->cause) :
			    output_cause(&child->output);

	if (!cause)
		return last;
	snprintf(child->reason, NODE_REASON_MAX, "%.*s / %.*s", NODE_REASON_MAX * 3 / 4, cause, NODE_REASON_MAX / 4 - 4,
		 last);
	return child->reason;
}

static void report_exit(void *with)
{
	struct child *child = with;
	struct process_exit how = {.status = -1};
	struct child_spec spec = child->spec;

	if (WIFEXITED(child->status))
		how.status = WEXITSTATUS(child->status);
	else
		how.signal = WTERMSIG(child->status);
	how.skipped = child->skipped;
	how.printed = !child->reason[0];
	how.reason = !how.printed ? child->reason : how.status != 0 ? printed(child) : NULL;
	release(child);
	spec.exited(child, &how);
}

static void exited(struct child *child, int status)
{
	struct child_spec spec = child->spec;

	child->exited = true;
	child->status = status;
	forget_pid(child);
	child_read_reports(child, REPORTS_AT_THE_END);
	/* Processes it left behind must not live on, nor keep the pipe open. */
	if (spec.kept ? !cgroup_present() : cgroup_name(&spec) && !cgroup_kill(cgroup_name(&spec)))
		kill(-child->pid, SIGKILL);
	child_close_report(child);
	if (spec.logged)
		logpipe_exited(spec.node, status != 0 && !child->reason[0], report_exit, child);
	else
		output_end(&child->output, report_exit, child);
}

static struct loop_timer reap_again;

static void reap_on(struct loop_timer *timer)
{
	(void)timer;
	child_reap();
}

/*
 * waitpid(-1) walks all children to find one that has exited, which with a thousand services is most of the cost. Many
 * orphans have consecutive pids, and waitpid() finds a given pid at once.
 */
static pid_t reap_one(pid_t last, int *ret_status)
{
	pid_t pid = last > 0 ? waitpid(last + 1, ret_status, WNOHANG) : 0;

	return pid > 0 ? pid : waitpid(-1, ret_status, WNOHANG);
}

/* Reaps a bounded number in one turn: a process that forks faster than PID 1 reaps must not occupy the loop. */
void child_reap(void)
{
	struct {
		struct child *child;
		int status;
	} gone[REAP_BATCH];
	size_t n_gone = 0;
	int status, n = 0;
	pid_t pid = 0;

	eventsock_drain();	/* while /proc still shows the cgroups of exited senders */
	while (n++ < REAP_BUDGET && n_gone < REAP_BATCH && (pid = reap_one(pid, &status)) > 0) {
		struct child *child = child_by_pid(pid);

		if (!child) {
			if (!forkserver_reaped(pid, status))
				inbox_reaped(pid);
			continue;
		}
		gone[n_gone].child = child;
		gone[n_gone++].status = status;
	}
	relay_reap();
	if (n_gone)
		eventsock_drain();	/* datagrams sent between the first read and their exit */
	for (size_t i = 0; i < n_gone; i++)
		exited(gone[i].child, gone[i].status);
	if (pid > 0) {
		reap_again.fire = reap_on;
		loop_arm(&reap_again, loop_now_ns());
	}
}
