/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a store says in XML, as hostile input: the pages of a list, and why it refuses. Every size, number and name
 * is bounded here. No network: the caller fetches the pages.
 */
#ifndef STAGES_SNAPSHOT_S3XML_H
#define STAGES_SNAPSHOT_S3XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S3_KEY_MAX     1024	/* bytes, S3's own limit */
#define S3_ETAG_MAX    128	/* with its quotes */
#define S3_TOKEN_MAX   2048	/* continuation token; R2's are some hundred bytes */
#define S3_PAGE_MAX    (8u << 20)	/* bytes of one list answer: 1000 keys, percent-encoded */
#define S3_OBJECTS_MAX 200000u	/* in one list, all pages together */
#define S3_SIZE_MAX    (UINT64_C(5) << 40)	/* of one object, S3's own limit */
#define S3_ERROR_MAX   448

struct s3_object {
	const char *key;	/* decoded, NUL-terminated */
	const char *etag;	/* with its quotes */
	uint64_t size;
};


struct s3xml_page {
	bool truncated;
	char token[S3_TOKEN_MAX + 1];	/* where the next page begins; empty unless truncated */
	unsigned objects;
};

/*
 * One page: once all of it has been read, `each` gets its objects, whose keys all begin with prefix. 0, -EBADMSG with
 * the reason, -ENOMEM, or what `each` returned, if negative.
 */
int s3xml_page(const void *bytes, size_t size, const char *prefix,
	       int (*each)(void *context, const struct s3_object *object), void *context,
	       struct s3xml_page *ret, char reason[static S3_ERROR_MAX]);

/* The page behind that token, NULL: the first one; *ret is freed by who called. Anything but 0 ends the list. */
typedef int (*s3xml_fetch_fn)(void *context, const char *token, char **ret, size_t *ret_size);

/* Page after page to the end of the list. As above; also -EBADMSG for a list that would not end. */
int s3xml_pages(s3xml_fetch_fn fetch, void *fetch_context, const char *prefix,
		int (*each)(void *context, const struct s3_object *object), void *context,
		char reason[static S3_ERROR_MAX]);

/* An <Error> document: its Code and Message, cut and made printable. False: it is none. */
bool s3xml_error(const void *bytes, size_t size, char code[static 64], char message[static 160]);

#endif
