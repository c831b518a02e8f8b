/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event socket /run/gantry/events: each datagram of any local process becomes one event. Its source is the stage or
 * service that the sender's pid, from the kernel's credentials, belongs to, or "pid-N"; a sender cannot choose it.
 */
#ifndef INIT_EVENT_EVENTSOCK_H
#define INIT_EVENT_EVENTSOCK_H

/*
 * Binds the socket (mode 0666) and reads it from the loop. whose: the name of the stage or service that a process
 * belongs to, or NULL. 0, or negative errno, which is also reported as an event.
 */
int eventsock_init(const char *path, const char *(*whose)(int pid));

/*
 * Reads all queued datagrams. Called before a process is reaped: while it is a zombie its cgroup is still known, so
 * its last events get the right source.
 */
void eventsock_drain(void);

#endif
