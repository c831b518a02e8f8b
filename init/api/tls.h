/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server side of TLS: 1.3 and 1.2, forward secrecy and AEAD ciphers only, no tickets, no renegotiation.
 */
#ifndef INIT_API_TLS_H
#define INIT_API_TLS_H

#include <mbedtls/ssl.h>
#include <stdbool.h>

#include "identity.h"

/*
 * New sessions use this certificate and key (PEM) from now on. 0, or a negative mbedTLS code and nothing has changed.
 * fingerprint: the certificate's SHA-256 in hex, 65 bytes. After psa_crypto_init().
 */
int tls_use(const char *certificate, const char *key, char *fingerprint, struct identity_validity *ret_validity);

/* Prepares a connection that reads and writes the non-blocking socket *fd. 0 or a negative mbedTLS code. */
int tls_open(mbedtls_ssl_context *ssl, int *fd);

/* The ClientHello was read completely. */
bool tls_greeted(const mbedtls_ssl_context *ssl);

/* After the handshake: returns memory that an idle session does not need to the kernel. */
void tls_rest(mbedtls_ssl_context *ssl);

#endif
