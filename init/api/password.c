/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements password.h. PBKDF2 is RFC 8018 5.2 with one block; HMAC's two keyed states are made once and copied. */
#include <errno.h>
#include <mbedtls/platform_util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "init/lib/hex.h"
#include "password.h"

#define SLOW_PREFIX    "pbkdf2-sha256$"
#define ITERATIONS_MAX 10000000

static int parse_slow(struct password *p, const char *at)
{
	char *end;
	unsigned long iterations = at[0] >= '1' && at[0] <= '9' ? strtoul(at, &end, 10) : 0;

	if (iterations < 1 || iterations > ITERATIONS_MAX || *end != '$' || strlen(end) != 1 + 32 + 1 + 64 ||
	    end[33] != '$')
		return -EINVAL;
	p->slow = true;
	p->iterations = (uint32_t)iterations;
	return hex_begins(end + 1, p->salt, 16) && hex_decode(end + 34, p->hash, 32) ? 0 : -EINVAL;
}

int password_parse(struct password *ret, const char *stored, size_t size)
{
	char text[PASSWORD_STORED_MAX];
	struct password p = {0};
	int r;

	if (size >= sizeof(text) || memchr(stored, '\0', size))
		return -EINVAL;
	memcpy(text, stored, size);
	text[size] = '\0';
	if (!strncmp(text, SLOW_PREFIX, strlen(SLOW_PREFIX)))
		r = parse_slow(&p, text + strlen(SLOW_PREFIX));
	else
		r = hex_decode(text, p.hash, 32) ? 0 : -EINVAL;
	if (r == 0)
		*ret = p;
	return r;
}

bool password_equal(const unsigned char *a, const unsigned char *b, size_t size)
{
	volatile unsigned char different = 0;

	for (size_t i = 0; i < size; i++)
		different |= a[i] ^ b[i];
	return different == 0;
}

bool password_same(const struct password *a, const struct password *b)
{
	return a->slow == b->slow && a->iterations == b->iterations && !memcmp(a->salt, b->salt, sizeof(a->salt)) &&
	       !memcmp(a->hash, b->hash, sizeof(a->hash));
}

static void fast(const void *password, size_t size, const char *salt, unsigned char *sum)
{
	mbedtls_sha256_context c;

	mbedtls_sha256_init(&c);
	mbedtls_sha256_starts(&c, 0);
	mbedtls_sha256_update(&c, password, size);
	mbedtls_sha256_update(&c, (const unsigned char *)salt, strlen(salt));
	mbedtls_sha256_finish(&c, sum);
	mbedtls_sha256_free(&c);
}

void password_fast(const void *password, size_t size, const char *salt, char *stored)
{
	unsigned char sum[32];

	fast(password, size, salt, sum);
	hex_encode(sum, sizeof(sum), stored);
}

bool password_matches_fast(const struct password *p, const void *password, size_t size, const char *salt)
{
	unsigned char sum[32];

	fast(password, size, salt, sum);
	return password_equal(sum, p->hash, sizeof(sum));
}

static void keyed(mbedtls_sha256_context *c, const unsigned char *key, unsigned char pad)
{
	unsigned char block[64];

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (unsigned char)(key[i] ^ pad);
	mbedtls_sha256_init(c);
	mbedtls_sha256_starts(c, 0);
	mbedtls_sha256_update(c, block, sizeof(block));
	mbedtls_platform_zeroize(block, sizeof(block));
}

static void hmac(const struct password_work *work, const unsigned char *bytes, size_t size, unsigned char *out)
{
	mbedtls_sha256_context c;
	unsigned char inner[32];

	mbedtls_sha256_init(&c);
	mbedtls_sha256_clone(&c, &work->inner);
	mbedtls_sha256_update(&c, bytes, size);
	mbedtls_sha256_finish(&c, inner);
	mbedtls_sha256_clone(&c, &work->outer);
	mbedtls_sha256_update(&c, inner, sizeof(inner));
	mbedtls_sha256_finish(&c, out);
	mbedtls_sha256_free(&c);
}

void password_begin(struct password_work *work, const struct password *p, const void *password, size_t size)
{
	unsigned char key[64] = {0}, first[sizeof(p->salt) + 4] = {0};

	if (size <= sizeof(key))
		memcpy(key, password, size);
	else
		mbedtls_sha256(password, size, key, 0);
	keyed(&work->inner, key, 0x36);
	keyed(&work->outer, key, 0x5c);
	mbedtls_platform_zeroize(key, sizeof(key));
	memcpy(first, p->salt, sizeof(p->salt));
	first[sizeof(first) - 1] = 1;	/* the block's number, big-endian */
	hmac(work, first, sizeof(first), work->block);
	memcpy(work->sum, work->block, sizeof(work->sum));
	work->left = p->iterations - 1;
}

bool password_go_on(struct password_work *work, uint32_t iterations)
{
	for (; work->left > 0 && iterations > 0; work->left--, iterations--) {
		hmac(work, work->block, sizeof(work->block), work->block);
		for (size_t i = 0; i < sizeof(work->sum); i++)
			work->sum[i] ^= work->block[i];
	}
	return work->left == 0;
}

void password_slow(const struct password *p, char *stored)
{
	char salt[HEX_SIZE(16)], hash[HEX_SIZE(32)];

	hex_encode(p->salt, sizeof(p->salt), salt);
	hex_encode(p->hash, sizeof(p->hash), hash);
	snprintf(stored, PASSWORD_STORED_MAX, SLOW_PREFIX "%u$%s$%s", p->iterations, salt, hash);
}
