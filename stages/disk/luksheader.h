/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The LUKS2 header as hostile input: a parser that accepts only the forms this stage opens, and refuses all others with
 * a reason. It works on a copy in memory, in a child of the stage (reader.h), and touches no device. The metadata is
 * parsed by luksmetadata.h.
 */
#ifndef STAGES_DISK_LUKSHEADER_H
#define STAGES_DISK_LUKSHEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "luksmetadata.h"

#define LUKS_HEAD_SIZE (68u << 10)	/* up to where a secondary copy may begin, and its binary part */

/*
 * The size of both copies together, from the first LUKS_HEAD_SIZE bytes of a disk. 0: no LUKS2 header; -EBADMSG: a
 * refused one, with the reason in why. A missing primary copy is not refused while the secondary one is there.
 */
int64_t luks_header_size(const void *bytes, size_t size, char why[LUKS_WHY_MAX]);

/*
 * Checks both copies (as many bytes as luks_header_size() said) of a disk of device_size bytes. Of two good ones the
 * newer counts, as `ret->copies` records; it alone passes every check. 0, -ENOMEM, or -EBADMSG with the reason: `cipher
 * "cipher_null-ecb" is not aes-xts-plain64`, `both copies are damaged`. After an error *ret is of no use.
 */
int luks_header_check(const void *bytes, size_t size, uint64_t device_size, const struct luks_expect *expect,
		      struct luks_header *ret, char why[LUKS_WHY_MAX]);

/*
 * Makes the copy that cannot be used anew from the other one, in memory. 0, or -EBADMSG: the other one is not whole,
 * so what the header says of them is not so.
 */
int luks_header_mend(const struct luks_header *header, void *bytes);

/* Makes the metadata of the first copy, which is there, a header of two copies. 0 or -EIO. */
int luks_header_seal(const struct luks_header *header, uint8_t *bytes);

#endif
