/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The three things a snapshot needs of an S3 store: a small object whole, the list under a prefix, and a byte
 * range of one version of an object. Path style, header-signed (SigV4), read only. What a store answers is
 * hostile until it has passed the checks here and in s3xml.h: sizes, names and numbers are bounded, and a key is a
 * key, not yet a path.
 */
#ifndef STAGES_SNAPSHOT_S3_H
#define STAGES_SNAPSHOT_S3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "s3xml.h"

struct s3_store {
	const char *endpoint;	/* http(s)://host[:port], nothing behind it but a slash */
	const char *bucket;
	const char *region;	/* "auto" for R2 */
	const char *access_key, *secret_key;
	const char *ca_file;	/* PEM, for https */
};

struct s3_client;

/* Keeps pointers into the store's strings. Not across a fork. 0, -EINVAL (reason in error) or -ENOMEM. */
int s3_client_new(const struct s3_store *store, struct s3_client **ret, char error[static S3_ERROR_MAX]);
struct s3_client *s3_client_free(struct s3_client *client);

/*
 * All of these return 0, or negative: what http.h lists for a request that got no answer, and for an answer
 * -ENOENT (404), -EACCES (401, 403), -ESTALE (412, or the object is not the one asked for), -EAGAIN (408,
 * 429, 5xx), -EBADMSG (anything else, and answers that make no sense). s3_client_error() then says which
 * request and why, in one printable line, and never holds a key.
 */
int s3_get_small(struct s3_client *client, const char *key, size_t maximum, char **ret, size_t *ret_size);

/* Bytes first..last of the version `etag` of an object of `size` bytes go to the sink, exactly that many or fewer
 * and an error. The sink's negative result comes back unchanged. */
int s3_get_range(struct s3_client *client, const struct s3_object *object, uint64_t first, uint64_t last,
		 int (*sink)(void *context, const void *bytes, size_t size), void *context);

/* Every object under the prefix, page by page. A negative result of `each` ends it and comes back. */
int s3_list(struct s3_client *client, const char *prefix,
	    int (*each)(void *context, const struct s3_object *object), void *context);

const char *s3_client_error(const struct s3_client *client);

/* Whether the same request may succeed later without anything else changing. */
bool s3_worth_retry(int result);

#endif
