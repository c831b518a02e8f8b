/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AWS Signature Version 4 in an Authorization header, as S3 stores check it. libcurl can do this too, but
 * signs a '+' in a query value as a space (8.14), and continuation tokens are base64.
 */
#ifndef STAGES_SNAPSHOT_SIGV4_H
#define STAGES_SNAPSHOT_SIGV4_H

#include <stddef.h>
#include <time.h>

#define SIGV4_TIMESTAMP_SIZE 17		/* "20130524T000000Z" */
#define SIGV4_EMPTY_SHA256   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct sigv4_request {
	const char *method;
	const char *path, *query;	/* encoded exactly as sent; query sorted by name, without '?', "" for none */
	const char *const *headers;	/* "name: value" in lower-case names, sorted, NULL-ended; these are signed */
	const char *payload_sha256;	/* hex */
	const char *timestamp;		/* also in the header x-amz-date */
	const char *region, *service;
	const char *access_key, *secret_key;
};

void sigv4_timestamp(time_t now, char ret[static SIGV4_TIMESTAMP_SIZE]);

/* "Authorization: AWS4-HMAC-SHA256 ...". 0, -ENOSPC if it does not fit, -ENOMEM, or -EIO. */
int sigv4_authorization(const struct sigv4_request *request, char *ret, size_t room);

#endif
