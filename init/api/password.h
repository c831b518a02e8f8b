/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stored password. Two forms: that of the older System API, 64 lower-case hex digits of SHA-256(password and salt
 * of boot.json), and "pbkdf2-sha256$ITERATIONS$SALT$HASH" (salt and hash in hex), which makes guessing from a stolen
 * file slow. The slow form is computed in pieces, so that other requests do not wait for it.
 */
#ifndef INIT_API_PASSWORD_H
#define INIT_API_PASSWORD_H

#include <mbedtls/sha256.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PASSWORD_STORED_MAX 256		/* bytes, NUL included */
#define PASSWORD_ITERATIONS 600000	/* of new ones */

struct password {
	bool slow;
	uint32_t iterations;
	unsigned char salt[16];
	unsigned char hash[32];
};

/* PBKDF2 under way. */
struct password_work {
	mbedtls_sha256_context inner, outer;
	unsigned char block[32], sum[32];
	uint32_t left;
};

/* 0; -EINVAL: neither form. */
int password_parse(struct password *ret, const char *stored, size_t size);

/* The fast form of size bytes: stored gets 65 bytes. */
void password_fast(const void *password, size_t size, const char *salt, char *stored);
bool password_matches_fast(const struct password *p, const void *password, size_t size, const char *salt);

/* The slow form, with p's salt and iterations. work needs no deinit, but holds a secret until it is done or wiped. */
void password_begin(struct password_work *work, const struct password *p, const void *password, size_t size);

/* At most `iterations` more; true: all are done, and sum is the hash. */
bool password_go_on(struct password_work *work, uint32_t iterations);
void password_slow(const struct password *p, char *stored);	/* PASSWORD_STORED_MAX bytes */

/* Both are stored forms of one password with one salt. */
bool password_same(const struct password *a, const struct password *b);

/* In a time that does not depend on the content. */
bool password_equal(const unsigned char *a, const unsigned char *b, size_t size);

#endif
