/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An untrusted JSON document: exactly RFC 8259, one object, nothing behind it, of bounded depth, without duplicate
 * keys, without NUL in any text. Text that json-c would accept or change silently is refused here first; then json-c
 * builds the tree from the same bytes. An integer that does not fit 64 bits, as an amount of wei, keeps its text:
 * json-c would make the largest one of it; here it is a number of type double that prints as it was written.
 */
#ifndef STAGES_LIB_DOCUMENT_H
#define STAGES_LIB_DOCUMENT_H

#include <stddef.h>

#include <json-c/json.h>

#define DOCUMENT_DEPTH_MAX 32

/*
 * 0: *ret is the object, the caller's to json_object_put(). -EBADMSG (or -ENOMEM) with one line in error that names
 * place and reason but no byte of the document's values.
 */
int document_parse(const void *bytes, size_t size, struct json_object **ret, char *error, size_t error_size);

/*
 * The value at a dotted path ("rclone.bucket_endpoint") whose components are all keys of objects. Returns 1 with
 * *ret (NULL is JSON's null), 0 when there is none.
 */
int document_get(struct json_object *object, const char *path, struct json_object **ret);

#endif
