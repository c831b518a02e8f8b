/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements cgroup.h. All of this is the kernel's own memory: no call here waits for a disk. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "event.h"

#define BASE "/sys/fs/cgroup/gantry"

static bool present;

static int write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		r = -errno;
	close(fd);
	return r;
}

void cgroup_init(void)
{
	static const char *const controllers[] = {"+cpu", "+memory", "+io", "+pids"};

	if (mkdir(BASE, 0755) < 0 && errno != EEXIST) {
		event_say(EVENT_WARNING, "gantry", "cgroup2: cannot create %s: %s; services run without limits", BASE,
			  strerror(errno));
		return;
	}
	present = access(BASE "/cgroup.procs", F_OK) == 0;
	if (!present)
		event_say(EVENT_WARNING, "gantry", "cgroup2 is not mounted; services run without limits");
	if (!present || (write_file("/sys/fs/cgroup/cgroup.subtree_control", "+cpu +memory +io +pids") == 0 &&
			 write_file(BASE "/cgroup.subtree_control", "+cpu +memory +io +pids") == 0))
		return;
	/* One that is not there has failed all: each by itself. */
	for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++) {
		write_file("/sys/fs/cgroup/cgroup.subtree_control", controllers[i]);
		write_file(BASE "/cgroup.subtree_control", controllers[i]);
	}
}

int cgroup_open(const struct config_node *node)
{
	char path[PATH_MAX];

	if (!present)
		return -1;
	snprintf(path, sizeof(path), BASE "/%s", node->name);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -1;
	for (size_t i = 0; i < node->n_cgroup; i++) {
		int r;

		snprintf(path, sizeof(path), BASE "/%s/%s", node->name, node->cgroup[i].name);
		r = write_file(path, node->cgroup[i].value);
		if (r < 0)
			event_say(EVENT_WARNING, node->name, "cgroup %s = \"%s\" refused: %s", node->cgroup[i].name,
				  node->cgroup[i].value, strerror(-r));
	}
	snprintf(path, sizeof(path), BASE "/%s", node->name);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool cgroup_kill(const char *name)
{
	char path[PATH_MAX];

	if (!present)
		return false;
	snprintf(path, sizeof(path), BASE "/%s/cgroup.kill", name);
	return write_file(path, "1") == 0;
}

void cgroup_remove(const char *name)
{
	char path[PATH_MAX];

	if (!present)
		return;
	snprintf(path, sizeof(path), BASE "/%s", name);
	rmdir(path);
}

bool cgroup_of(pid_t pid, char *ret)
{
	char path[64], line[512], *at;
	size_t length;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return false;
	line[n] = '\0';
	at = strstr(line, "/gantry/");
	if (!at)
		return false;
	at += strlen("/gantry/");
	length = strcspn(at, "/\n");
	if (!length || length >= NODE_NAME_MAX)
		return false;
	memcpy(ret, at, length);
	ret[length] = '\0';
	return true;
}
