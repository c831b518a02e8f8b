/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a store says in XML, as hostile input: the pages of a list, and why it refuses. Bounds are those of s3.h. No
 * network: who fetches the pages is the caller's business.
 */
#ifndef STAGES_SNAPSHOT_S3XML_H
#define STAGES_SNAPSHOT_S3XML_H

#include <stdbool.h>
#include <stddef.h>

#include "s3.h"

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
