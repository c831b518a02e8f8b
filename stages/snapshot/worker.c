/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker fetches one run of blocks at a time over one connection that it keeps. It writes straight to the
 * place in the file, starts the write-back as it goes, and answers only after fdatasync: so what the journal
 * says is on the disk is there. Trouble with the store is retried here without end, with backoff, from where
 * it stopped; how long that may go on is the stage's decision.
 */
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "init/lib/fdpass.h"
#include "init/lib/io.h"
#include "init/lib/landlock.h"
#include "init/lib/privilege.h"
#include "stages/lib/backoff.h"
#include "stages/lib/file.h"

#define WRITE_BACK      (UINT64_C(4) << 20)	/* bytes after which write-back is started */
#define LATEST_SIZE_MAX 4096
#define JOB_FD          3
#define MARKER_SIZE_MAX 4096

/* --- the worker's side --- */

struct fetch {
	int fd;
	uint64_t at;		/* in the file */
	uint64_t written_back;
	_Atomic uint64_t *received;
	int disk_error;		/* negative errno */
};

static int to_file(void *context, const void *bytes, size_t size)
{
	struct fetch *f = context;
	int r = file_write_at(f->fd, bytes, size, f->at);

	if (r < 0)
		return f->disk_error = r;
	f->at += size;
	atomic_fetch_add_explicit(f->received, size, memory_order_relaxed);
	if (f->at - f->written_back >= WRITE_BACK) {
		/* Starts the write-back early; fdatasync waits for the rest. */
		(void)sync_file_range(f->fd, (off_t)f->written_back, (off_t)(f->at - f->written_back),
				      SYNC_FILE_RANGE_WRITE);
		f->written_back = f->at;
	}
	return 0;
}

static void answer(int socket, const struct worker_answer *a)
{
	/* Whole or not at all; without a stage there is nothing left to do. */
	if (send(socket, a, sizeof(*a), MSG_NOSIGNAL) != (ssize_t)sizeof(*a))
		_exit(1);
}

static uint32_t kind_of_failure(int result)
{
	return result == -ESTALE || result == -ENOENT ? ANSWER_CHANGED : ANSWER_REFUSED;
}

/* Reports the failure and waits; the stage limits how long. */
static void trouble(int socket, struct worker_answer *a, const char *text, struct backoff *backoff)
{
	a->kind = ANSWER_TROUBLE;
	snprintf(a->text, sizeof(a->text), "%s", text);
	answer(socket, a);
	time_wait_ms(backoff_next_ms(backoff));
}

static void fetch_run(const struct worker_task *task, struct s3_client *client, const struct worker_job *job,
		      int fd, _Atomic uint64_t *received, struct worker_answer *a, int socket)
{
	const struct manifest *m = task->manifest;
	const struct manifest_file *file = &m->files[job->run.file];
	struct backoff backoff = { .minimum_ms = 250, .maximum_ms = 30000 };
	uint64_t first = job->run.first * MANIFEST_BLOCK;
	uint64_t last = first + blocks_run_bytes(m, &job->run) - 1;
	struct fetch fetch = { .fd = fd, .at = first, .written_back = first, .received = received };
	char key[2 * S3_KEY_MAX + 2];
	struct s3_object object = { .key = key, .etag = file->etag, .size = file->size };
	int r;

	snprintf(key, sizeof(key), "%s%s", m->source, file->path);
	for (;;) {
		uint64_t before = fetch.at;

		r = fetch.at > last ? 0 : s3_get_range(client, &object, fetch.at, last, to_file, &fetch);
		if (!r || fetch.disk_error || !s3_worth_retry(r))
			break;
		if (fetch.at > before)
			backoff.next_ms = 0;
		trouble(socket, a, s3_client_error(client), &backoff);
	}
	if (!r && fdatasync(fd) < 0)
		fetch.disk_error = -errno;
	a->result = fetch.disk_error ? fetch.disk_error : r;
	a->kind = fetch.disk_error ? ANSWER_DISK : r ? kind_of_failure(r) : ANSWER_DONE;
	snprintf(a->text, sizeof(a->text), "%s", a->kind == ANSWER_DONE ? "" : fetch.disk_error ?
		 strerror(-fetch.disk_error) : s3_client_error(client));
}

struct planning {
	struct manifest manifest;
	size_t skip;		/* length of the prefix in front of each path */
	char *reason;
};

static int plan_object(void *context, const struct s3_object *object)
{
	struct planning *p = context;
	const char *path = object->key + p->skip;
	size_t size = strlen(path);

	/* Stores that show folders keep them as objects with a slash at the end, most of them empty. */
	if (object->size <= MARKER_SIZE_MAX && (size == 0 || path[size - 1] == '/'))
		return 0;
	return manifest_add(&p->manifest, path, object->etag, object->size, p->reason);
}

static int newest_name(const struct worker_task *task, struct s3_client *client, char *ret, char *reason)
{
	_cleanup_(cleanup_free) char *text = NULL;
	char key[S3_KEY_MAX + 1];
	size_t size;
	int r;

	snprintf(key, sizeof(key), "%s%s%s", task->prefix, *task->prefix ? "/" : "", task->latest);
	r = s3_get_small(client, key, LATEST_SIZE_MAX, &text, &size);
	if (r) {
		snprintf(reason, S3_ERROR_MAX, "%s", s3_client_error(client));
		return r;
	}
	r = manifest_parse_latest(text, size, ret);
	if (r)
		snprintf(reason, S3_ERROR_MAX, "%.200s does not hold the name of a snapshot", key);
	return r;
}

/* One attempt. *ret_disk_error is set when it was writing that failed. */
static int plan_once(const struct worker_task *task, struct s3_client *client, const char *wanted, int fd,
		     struct planning *p, int *ret_disk_error)
{
	_cleanup_(cleanup_free) char *text = NULL;
	char name[MANIFEST_NAME_MAX + 1], source[S3_KEY_MAX + 1];
	size_t size;
	int r;

	snprintf(name, sizeof(name), "%s", wanted);
	if (!*name) {
		r = newest_name(task, client, name, p->reason);
		if (r)
			return r;
	}
	snprintf(source, sizeof(source), "%s%s%s/", task->prefix, *task->prefix ? "/" : "", name);
	r = manifest_init(&p->manifest, name, source);
	if (r)
		return r;
	p->skip = strlen(source);
	r = s3_list(client, source, plan_object, p);
	if (r) {
		if (!*p->reason)
			snprintf(p->reason, S3_ERROR_MAX, "%s", s3_client_error(client));
		return r;
	}
	r = manifest_seal(&p->manifest, p->reason);
	if (!r)
		r = manifest_format(&p->manifest, &text, &size);
	if (r)
		return r;
	*ret_disk_error = io_write(fd, text, size);
	if (!*ret_disk_error && fsync(fd) < 0)
		*ret_disk_error = -errno;
	return *ret_disk_error;
}

static void make_plan(const struct worker_task *task, struct s3_client *client, const struct worker_job *job,
		      int fd, struct worker_answer *a, int socket)
{
	struct backoff backoff = { .minimum_ms = 250, .maximum_ms = 30000 };
	char reason[S3_ERROR_MAX];
	int r, disk_error = 0;

	for (;;) {
		struct planning p = { .reason = reason };

		reason[0] = '\0';
		r = plan_once(task, client, job->name, fd, &p, &disk_error);
		a->left_out = p.manifest.left_out;
		manifest_free(&p.manifest);
		if (!r || disk_error || !s3_worth_retry(r))
			break;
		trouble(socket, a, reason, &backoff);
	}
	a->result = r;
	a->kind = disk_error ? ANSWER_DISK : r ? kind_of_failure(r) : ANSWER_DONE;
	snprintf(a->text, sizeof(a->text), "%s", *reason ? reason : r ? strerror(-r) : "");
}

static int receive_job(int socket, struct worker_job *ret, int *ret_fd)
{
	struct iovec part = { ret, sizeof(*ret) };
	struct fd_received received;

	if (fd_receive(socket, &part, 1, 1, &received, 0) != (ssize_t)sizeof(*ret)) {
		fd_close(&received);
		return -EPIPE;
	}
	*ret_fd = received.fds[0];
	return received.n ? 0 : -EBADMSG;
}

/*
 * Nothing of the stage's but memory and its user: no capability, and so no file of the directory but the one that it
 * is given; no descriptor, no descendants, no signal to others.
 */
static void leave_privileges(pid_t parent, int socket)
{
	if (dup2(socket, JOB_FD) < 0 || syscall(SYS_close_range, JOB_FD + 1, ~0u, 0) < 0)
		_exit(1);
	if (capabilities_keep(0, false) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || privilege_no_new() < 0 ||
	    (landlock_version() >= LANDLOCK_WANTED && landlock_scope(false) < 0) ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		_exit(1);
	if (getppid() != parent)
		_exit(1);
}

static _Noreturn void worker_main(const struct worker_task *task, _Atomic uint64_t *received)
{
	char error[S3_ERROR_MAX] = "out of memory";
	struct s3_client *client = NULL;
	int r;

	prctl(PR_SET_NAME, "snapshot-worker", 0, 0, 0);
	r = s3_client_new(task->store, &client, error);
	for (;;) {
		struct worker_answer a = { 0 };
		struct worker_job job;
		int fd;

		if (receive_job(JOB_FD, &job, &fd))
			_exit(0);
		a.run = job.run;
		if (r) {
			a.kind = ANSWER_REFUSED;
			a.result = r;
			memcpy(a.text, error, sizeof(a.text));
		} else if (job.kind == JOB_FETCH)
			fetch_run(task, client, &job, fd, received, &a, JOB_FD);
		else
			make_plan(task, client, &job, fd, &a, JOB_FD);
		close(fd);
		answer(JOB_FD, &a);
	}
}

/* --- the stage's side --- */

int worker_start(const struct worker_task *task, _Atomic uint64_t *received, struct worker *ret)
{
	int pair[2], pidfd;
	pid_t parent = getpid(), pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	atomic_store_explicit(received, 0, memory_order_relaxed);
	pid = fork();
	if (pid == 0) {
		leave_privileges(parent, pair[1]);
		worker_main(task, received);
	}
	close(pair[1]);
	if (pid < 0) {
		int r = -errno;

		close(pair[0]);
		return r;
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		int r = -errno;

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(pair[0]);
		return r;
	}
	fcntl(pidfd, F_SETFD, FD_CLOEXEC);
	*ret = (struct worker){ .pid = pid, .pidfd = pidfd, .socket = pair[0], .received = received };
	return 0;
}

int worker_give(struct worker *worker, const struct worker_job *job, int fd)
{
	struct iovec part = { (void *)job, sizeof(*job) };
	int r;

	atomic_store_explicit(worker->received, 0, memory_order_relaxed);
	r = fd_send(worker->socket, &part, 1, &fd, 1, MSG_DONTWAIT);
	if (r < 0)
		return r == -ECONNRESET ? -EPIPE : r;
	worker->busy = true;
	worker->run = job->run;
	return 0;
}

int worker_hear(struct worker *worker, struct worker_answer *ret)
{
	ssize_t n = recv(worker->socket, ret, sizeof(*ret), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -EPIPE;
	if (n == 0)
		return -EPIPE;
	if (n != (ssize_t)sizeof(*ret) || ret->kind == 0 || ret->kind >= ANSWER_MAX)
		return -EBADMSG;
	ret->text[sizeof(ret->text) - 1] = '\0';
	for (char *p = ret->text; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	if (worker->busy && (ret->run.file != worker->run.file || ret->run.first != worker->run.first ||
			     ret->run.count != worker->run.count))
		return -EBADMSG;
	return 0;
}

void worker_end(struct worker *worker, int *ret_status, bool *ret_signalled)
{
	siginfo_t status = { 0 };

	if (!worker->pid)
		return;
	kill(worker->pid, SIGKILL);
	while (waitid(P_PID, (id_t)worker->pid, &status, WEXITED) < 0 && errno == EINTR)
		;
	if (ret_status)
		*ret_status = status.si_status;
	if (ret_signalled)
		*ret_signalled = status.si_code != CLD_EXITED;
	close(worker->pidfd);
	close(worker->socket);
	*worker = (struct worker){ 0 };
}
