/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements dhcpcd.h. Another program that calls itself dhcpcd must fit the same rules. */
#define _GNU_SOURCE
#include "dhcpcd.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "init/lib/procfs.h"

#define NAME "dhcpcd\n"
#define BIT(capability) (UINT64_C(1) << (capability))
#define OF_THE_PROXY (BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW) | BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SYS_CHROOT))

/* The text behind "\nNAME:\t"; "" without that line. */
static const char *field(const char *status, const char *name)
{
	char key[32];
	const char *found;
	int n = snprintf(key, sizeof(key), "\n%s:\t", name);

	found = strstr(status, key);
	return found ? found + n : "";
}

/* Real, effective, saved and file system uid: none may be root's. */
static bool has_root(const char *uids)
{
	char *end;

	for (int i = 0; i < 4; i++, uids = end)
		if (strtoul(uids, &end, 10) == 0)	/* also if there is no number */
			return true;
	return false;
}

bool dhcpcd_confined(pid_t pid, const char *status, unsigned *privileged, char *why, size_t size)
{
	const char *effective = field(status, "CapEff");
	uint64_t capabilities = effective[0] ? strtoull(effective, NULL, 16) : UINT64_MAX;
	const char *wrong = NULL;

	if (has_root(field(status, "Uid")))
		wrong = "runs as root";
	else if (field(status, "NoNewPrivs")[0] != '1')
		wrong = "could gain privileges";
	else if (capabilities & ~OF_THE_PROXY)
		wrong = "has capabilities beyond its own";
	else if (capabilities && ++*privileged > 1)
		wrong = "has capabilities, as another one has";
	else if (!capabilities && field(status, "Seccomp")[0] != '2')
		wrong = "has no system call filter";
	if (wrong)
		snprintf(why, size, "dhcpcd is not confined: process %d %s", (int)pid, wrong);
	return !wrong;
}

int dhcpcd_look(char *why, size_t size)
{
	unsigned privileged = 0;
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	int r = proc ? 0 : -errno;

	while (r == 0 && (entry = readdir(proc))) {
		pid_t pid = (pid_t)atoi(entry->d_name);
		char text[4096];

		if (pid <= 0 || !procfs_read(pid, "comm", text, sizeof(text)) || strcmp(text, NAME) != 0)
			continue;
		/* One that has just ended has nothing to read. */
		if (procfs_read(pid, "status", text, sizeof(text)) && !strstr(text, "\nState:\tZ") &&
		    !dhcpcd_confined(pid, text, &privileged, why, size))
			r = 1;
	}
	if (proc)
		closedir(proc);
	return r;
}
