/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements watchdog.h after the kernel's watchdog-api.rst: any byte written feeds it, "V" before close disarms it.
 * A timer of the loop feeds it three times within its timeout: a late turn causes no reset, a loop that hangs does.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init/event/event.h"
#include "init/lib/loop.h"
#include "watchdog.h"

#define SECOND 1000000000LL

static const char *device;
static int fd = -1;
static int64_t timeout_ns, give_up_ns;
static struct loop_timer timer;

static void feed(void)
{
	static bool reported;
	bool fed = write(fd, "\n", 1) == 1;

	if (!fed && !reported)
		event_say(EVENT_ERROR, "gantry", "watchdog: cannot feed %s: %s", device, strerror(errno));
	reported = !fed;
	loop_arm(&timer, loop_now_ns() + timeout_ns / 3);
}

/* The driver may round the timeout; its value counts. */
static void set_timeout(void)
{
	int seconds = (int)(timeout_ns / SECOND);

	if (ioctl(fd, WDIOC_SETTIMEOUT, &seconds) < 0) {
		event_say(EVENT_WARNING, "gantry", "watchdog: cannot set the timeout of %s: %s", device,
			  strerror(errno));
		if (ioctl(fd, WDIOC_GETTIMEOUT, &seconds) < 0)
			return;
	}
	if (seconds > 0)
		timeout_ns = seconds * SECOND;
}

static int open_device(void)
{
	struct stat st;
	int r = open(device, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (r < 0)
		return -errno;
	if (fstat(r, &st) < 0 || (!S_ISCHR(st.st_mode) && !S_ISFIFO(st.st_mode))) {
		close(r);
		return -ENOTTY;
	}
	return r;
}

static void look(struct loop_timer *fired)
{
	(void)fired;
	if (fd >= 0) {
		feed();
		return;
	}
	fd = open_device();
	if (fd >= 0) {
		set_timeout();
		event_say(EVENT_NOTICE, "gantry", "watchdog: %s resets the machine if PID 1 hangs for %lld s", device,
			  (long long)(timeout_ns / SECOND));
		feed();
	} else if (loop_now_ns() < give_up_ns) {
		loop_arm(&timer, loop_now_ns() + SECOND);
	} else {
		event_say(EVENT_WARNING, "gantry", "watchdog: cannot open %s: %s; running without it", device,
			  strerror(-fd));
	}
}

void watchdog_init(const char *path, int64_t timeout_ms)
{
	if (!path)
		return;
	device = path;
	timeout_ns = timeout_ms * (SECOND / 1000);
	give_up_ns = loop_now_ns() + WATCHDOG_WAIT_S * SECOND;
	timer.fire = look;
	look(NULL);
}

void watchdog_end(bool disarm)
{
	if (fd < 0)
		return;
	loop_disarm(&timer);
	/* If this write fails, the device stays armed. */
	if (write(fd, disarm ? "V" : "\n", 1) == 1 && disarm)
		close(fd);
	fd = -1;
}
