/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements processes.h with /proc/PID/stat, which can be read without taking locks of the process. */
#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gantry/cleanup.h>

#include "init/lib/procfs.h"
#include "processes.h"
#include "relay.h"

#define PF_KTHREAD 0x00200000	/* the kernel's include/linux/sched.h */

struct process {
	char name[64], state;
	int parent;
	unsigned long flags;
};

/* Parses "PID (NAME) STATE PPID PGRP SESSION TTY TPGID FLAGS ..." (proc(5)). Returns false if there is no such pid. */
static bool look(pid_t pid, struct process *ret)
{
	char line[512], *open_bracket, *close_bracket;

	if (!procfs_read(pid, "stat", line, sizeof(line)))
		return false;
	open_bracket = strchr(line, '(');
	close_bracket = strrchr(line, ')');	/* the last one: the name may contain brackets */
	if (!open_bracket || !close_bracket ||
	    sscanf(close_bracket + 1, " %c %d %*d %*d %*d %*d %lu", &ret->state, &ret->parent, &ret->flags) != 3)
		return false;
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)(close_bracket - open_bracket - 1), open_bracket + 1);
	return true;
}

bool processes_is_kernels(pid_t pid)
{
	struct process process, parent;

	return look(pid, &process) && process.parent > 1 && look(process.parent, &parent) && parent.flags & PF_KTHREAD;
}

size_t processes_signal(int sig, pid_t except, char *name, size_t size)
{
	_cleanup_(cleanup_closedir) DIR *dir = opendir("/proc");
	struct dirent *entry;
	struct process process;
	size_t n = 0;

	name[0] = '\0';
	while (dir && (entry = readdir(dir))) {
		pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)atol(entry->d_name) : 0;

		if (pid <= 1 || pid == except || pid == relay_pid() || !look(pid, &process) ||
		    process.state == 'Z' || process.state == 'X' || process.flags & PF_KTHREAD)
			continue;
		if (sig)
			kill(pid, sig);
		if (n++ == 0)
			snprintf(name, size, "%s", process.name);
	}
	return n;
}
