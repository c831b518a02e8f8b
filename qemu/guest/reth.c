/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stand-in for reth in the test image: requires what reth requires (its own user, the JWT file, a snapshot in
 * its data directory), opens its IPC socket when it is ready, and on SIGTERM flushes before it ends, as a database
 * does. On the next start it prints whether the last stop was clean.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define JWT_HEX 64

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

static void check_jwt(const char *path)
{
	char hex[JWT_HEX + 2];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	if (fd < 0)
		die("jwt secret %s: %s", path, strerror(errno));
	size = read(fd, hex, sizeof(hex));
	close(fd);
	if (size != JWT_HEX)
		die("jwt secret %s: %zd bytes, not %d", path, size, JWT_HEX);
	for (int i = 0; i < JWT_HEX; i++)
		if (!strchr("0123456789abcdef", hex[i]))
			die("jwt secret %s: not hexadecimal", path);
}

static void check_snapshot(int datadir, const char *path)
{
	struct stat st;

	if (fstatat(datadir, "db/mdbx.dat", &st, 0) < 0)
		die("%s/db/mdbx.dat: %s: no snapshot", path, strerror(errno));
	if (st.st_uid != geteuid())
		die("%s/db/mdbx.dat: belongs to user %u", path, st.st_uid);
	printf("database of %lld MiB\n", (long long)st.st_size >> 20);
}

/* reth keeps its lock and its state beside the database; here one word says how it ended. */
static void write_mark(int datadir, const char *word)
{
	int fd = openat(datadir, "last-run", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, word, strlen(word)) < 0 || fsync(fd) < 0)
		die("last-run: %s", strerror(errno));
	close(fd);
}

static void read_mark(int datadir)
{
	char word[16] = "";
	int fd = openat(datadir, "last-run", O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		puts("first start");
		return;
	}
	if (read(fd, word, sizeof(word) - 1) < 0)
		die("last-run: %s", strerror(errno));
	close(fd);
	puts(strcmp(word, "clean") ? "last stop was unclean" : "last stop was clean");
}

static int open_ipc(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		die("ipc socket %s: cannot be made", path);
	strcpy(address.sun_path, path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0)
		die("ipc socket %s: %s", path, strerror(errno));
	return fd;
}

static void wait_ms(int signals, int ms)
{
	struct pollfd stop = {.fd = signals, .events = POLLIN};

	poll(&stop, 1, ms);
}

static void serve(int ipc, int signals)
{
	struct pollfd fds[] = {{.fd = ipc, .events = POLLIN}, {.fd = signals, .events = POLLIN}};

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		if (fds[1].revents)
			return;
		if (fds[0].revents) {
			int peer = accept4(ipc, NULL, NULL, SOCK_CLOEXEC);

			if (peer >= 0)
				close(peer);
		}
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"datadir", required_argument, NULL, 'd'},
		{"authrpc.jwtsecret", required_argument, NULL, 'j'},
		{"ipcpath", required_argument, NULL, 'i'},
		{"start-ms", required_argument, NULL, 's'},
		{"flush-ms", required_argument, NULL, 'f'},
		{0},
	};
	const char *datadir = NULL, *jwt = NULL, *ipc_path = NULL;
	int start_ms = 0, flush_ms = 200, option, data, ipc, signals;
	sigset_t mask;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'd': datadir = optarg; break;
		case 'j': jwt = optarg; break;
		case 'i': ipc_path = optarg; break;
		case 's': start_ms = atoi(optarg); break;
		case 'f': flush_ms = atoi(optarg); break;
		default: return 2;
		}
	}
	if (!datadir || !jwt || !ipc_path)
		die("--datadir, --authrpc.jwtsecret and --ipcpath are needed");
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() == 0)
		die("started as root");
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signals = signalfd(-1, &mask, SFD_CLOEXEC);

	data = open(datadir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (data < 0)
		die("%s: %s", datadir, strerror(errno));
	check_jwt(jwt);
	check_snapshot(data, datadir);
	read_mark(data);
	write_mark(data, "running");
	if (start_ms)
		wait_ms(signals, start_ms);
	ipc = open_ipc(ipc_path);
	puts("ipc server started");
	serve(ipc, signals);

	puts("flushing");
	wait_ms(-1, flush_ms);
	write_mark(data, "clean");
	unlink(ipc_path);
	puts("stopped");
	return 0;
}
