/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The role `tpm`: the only process that has the TPM. PID 1 starts it before any stage, hands it one end of a socket
 * pair for each stage attempt that may ask something, and tells it when PCR 15 is to be extended (gantry/tpm.h). The
 * device may come at any time: inotify tells, and PCR 15 is then extended at once if that was due before. It ends with
 * TPM2_Shutdown on SIGTERM, or when PID 1 has closed its end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/stage.h>
#include <gantry/tpm.h>

#include "confine.h"
#include "init/lib/fdpass.h"
#include "init/lib/options.h"
#include "serve.h"
#include "stages/lib/report.h"

#define OPTIONS_SIZE_MAX 4096
#define CLIENTS_MAX      256	/* stages at a time; one that comes beyond it fails, and is tried again */
#define AGAIN_MS         1000	/* after PCR 15 could not be extended */
#define RECEIVE_S        1	/* that a stage's message may keep this process busy */

enum {AT_ORDERS, AT_SIGNALS, AT_DEVICE, AT_CLIENTS};

struct client {
	int fd;
	struct serve_client state;
};

static char tcti[256] = TPM_TCTI_DEFAULT;
static int device_fd = -1;	/* inotify: the directory where the TPM will appear; -1: it is there */
static struct client clients[CLIENTS_MAX];
static size_t n_clients;
static char why[60];		/* why PCR 15 is to be extended, for the event */
static bool told_failure, told_closed;
static struct serve serve;

/* ---- PCR 15 ----------------------------------------------------------------------------------------------------- */

static void tell_pid1(void)
{
	(void)report_send(REPORT_FLAGS, TPM_CLOSING, sizeof(TPM_CLOSING));
	if (!why[0])
		snprintf(why, sizeof(why), "a disk is open");
	if (!serve.chip)
		report_event(EVENT_DEBUG, "no TPM yet: PCR 15 will be extended as soon as there is one");
}

/* After each input that may have made it due, and again after a failure. */
static void close_if_due(void)
{
	int r = serve_close(&serve);

	if (r < 0 && !told_failure)
		report_event(EVENT_WARNING, "PCR 15 not extended: %s; trying again", chip_reason(serve.chip));
	told_failure = r < 0;
	if (!serve.closing.wanted || !serve.closing.closed || told_closed)
		return;
	told_closed = true;
	report_event(EVENT_INFO, "PCR 15 extended: %s", why);
}

/* ---- the device ------------------------------------------------------------------------------------------------- */

static void fail(const char *what, int error)
{
	report_result("%s: %s", what, strerror(-error));
	exit(STAGE_NEVER);
}

/* Whether the TPM is there. */
static bool look(void)
{
	static const uint8_t zeros[TPM_DIGEST_SIZE];
	static int told;
	uint8_t now[TPM_DIGEST_SIZE] = {0};
	const char *what;
	int r;

	if (serve.chip)
		return true;
	r = chip_open(tcti, &serve.chip);
	if (r < 0 && r != -ENOENT && r != told)
		report_event(EVENT_WARNING, "TPM %s: %s", tcti, strerror(-r));
	told = r;
	if (r < 0)
		return false;
	if (device_fd >= 0)
		close(device_fd);
	device_fd = -1;
	r = tpmconfine_open(&what);
	if (r < 0)
		fail(what, r);
	(void)chip_pcr_read(serve.chip, TPM_PCR_CLOSE, now);	/* serve_close() reads it again */
	closing_device(&serve.closing, memcmp(now, zeros, sizeof(now)) == 0);
	told_closed = serve.closing.closed;
	report_event(EVENT_INFO, "TPM opened%s", serve.closing.closed ? ", PCR 15 is extended already" : "");
	close_if_due();
	return true;
}

static void device_changed(void)
{
	char events[4096];

	while (read(device_fd, events, sizeof(events)) > 0)
		;
	(void)look();
}

/* Watches the directory of the device's (or socket's) path; *ret_fd is open on it. */
static int watch(int *ret_fd)
{
	char directory[sizeof(tcti)], *path, *slash;

	snprintf(directory, sizeof(directory), "%s", tcti);
	path = strchr(directory, '/');
	slash = path ? strrchr(path, '/') : NULL;
	if (!path)
		return -EINVAL;
	slash[slash == path] = '\0';
	*ret_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	device_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (*ret_fd < 0 || device_fd < 0 ||
	    inotify_add_watch(device_fd, path, IN_CREATE | IN_MOVED_TO | IN_ATTRIB) < 0)
		return -errno;
	return 0;
}

/* ---- stages ----------------------------------------------------------------------------------------------------- */

static void woken(int sig)
{
	(void)sig;
}

/*
 * A stage that has been broken into may attach a descriptor whose last close waits, as a lingering TCP socket's does.
 * A signal ends such a wait.
 */
static void bound(unsigned seconds)
{
	setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_sec = seconds,
						   .it_interval.tv_sec = seconds}, NULL);
}

static void drop(size_t i)
{
	bound(RECEIVE_S);
	close(clients[i].fd);
	bound(0);
	clients[i] = clients[--n_clients];
}

static void add(int fd, unsigned use)
{
	if (n_clients == CLIENTS_MAX) {
		close(fd);	/* from PID 1: its queue is empty */
		return;
	}
	clients[n_clients++] = (struct client){.fd = fd, .state.use = (enum stage_tpm)use};
}

static bool send_answer(int fd, const struct serve_answer *answer)
{
	struct iovec part = {(void *)answer, sizeof(answer->head) + answer->head.size};
	_Static_assert(offsetof(struct serve_answer, body) == sizeof(struct tpm_answer), "one after the other");

	return fd_send(fd, &part, 1, NULL, 0, MSG_DONTWAIT) == 0;
}

/* One request. Returns false if the client has ended. */
static bool serve_one(struct client *client)
{
	static struct serve_answer answer;
	static _Alignas(8) uint8_t request[sizeof(struct tpm_request) + TPM_REQUEST_SIZE_MAX + 1];
	struct iovec part = {request, sizeof(request)};
	struct fd_received received;
	ssize_t n;
	bool good;

	bound(RECEIVE_S);
	n = fd_receive(client->fd, &part, 1, 0, &received, MSG_DONTWAIT);
	bound(0);
	if (n == -EAGAIN || n == -EINTR)
		return true;
	if (n <= 0)
		return false;
	serve_request(&serve, &client->state, request, (size_t)n, &answer);
	close_if_due();
	good = send_answer(client->fd, &answer);
	explicit_bzero(request, sizeof(request));
	explicit_bzero(&answer, sizeof(answer.head) + answer.head.size);
	return good;
}

/* ---- PID 1 ------------------------------------------------------------------------------------------------------ */

/* Returns false at the end. */
static bool take_order(void)
{
	struct fd_received received;
	struct tpm_order order;
	struct iovec part = {&order, sizeof(order)};
	ssize_t n = fd_receive(TPM_ORDERS_FD, &part, 1, 1, &received, MSG_DONTWAIT);

	if (n == -EAGAIN || n == -EINTR)
		return true;
	if (n != sizeof(order)) {
		fd_close(&received);
		return false;
	}
	order.text[sizeof(order.text) - 1] = '\0';
	if (order.kind == TPM_CLIENT && received.n == 1) {
		add(received.fds[0], order.use);
		return true;
	}
	if (order.kind == TPM_CLOSE) {
		if (!why[0])
			memcpy(why, order.text, sizeof(why));
		closing_want(&serve.closing, NULL);
		close_if_due();
	}
	fd_close(&received);
	return true;
}

static void shut_down(void)
{
	int r = serve.chip ? chip_shutdown(serve.chip) : -ENOENT;

	if (r == 0)
		report_event(EVENT_INFO, "TPM shut down");
	else if (serve.chip)
		report_event(EVENT_WARNING, "%s", chip_reason(serve.chip));
}

/* Until the end. */
static void turn_around(int signals)
{
	struct pollfd fds[AT_CLIENTS + CLIENTS_MAX];

	for (;;) {
		size_t n = n_clients;

		fds[AT_ORDERS] = (struct pollfd){.fd = TPM_ORDERS_FD, .events = POLLIN};
		fds[AT_SIGNALS] = (struct pollfd){.fd = signals, .events = POLLIN};
		fds[AT_DEVICE] = (struct pollfd){.fd = device_fd, .events = POLLIN};
		for (size_t i = 0; i < n; i++)
			fds[AT_CLIENTS + i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
		if (serve.chip && chip_is_broken(serve.chip)) {
			report_result("%s", chip_reason(serve.chip));
			exit(STAGE_AGAIN);	/* PID 1 starts an owner that opens the TPM anew, and tells it again */
		}
		if (poll(fds, AT_CLIENTS + n, closing_due(&serve.closing) ? AGAIN_MS : -1) < 0)
			continue;
		close_if_due();
		if (fds[AT_SIGNALS].revents)
			return;
		if (fds[AT_ORDERS].revents) {	/* before any request: nothing is unsealed that need not be */
			if (!take_order())
				return;
			continue;
		}
		if (fds[AT_DEVICE].revents && device_fd >= 0)
			device_changed();
		/* From the last on: drop() fills a gap with the last one. */
		for (size_t i = n; i-- > 0;)
			if (fds[AT_CLIENTS + i].revents && !serve_one(&clients[i]))
				drop(i);
	}
}

static int read_options(void)
{
	struct json_object *options = NULL, *value;
	int r = options_json(OPTIONS_SIZE_MAX, &options);

	if (r == 0 && json_object_object_get_ex(options, "tcti", &value) &&
	    snprintf(tcti, sizeof(tcti), "%s", json_object_get_string(value)) >= (int)sizeof(tcti))
		r = -ENAMETOOLONG;
	json_object_put(options);
	return r;
}

static int own_descriptors(int *ret_signals)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_SETMASK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = woken}, NULL);
	if (syscall(SYS_close_range, TPM_ORDERS_FD + 1, ~0U, 0) < 0)
		return -errno;
	*ret_signals = signalfd(-1, &ends, SFD_CLOEXEC);
	return *ret_signals < 0 ? -errno : 0;
}

int tpm_main(int argc, char **argv)
{
	const char *what = "options";
	int signals = -1, directory = -1, r;

	(void)argc;
	(void)argv;
	prctl(PR_SET_NAME, "gantry-tpm");
	r = own_descriptors(&signals);
	if (r == 0)
		r = read_options();
	if (r < 0)
		fail(what, r);
	r = watch(&directory);
	if (r < 0)
		fail(tcti, r);
	serve.wanted = tell_pid1;
	serve.look = look;
	r = tpmconfine_waiting(directory, strncmp(tcti, "swtpm:", 6) == 0, &what);
	if (r < 0)
		fail(what, r);
	close(directory);
	(void)look();
	turn_around(signals);
	shut_down();
	chip_close(serve.chip);
	return 0;
}
