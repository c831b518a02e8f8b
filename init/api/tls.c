/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements tls.h. A session keeps the identity that it began with, so an identity that was in use is never freed:
 * there are two of them in the life of this process.
 */
#include <errno.h>
#include <mbedtls/sha256.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "identity.h"
#include "init/lib/hex.h"
#include "tls.h"

#define PAGE         4096
#define KEPT_SIZE    64		/* of a buffer: a record's number and head */

struct credentials {
	mbedtls_ssl_config config;
	mbedtls_x509_crt certificate;
	mbedtls_pk_context key;
};

static struct credentials *current;

static const int suites[] = {
	MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
	MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
	MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	0,
};

static const uint16_t groups[] = {
	MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
	MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
	MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
	MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};

static const char *protocols[] = {"http/1.1", NULL};

static int configure(struct credentials *c)
{
	int r = mbedtls_ssl_config_defaults(&c->config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
					    MBEDTLS_SSL_PRESET_DEFAULT);

	if (r < 0)
		return r;
	mbedtls_ssl_conf_rng(&c->config, identity_random, NULL);
	mbedtls_ssl_conf_min_tls_version(&c->config, MBEDTLS_SSL_VERSION_TLS1_2);
	mbedtls_ssl_conf_max_tls_version(&c->config, MBEDTLS_SSL_VERSION_TLS1_3);
	mbedtls_ssl_conf_ciphersuites(&c->config, suites);
	mbedtls_ssl_conf_groups(&c->config, groups);
	mbedtls_ssl_conf_authmode(&c->config, MBEDTLS_SSL_VERIFY_NONE);
#ifdef MBEDTLS_SSL_RENEGOTIATION
	mbedtls_ssl_conf_renegotiation(&c->config, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
#endif
	r = mbedtls_ssl_conf_alpn_protocols(&c->config, protocols);
	return r < 0 ? r : mbedtls_ssl_conf_own_cert(&c->config, &c->certificate, &c->key);
}

int tls_use(const char *certificate, const char *key, char *fingerprint, struct identity_validity *ret_validity)
{
	struct credentials *c = calloc(1, sizeof(*c));
	unsigned char digest[32];
	int r;

	if (!c)
		return MBEDTLS_ERR_SSL_ALLOC_FAILED;
	mbedtls_ssl_config_init(&c->config);
	mbedtls_x509_crt_init(&c->certificate);
	mbedtls_pk_init(&c->key);
	r = identity_parse(certificate, key, &c->certificate, &c->key);
	if (r == 0)
		r = configure(c);
	if (r == 0)
		r = mbedtls_sha256(c->certificate.raw.p, c->certificate.raw.len, digest, 0);
	if (r < 0) {
		mbedtls_ssl_config_free(&c->config);
		mbedtls_x509_crt_free(&c->certificate);
		mbedtls_pk_free(&c->key);
		free(c);
		return r;
	}
	hex_encode(digest, sizeof(digest), fingerprint);
	*ret_validity = identity_validity(&c->certificate);
	current = c;
	return 0;
}

static int write_socket(void *with, const unsigned char *bytes, size_t size)
{
	ssize_t n = send(*(int *)with, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0)
		return (int)n;
	return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_SSL_CONN_EOF;
}

static int read_socket(void *with, unsigned char *bytes, size_t size)
{
	ssize_t n = recv(*(int *)with, bytes, size, MSG_DONTWAIT);

	if (n >= 0)
		return (int)n;
	return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_SSL_CONN_EOF;
}

int tls_open(mbedtls_ssl_context *ssl, int *fd)
{
	int r;

	mbedtls_ssl_init(ssl);
	r = mbedtls_ssl_setup(ssl, &current->config);
	if (r == 0)
		mbedtls_ssl_set_bio(ssl, fd, write_socket, read_socket, NULL);
	return r;
}

bool tls_greeted(const mbedtls_ssl_context *ssl)
{
	return ssl->MBEDTLS_PRIVATE(state) > MBEDTLS_SSL_CLIENT_HELLO;
}

/* The whole pages of it behind its beginning; they are read as zeros from then on. */
static void give_back(unsigned char *buffer, size_t size)
{
	unsigned char *first = buffer + KEPT_SIZE + (PAGE - 1 - ((uintptr_t)buffer + KEPT_SIZE + PAGE - 1) % PAGE);
	unsigned char *end = buffer + size - (uintptr_t)(buffer + size) % PAGE;

	if (first < end)
		madvise(first, (size_t)(end - first), MADV_DONTNEED);
}

/*
 * mbedTLS has two buffers a session, each for the largest record, and clears both at the start, so all of it is real
 * memory. Between two records neither holds anything, and most records are small.
 */
void tls_rest(mbedtls_ssl_context *ssl)
{
	if (mbedtls_ssl_check_pending(ssl) || ssl->MBEDTLS_PRIVATE(out_left) > 0)
		return;
	give_back(ssl->MBEDTLS_PRIVATE(in_buf), MBEDTLS_SSL_IN_CONTENT_LEN);
	give_back(ssl->MBEDTLS_PRIVATE(out_buf), MBEDTLS_SSL_OUT_CONTENT_LEN);
}
