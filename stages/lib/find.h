/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which block device is the configured disk. Looks into sysfs only, once, and waits for nothing; the caller
 * subscribes to uevents first and looks again after each. In doubt it is not the disk.
 */
#ifndef STAGES_LIB_FIND_H
#define STAGES_LIB_FIND_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FIND_WHY_MAX  160
#define DISK_NAME_MAX 32

struct disk {
	char name[DISK_NAME_MAX];	/* "sda" */
	char path[DISK_NAME_MAX + 8];	/* "/dev/sda" */
	dev_t number;
	uint64_t size;			/* bytes */
};

/* Where to look: "/sys" and "/proc", or a test's own. */
struct find_roots {
	const char *sys;
	const char *proc;
};

/*
 * The disk with that LUN: SCSI H:C:T:lun, or NVMe namespace lun + 2. Never Azure's OS or temporary disk, nor one that
 * is mounted, swapped on or held by another device. 1: *ret. 0: not there, and why is empty or names the disk that
 * is passed over and the reason. -EEXIST: two disks fit, both named in why. Other negative errno.
 */
int find_disk(const struct find_roots *roots, unsigned lun, struct disk *ret, char why[FIND_WHY_MAX]);

#endif
