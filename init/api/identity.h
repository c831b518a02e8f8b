/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A certificate and its key as PEM texts: created, or parsed and checked that they belong together.
 */
#ifndef INIT_API_IDENTITY_H
#define INIT_API_IDENTITY_H

#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

#include "options.h"

#define IDENTITY_PEM_MAX 16384	/* of each, NUL included */

struct identity {
	char certificate[IDENTITY_PEM_MAX];
	char key[IDENTITY_PEM_MAX];
};

/* For n names and addresses, 1 to API_HOSTS_MAX. 0 or a negative mbedTLS code. After psa_crypto_init(). */
int identity_create(char hosts[][API_HOST_MAX], size_t n, struct identity *ret);

/*
 * Both must be whole and belong together. The results are the caller's to init and free. 0 or a negative mbedTLS
 * code.
 */
int identity_parse(const char *certificate, const char *key, mbedtls_x509_crt *ret_certificate,
		   mbedtls_pk_context *ret_key);

/* For mbedTLS: bytes from the kernel. */
int identity_random(void *with, unsigned char *out, size_t size);

#endif
