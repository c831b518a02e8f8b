/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernel uevents. A caller that subscribes before it scans sysfs misses none. Messages of other processes on the same
 * netlink group are ignored.
 */
#ifndef STAGES_DISK_UEVENT_H
#define STAGES_DISK_UEVENT_H

#include <stddef.h>
#include <stdint.h>

#define UEVENT_SIZE_MAX 8192	/* the kernel's UEVENT_BUFFER_SIZE is 2048, plus its head */

/* Strings lie in the message; those it does not have are NULL. */
struct uevent {
	const char *action;	/* "add", "change", "remove", ... */
	const char *devpath;	/* under /sys */
	const char *subsystem;	/* "block" */
	const char *devtype;	/* "disk", "partition" */
	const char *devname;	/* "sda" */
};

/* A non-blocking descriptor that polls readable when there are uevents. 0 or negative errno. */
int uevent_open(int *ret_fd);

/*
 * The next uevent, read into the given buffer. 1: *ret is filled; 0: none is waiting; -ENOBUFS: the kernel dropped
 * some, so look around again; otherwise negative errno. What is not a well-formed kernel uevent is passed over.
 */
int uevent_receive(int fd, char buffer[UEVENT_SIZE_MAX], struct uevent *ret);

/* Waits until some device of that subsystem has come, gone or changed, or until that moment (time_now_ms()). */
int uevent_wait(int fd, const char *subsystem, int64_t until_ms);

/* Takes a message apart. 0, or -EBADMSG. */
int uevent_parse(const char *message, size_t size, struct uevent *ret);

#endif
