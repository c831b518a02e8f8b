/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names in /dev that udev makes elsewhere and that programs of a node ask for: /dev/ptp_hyperv, which Azure's own
 * advice for chronyd names, and Azure's names of disks. Each is a symbolic link to the kernel's own name, for a device
 * that is there at the start and for one that comes later, and is gone with the device.
 */
#ifndef INIT_PID1_LINKS_H
#define INIT_PID1_LINKS_H

/* Makes those of the devices that are there, and watches /dev for more. 0, or negative errno: it cannot watch. */
int links_init(void);

/* The name below `dev` for a device of that kernel name, from the attributes below `sys`; for tests. 0: it has none. */
int links_find(const char *sys, const char *name, char *ret, int size);

/* The same for all, and the link to it, also if another one is there; or away with the links to it. */
void links_make(const char *sys, const char *dev, const char *name);
void links_remove(const char *dev, const char *name);

#endif
