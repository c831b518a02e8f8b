/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The LUKS2 header, read by a child (reader.h), and the child's answer checked (luksform.h). */
#ifndef STAGES_DISK_LUKSREAD_H
#define STAGES_DISK_LUKSREAD_H

#include "luksmetadata.h"

#define LUKS_HEADS_SIZE (2 * LUKS_COPY_MAX)	/* the largest copies: all that is read of a header at first */

/*
 * Of the first LUKS_HEADS_SIZE bytes of a disk of that size. 1: *ret is what the header says, and all of it is within
 * its bounds; 0: no LUKS header; -EBADMSG: it is refused, or the child has crashed, with the reason in why; any other
 * errno: there was no child. *ret is untouched then.
 */
int luks_read(const uint8_t *bytes, uint64_t device_size, const struct luks_expect *expect, struct luks_header *ret,
	      char why[LUKS_WHY_MAX]);

#endif
