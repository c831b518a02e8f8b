/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event socket /run/gantry/events: any local process sends a datagram, it becomes one event. The source is the
 * stage or service that the sender belongs to, as the kernel's credentials say, or "pid-N": never what it claims.
 */
#ifndef INIT_EVENT_EVENTSOCK_H
#define INIT_EVENT_EVENTSOCK_H

/*
 * Binds the socket (mode 0666) and reads it from the loop; 0 or negative errno, said as an event. whose: the name of the
 * stage or service that a process belongs to, or NULL.
 */
int eventsock_init(const char *path, const char *(*whose)(int pid));

/*
 * Reads what is in the queue now. Called before a process is reaped: as long as it is a zombie, the kernel still says
 * which cgroup it was in, so its last words get their source.
 */
void eventsock_drain(void);

#endif
