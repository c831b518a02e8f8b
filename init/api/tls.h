/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server side of TLS: a key and certificate made at the start and kept in memory only, and the configuration
 * that every connection shares. TLS 1.3 and 1.2, forward secrecy and AEAD ciphers only, no tickets, no renegotiation.
 */
#ifndef API_TLS_H
#define API_TLS_H

#include <mbedtls/ssl.h>

#include "options.h"

/* 0 or a negative mbedTLS code. fingerprint: the certificate's SHA-256 in hex, 65 bytes. */
int tls_init(const struct api_options *options, char *fingerprint);

/* Prepares a connection that reads and writes the non-blocking socket *fd. 0 or a negative mbedTLS code. */
int tls_open(mbedtls_ssl_context *ssl, int *fd);

#endif
