/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a disk is blank, and so may be formatted. In doubt it is not. */
#ifndef STAGES_DISK_BLANK_H
#define STAGES_DISK_BLANK_H

#include <stddef.h>
#include <stdint.h>

#define BLANK_EDGE    (1u << 20)	/* bytes at each end that must be zero */
#define BLANK_SAMPLES 256		/* further places that must be zero, spread evenly */
#define BLANK_SAMPLE  4096u		/* bytes of each */
#define BLANK_NAME_MAX 80
#define BLANK_WHY_MAX 96

/*
 * 1: blank. 0: not, and why says what is there: `ext4 signature`, `gpt partition table`, `byte 512 is not zero`.
 * Negative errno: it could not be read, which is not blank either. Only reads.
 */
int blank_check(int fd, uint64_t size, char why[BLANK_WHY_MAX]);

/*
 * The name of the first signature or partition table that libblkid knows. 1 found, 0 none, negative errno; -EBADMSG:
 * the disk's bytes made the process that reads them fail, and the name says how.
 */
int blank_signature(int fd, char ret_name[BLANK_NAME_MAX]);

/* Whether the disk has a partition that firmware boots from. 1, 0, negative errno as above. */
int blank_is_boot_disk(int fd);

#endif
