/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first process of a container, mounted there by `podman run --init` as /run/podman-init. The kernel ignores
 * signals that a namespace's first process has no handler for, so a program in its place would not end by SIGTERM; and
 * nobody else waits for orphans. It forwards every signal to the program. A program that ends because it was told to
 * may leave others (a shell's database): they are told too, and the container lasts until they have ended; how long
 * that may take is the service's grace, not decided here.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gantry/role.h>

#define NOT_FOUND      127	/* as a shell reports them */
#define NOT_EXECUTABLE 126

static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static _Noreturn void execute(char **words, const sigset_t *mask)
{
	int error;

	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(words[0], words);
	error = errno;
	dprintf(2, "%s: %s\n", words[0], strerror(error));
	_exit(error == ENOENT ? NOT_FOUND : NOT_EXECUTABLE);
}

/* Reaps what has ended. True: nothing is left, or the program has ended and nobody was told to. */
static bool reap(pid_t program, int told, int *status, bool *ended)
{
	pid_t pid;
	int how;

	while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
		if (pid != program)
			continue;
		*ended = true;
		*status = exit_status(how);
		if (told)
			kill(-1, told);
	}
	return *ended && (!told || pid < 0);
}

/* The signals by which programs are told to end; a service's `stop_signal` may be another one, which then ends all. */
static bool asks_to_end(int sig)
{
	return sig == SIGTERM || sig == SIGINT || sig == SIGQUIT;
}

int container_init_main(int argc, char **argv)
{
	char **words = argv + (argc > 1 && !strcmp(argv[1], "--") ? 2 : 1);
	int status = 0, told = 0;
	bool ended = false;
	sigset_t all, old;
	pid_t program;

	if (!words[0]) {
		fprintf(stderr, "podman-init: no program\n");
		return NOT_FOUND;
	}
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	program = fork();
	if (program < 0) {
		fprintf(stderr, "podman-init: %s\n", strerror(errno));
		return NOT_EXECUTABLE;
	}
	if (program == 0)
		execute(words, &old);
	while (!reap(program, told, &status, &ended)) {
		int sig = sigwaitinfo(&all, NULL);

		if (sig <= 0 || sig == SIGCHLD)
			continue;
		if (asks_to_end(sig))
			told = sig;
		kill(ended ? -1 : program, sig);
	}
	return status;
}
