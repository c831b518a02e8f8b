/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements opener.h. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "confine.h"
#include "file.h"
#include "init/config/check.h"
#include "init/config/format.h"
#include "init/lib/account.h"
#include "init/lib/fdpass.h"
#include "opener.h"

#define GROUP_PATH "/etc/group"

/* Each answer is 0 with the descriptor attached, or negative errno. */
static int open_directory(const struct log_hello *hello)
{
	gid_t gid = 0;
	int r = strcmp(hello->group, "root") ? account_group(GROUP_PATH, hello->group, &gid) : 0;

	return r < 0 ? r : logfile_directory_of(hello->directory, LOG_UID, gid);
}

_Noreturn static void serve(const struct log_hello *hello, int socket)
{
	const char *what;
	char byte;

	prctl(PR_SET_NAME, "gantry-log-open");
	if (logconfine_opener(&what) < 0)
		_exit(1);
	while (recv(socket, &byte, 1, 0) == 1) {
		int fd = open_directory(hello);
		int32_t result = fd < 0 ? fd : 0;
		struct iovec part = {&result, sizeof(result)};

		if (fd_send(socket, &part, 1, &fd, fd >= 0, 0) < 0 || fd >= 0)
			break;
	}
	_exit(0);
}

int logopener_start(const struct log_hello *hello, int *ret_socket)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	signal(SIGCHLD, SIG_IGN);	/* the kernel reaps it */
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		close(LOG_CHANNEL_FD);
		serve(hello, pair[1]);
	}
	close(pair[1]);
	*ret_socket = pair[0];
	return pid < 0 ? -errno : 0;
}

int logopener_ask(int socket)
{
	int32_t result = -EPIPE;
	struct iovec part = {&result, sizeof(result)};
	struct fd_received received;

	if (send(socket, "o", 1, MSG_NOSIGNAL) != 1)
		return -errno;
	if (fd_receive(socket, &part, 1, 1, &received, 0) != sizeof(result)) {
		fd_close(&received);
		return -EPIPE;
	}
	return result < 0 ? result : received.n ? received.fds[0] : -EPIPE;
}
