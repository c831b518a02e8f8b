/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stand-in for rbuilder in the test image: a second service, ordered after reth. It reads the rendered
 * configuration, connects to reth's IPC socket once, then listens on its TCP port (its readiness) until SIGTERM.
 * With NOTIFY_SOCKET in the environment it also sends READY=1 to that socket.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("fatal: ", stderr);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void check_config(const char *path)
{
	char line[512];
	unsigned lines = 0;
	FILE *file = fopen(path, "re");

	if (!file)
		die("configuration %s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		if (strstr(line, "{{"))
			die("configuration %s: line %u was not rendered", path, lines + 1);
		lines++;
	}
	fclose(file);
	printf("configuration of %u lines\n", lines);
}

static int unix_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address->sun_path))
		return -1;
	strcpy(address->sun_path, path);
	return 0;
}

static void check_ipc(const char *path)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (unix_address(&address, path) < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("reth's ipc socket %s: %s", path, strerror(errno));
	close(fd);
	puts("reth answers");
}

static int listen_on(char *where)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *colon = strrchr(where, ':');

	if (!colon)
		die("--listen %s: no port", where);
	*colon = '\0';
	address.sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, where, &address.sin_addr) != 1)
		die("--listen %s: not an address", where);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0)
		die("port %s: %s", colon + 1, strerror(errno));
	return fd;
}

static void notify_ready(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	int fd;

	if (!path || unix_address(&address, path) < 0)
		return;
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&address,
		   offsetof(struct sockaddr_un, sun_path) + strlen(path)) < 0)
		die("notify socket: %s", strerror(errno));
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"ipcpath", required_argument, NULL, 'i'},
		{"listen", required_argument, NULL, 'l'},
		{0},
	};
	const char *config = NULL, *ipc = NULL;
	char *where = NULL;
	struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};
	sigset_t mask;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c': config = optarg; break;
		case 'i': ipc = optarg; break;
		case 'l': where = optarg; break;
		default: return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	if (config)
		check_config(config);
	if (ipc)
		check_ipc(ipc);
	fds[0].fd = signalfd(-1, &mask, SFD_CLOEXEC);
	fds[1].fd = where ? listen_on(where) : -1;
	notify_ready();
	puts("serving");
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		if (fds[0].revents)
			break;
		if (fds[1].revents) {
			int peer = accept4(fds[1].fd, NULL, NULL, SOCK_CLOEXEC);

			if (peer >= 0)
				close(peer);
		}
	}
	puts("stopped");
	return 0;
}
