/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements button.h with evdev; /dev/input is watched by inotify, since the driver may come as a module. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "button.h"
#include "init/event/event.h"
#include "init/lib/loop.h"

#define BUTTONS_MAX 4

struct button {
	struct loop_source source;
	char name[32];
};

static struct button buttons[BUTTONS_MAX];
static struct loop_source folder = LOOP_SOURCE_INIT;
static void (*pressed)(void);

static void button_ready(struct loop_source *source, uint32_t events)
{
	struct input_event event;
	ssize_t n;

	(void)events;
	while ((n = read(source->fd, &event, sizeof(event))) == (ssize_t)sizeof(event)) {
		if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1) {
			pressed();
			return;
		}
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	n = source->fd;
	loop_remove(source);
	close((int)n);
}

static bool has_power_key(int fd)
{
	unsigned char keys[KEY_MAX / 8 + 1] = {0};

	return ioctl(fd, EVIOCGBIT(EV_KEY, sizeof(keys)), keys) >= 0 && (keys[KEY_POWER / 8] & 1 << KEY_POWER % 8);
}

static void try_device(const char *name)
{
	struct button *free_slot = NULL;
	char path[300];
	int fd;

	if (strncmp(name, "event", 5) || strlen(name) >= sizeof(free_slot->name))
		return;
	for (int i = 0; i < BUTTONS_MAX; i++) {
		if (buttons[i].source.fd < 0)
			free_slot = &buttons[i];
		else if (!strcmp(buttons[i].name, name))
			return;
	}
	snprintf(path, sizeof(path), "/dev/input/%s", name);
	fd = free_slot ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	if (fd < 0)
		return;
	if (!has_power_key(fd) || loop_add(&free_slot->source, fd, EPOLLIN) < 0) {
		close(fd);
		return;
	}
	memcpy(free_slot->name, name, strlen(name) + 1);
}

static void scan(void)
{
	_cleanup_(cleanup_closedir) DIR *dir = opendir("/dev/input");
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		try_device(entry->d_name);
}

static void folder_ready(struct loop_source *source, uint32_t events)
{
	char bytes[4096];

	(void)events;
	while (read(source->fd, bytes, sizeof(bytes)) > 0)
		;
	scan();
}

void button_init(void (*callback)(void))
{
	int fd;

	pressed = callback;
	for (int i = 0; i < BUTTONS_MAX; i++) {
		buttons[i].source.fd = -1;
		buttons[i].source.ready = button_ready;
	}
	folder.ready = folder_ready;
	mkdir("/dev/input", 0755);
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0 || inotify_add_watch(fd, "/dev/input", IN_CREATE | IN_ATTRIB) < 0 ||
	    loop_add(&folder, fd, EPOLLIN) < 0) {
		event_say(EVENT_WARNING, "gantry", "power button: cannot watch /dev/input: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	scan();
}
