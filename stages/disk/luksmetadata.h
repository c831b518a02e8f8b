/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The metadata of a LUKS2 header, the JSON in each of its copies (specification, section 3): what it must say to be
 * opened, for luksheader.c, which chooses the copy; and what it says of tokens and keyslots once it has passed.
 */
#ifndef STAGES_DISK_LUKSMETADATA_H
#define STAGES_DISK_LUKSMETADATA_H

#include "luksheader.h"

/* A copy's JSON area, to its last byte. 0 with *ret, the caller's to json_object_put(), -EBADMSG or -ENOMEM. */
int luks_metadata_parse(const char *text, size_t size, struct json_object **ret, char why[LUKS_WHY_MAX]);

/* Checks header->json, and fills in what of the header it says. 0 or -EBADMSG. */
int luks_metadata_check(struct luks_header *header, const struct luks_expect *expect, uint64_t device_size,
			char why[LUKS_WHY_MAX]);

/* The first token of that type, and in *ret_keyslot the keyslot it belongs to. NULL: none. Borrowed. */
struct json_object *luks_metadata_token(const struct luks_header *header, const char *type, int *ret_keyslot);

/* Whether some token names that keyslot. */
bool luks_metadata_names(const struct luks_header *header, int keyslot);


/* Writes the reason, made printable; returns -EBADMSG. */
int luks_refuse(char why[LUKS_WHY_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
