/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A certificate and its key as PEM texts: created, or parsed and checked that they belong together.
 */
#ifndef INIT_API_IDENTITY_H
#define INIT_API_IDENTITY_H

#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <stdbool.h>
#include <stdint.h>

#include "options.h"

#define IDENTITY_PEM_MAX 16384	/* of each, NUL included */

struct identity {
	char certificate[IDENTITY_PEM_MAX];
	char key[IDENTITY_PEM_MAX];
};

/* Seconds since 1970. */
struct identity_validity {
	int64_t begin_s;
	int64_t end_s;
};

#define IDENTITY_RENEW_S (30 * 86400)	/* so long before its end a certificate is renewed */

/* For n names and addresses, 1 to API_HOSTS_MAX. 0 or a negative mbedTLS code. After psa_crypto_init(). */
int identity_create(char hosts[][API_HOST_MAX], size_t n, struct identity *ret);

/*
 * A new certificate, for the same key. 0, or a negative mbedTLS code and nothing has changed. After
 * psa_crypto_init().
 */
int identity_renew(char hosts[][API_HOST_MAX], size_t n, struct identity *identity);

/* When it is valid. */
struct identity_validity identity_validity(const mbedtls_x509_crt *certificate);

/* Whether it is like those that are made here, or those of the older System API, and not an operator's own. */
bool identity_is_made(const mbedtls_x509_crt *certificate);

/* Whether a certificate is to be renewed: it is not valid yet, or no longer, or soon. now_s: seconds since 1970. */
bool identity_is_due(const struct identity_validity *validity, int64_t now_s);

/*
 * Both must be whole and belong together. The results are the caller's to init and free. 0 or a negative mbedTLS
 * code.
 */
int identity_parse(const char *certificate, const char *key, mbedtls_x509_crt *ret_certificate,
		   mbedtls_pk_context *ret_key);

/* For mbedTLS: bytes from the kernel. */
int identity_random(void *with, unsigned char *out, size_t size);

#endif
