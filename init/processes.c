/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements processes.h with /proc/PID/stat: of all its files the one that neither locks nor touches the process. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "processes.h"

#define PF_KTHREAD 0x00200000	/* the kernel's include/linux/sched.h */

/* True: a process that lives, as "PID (NAME) STATE PPID PGRP SESSION TTY TPGID FLAGS ..." says; see proc(5). */
static bool lives(const char *pid, char *name, size_t size)
{
	char path[64], line[512], state = 'X', *open_bracket, *close_bracket;
	unsigned long flags = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return false;
	line[n] = '\0';
	open_bracket = strchr(line, '(');
	close_bracket = strrchr(line, ')');	/* the name may have some of its own */
	if (!open_bracket || !close_bracket ||
	    sscanf(close_bracket + 1, " %c %*d %*d %*d %*d %*d %lu", &state, &flags) != 2)
		return false;
	snprintf(name, size, "%.*s", (int)(close_bracket - open_bracket - 1), open_bracket + 1);
	return state != 'Z' && state != 'X' && !(flags & PF_KTHREAD);
}

size_t processes_signal(int sig, pid_t except, char *name, size_t size)
{
	_cleanup_(cleanup_closedir) DIR *dir = opendir("/proc");
	struct dirent *entry;
	char this[64];
	size_t n = 0;

	name[0] = '\0';
	while (dir && (entry = readdir(dir))) {
		pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)atol(entry->d_name) : 0;

		if (pid <= 1 || pid == except || !lives(entry->d_name, this, sizeof(this)))
			continue;
		if (sig)
			kill(pid, sig);
		if (n++ == 0)
			snprintf(name, size, "%s", this);
	}
	return n;
}
