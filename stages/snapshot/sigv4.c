/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The canonical request is hashed as it is produced, so no bound on URLs is needed here; only the string to
 * sign and the keys derived from the secret exist, on the stack, and the keys are wiped.
 */
#define _GNU_SOURCE
#include "sigv4.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/md.h>
#include <mbedtls/sha256.h>

#include "init/lib/hex.h"

static void hash_text(mbedtls_sha256_context *sha, const char *text)
{
	mbedtls_sha256_update(sha, (const unsigned char *)text, strlen(text));
}

static int hmac(const void *key, size_t key_size, const char *text, unsigned char ret[static 32])
{
	const mbedtls_md_info_t *md = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);

	return mbedtls_md_hmac(md, key, key_size, (const unsigned char *)text, strlen(text), ret) ? -EIO : 0;
}

static size_t name_size(const char *header)
{
	return strcspn(header, ":");
}

static const char *value_of(const char *header)
{
	header += name_size(header);
	header += *header == ':';
	return header + strspn(header, " ");
}

static int signed_names(const struct sigv4_request *request, char *ret, size_t room)
{
	size_t n = 0;

	*ret = '\0';
	for (size_t i = 0; request->headers[i]; i++) {
		int size = snprintf(ret + n, room - n, "%s%.*s", i ? ";" : "", (int)name_size(request->headers[i]),
				    request->headers[i]);

		if (size < 0 || (size_t)size >= room - n)
			return -ENOSPC;
		n += (size_t)size;
	}
	return 0;
}

/* AWS: method, path, query, each header with a newline, an empty line, the names, the payload's hash. */
static void hash_request(const struct sigv4_request *request, const char *names, char ret[static 65])
{
	mbedtls_sha256_context sha;
	unsigned char hash[32] = { 0 };

	mbedtls_sha256_init(&sha);
	mbedtls_sha256_starts(&sha, 0);
	hash_text(&sha, request->method);
	hash_text(&sha, "\n");
	hash_text(&sha, request->path);
	hash_text(&sha, "\n");
	hash_text(&sha, request->query);
	hash_text(&sha, "\n");
	for (size_t i = 0; request->headers[i]; i++) {
		const char *header = request->headers[i];

		mbedtls_sha256_update(&sha, (const unsigned char *)header, name_size(header));
		hash_text(&sha, ":");
		hash_text(&sha, value_of(header));
		hash_text(&sha, "\n");
	}
	hash_text(&sha, "\n");
	hash_text(&sha, names);
	hash_text(&sha, "\n");
	hash_text(&sha, request->payload_sha256);
	mbedtls_sha256_finish(&sha, hash);
	mbedtls_sha256_free(&sha);
	hex_encode(hash, sizeof(hash), ret);
}

static int signing_key(const struct sigv4_request *request, const char *date, unsigned char ret[static 32])
{
	char first[256];
	unsigned char key[32];
	int r, size = snprintf(first, sizeof(first), "AWS4%s", request->secret_key);

	if (size < 0 || (size_t)size >= sizeof(first))
		r = -ENOSPC;
	else
		r = hmac(first, (size_t)size, date, key);
	if (!r)
		r = hmac(key, sizeof(key), request->region, key);
	if (!r)
		r = hmac(key, sizeof(key), request->service, key);
	if (!r)
		r = hmac(key, sizeof(key), "aws4_request", ret);
	explicit_bzero(first, sizeof(first));
	explicit_bzero(key, sizeof(key));
	return r;
}

void sigv4_timestamp(time_t now, char ret[static SIGV4_TIMESTAMP_SIZE])
{
	struct tm t;

	gmtime_r(&now, &t);
	if (!strftime(ret, SIGV4_TIMESTAMP_SIZE, "%Y%m%dT%H%M%SZ", &t))
		*ret = '\0';
}

int sigv4_authorization(const struct sigv4_request *request, char *ret, size_t room)
{
	char names[256], date[9], scope[128], request_hash[65], to_sign[320], signature[65];
	unsigned char key[32], hash[32];
	int r, size;

	r = signed_names(request, names, sizeof(names));
	if (r)
		return r;
	snprintf(date, sizeof(date), "%.8s", request->timestamp);
	size = snprintf(scope, sizeof(scope), "%s/%s/%s/aws4_request", date, request->region, request->service);
	if (size < 0 || (size_t)size >= sizeof(scope))
		return -ENOSPC;
	hash_request(request, names, request_hash);
	snprintf(to_sign, sizeof(to_sign), "AWS4-HMAC-SHA256\n%s\n%s\n%s", request->timestamp, scope, request_hash);
	r = signing_key(request, date, key);
	if (!r)
		r = hmac(key, sizeof(key), to_sign, hash);
	explicit_bzero(key, sizeof(key));
	if (r)
		return r;
	hex_encode(hash, sizeof(hash), signature);
	size = snprintf(ret, room, "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, "
			"Signature=%s", request->access_key, scope, names, signature);
	return size < 0 || (size_t)size >= room ? -ENOSPC : 0;
}
