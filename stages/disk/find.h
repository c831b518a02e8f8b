/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which block device is the configured disk. Scans sysfs once, without waiting: the caller subscribes to uevents first
 * and scans again after each. In doubt a disk is not the configured one.
 */
#ifndef STAGES_DISK_FIND_H
#define STAGES_DISK_FIND_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FIND_WHY_MAX  200
#define DISK_NAME_MAX 32
#define DISK_ID_MAX   128

/* The rule by which the disk is known. */
struct find_rule {
	enum find_by {
		FIND_LUN,	/* SCSI H:C:T:number, or NVMe namespace number + 2 */
		FIND_NSID,	/* NVMe namespace number */
		FIND_SERIAL,	/* text */
		FIND_WWID,	/* text */
		FIND_LARGEST,	/* of all that may be taken */
		FIND_BY_MAX,
	} by;
	unsigned number;
	const char *text;
};

struct disk {
	char name[DISK_NAME_MAX];	/* "sda" */
	char path[DISK_NAME_MAX + 8];	/* "/dev/sda" */
	dev_t number;
	uint64_t size;			/* bytes */
	char serial[DISK_ID_MAX];	/* as the disk reports it; empty: none */
	char wwid[DISK_ID_MAX];
	char model[DISK_ID_MAX];	/* likewise */
};

/* Where to look: "/sys" and "/proc", or a test's own. */
struct find_roots {
	const char *sys;
	const char *proc;
};

/* "lun 10", "serial 3604f06b", "the largest": the rule in words. */
const char *find_text(const struct find_rule *rule, char text[FIND_WHY_MAX]);

/* Fills in the description of a disk, used or not. 0, -ENODEV. */
int find_describe(const struct find_roots *roots, const char *name, struct disk *ret);

/*
 * The disk of that rule. Never Azure's OS or temporary disk, nor one that is mounted, swapped on or held by another
 * device, nor one that `refuse` has a word against (NULL: none has); that one is asked about disks which the rule fits
 * and nothing else speaks against. 1: *ret. 0: not there, and why is empty or names the disk that is passed over and
 * the reason. -EEXIST: two disks fit, both named in why. Other negative errno.
 */
int find_disk(const struct find_roots *roots, const struct find_rule *rule,
	      const char *(*refuse)(const struct disk *disk), struct disk *ret, char why[FIND_WHY_MAX]);

#endif
