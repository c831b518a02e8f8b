/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decoded view of a document: "#base64" members, for templates that are named unsafe. */
#ifndef STAGES_CONFIG_DECODEVIEW_H
#define STAGES_CONFIG_DECODEVIEW_H

#include <stddef.h>

#include <json-c/json.h>

/*
 * A copy of a document in which every key that ends in "#base64" is renamed without it and its value decoded, at
 * every depth. 0, or -EBADMSG with one line in error that names the key; the copy is the caller's to put.
 */
int decode_view(struct json_object *document, struct json_object **ret, char *error, size_t error_size);

#endif
