/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a header's fields back to a header. What the child has read is checked here again, by code that parses nothing,
 * and then a header with just these fields is made. That is the one which libcryptsetup sees; the stage itself runs it,
 * because it has the keys. Of the disk's text only the members of tokens are in it, after a strict scan of their JSON.
 */
#ifndef STAGES_DISK_LUKSFORM_H
#define STAGES_DISK_LUKSFORM_H

#include "luksmetadata.h"

/* Whether all fields are within their bounds, as luks_header_check() leaves them. 0 or -EBADMSG with the reason. */
int luks_form_check(const struct luks_header *header, const struct luks_expect *expect, uint64_t device_size,
		    char why[LUKS_WHY_MAX]);

/*
 * Both copies of a checked header, 2 * copy_size bytes. 0, or -EBADMSG: they do not fit, or -EIO. They are of the same
 * age, and say what the fields say; the segment has that many bytes, or with 0 reaches to the end of the disk.
 */
int luks_form_write(const struct luks_header *header, const struct luks_expect *expect, uint64_t segment_bytes,
		    uint8_t *ret, char why[LUKS_WHY_MAX]);

/* The token of that type with the next higher number than `after` (NULL: the first one). NULL: no more. Borrowed. */
const struct luks_token *luks_form_token(const struct luks_header *header, const char *type,
					 const struct luks_token *after);

/* The keyslots that the tokens of that type (NULL: of none) name: bit n for keyslot n. */
uint32_t luks_form_keyslots(const struct luks_header *header, const char *type);

/* Whether some token names that keyslot. */
bool luks_form_names(const struct luks_header *header, int keyslot);

#endif
