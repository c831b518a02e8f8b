/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stored passwords: the older System API's form by its definition, PBKDF2 by vectors that others have published, and
 * everything that is neither.
 */
/* links: api */
/* libs: mbedtls */
#include <stdio.h>
#include <string.h>

#include "init/api/password.h"
#include "test.h"

static struct password p;

static int parse(const char *stored)
{
	return password_parse(&p, stored, strlen(stored));
}

TEST(the_fast_form_is_sha_256_of_password_and_salt)
{
	char stored[65];

	/* printf 'secret' + salt 'bb36ef0b6643' | sha256sum */
	password_fast("secret", 6, "bb36ef0b6643", stored);
	CHECK_STR(stored, "766fe5d3a2c77330003a4174410a4c162a1db349a215b0bb14de318334adc550");
}

TEST(the_fast_form_knows_its_password_and_no_other)
{
	char stored[65];

	password_fast("secret\n", 7, "salt", stored);
	CHECK_INT(parse(stored), 0);
	CHECK(password_matches_fast(&p, "secret\n", 7, "salt"));
	CHECK(!password_matches_fast(&p, "secret", 6, "salt"));
	CHECK(!password_matches_fast(&p, "secret\n", 7, "Salt"));
	password_fast("", 0, "", stored);
	CHECK_STR(stored, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void slow(const char *password, size_t size, const char *salt, uint32_t iterations, uint32_t piece, char *hex)
{
	struct password_work work;
	struct password with = {.slow = true, .iterations = iterations};

	memcpy(with.salt, salt, sizeof(with.salt));
	password_begin(&work, &with, password, size);
	while (!password_go_on(&work, piece))
		;
	for (int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", work.sum[i]);
}

/* python3: hashlib.pbkdf2_hmac("sha256", password, salt, iterations).hex() */
TEST(the_slow_form_is_pbkdf2_whatever_the_pieces)
{
	char hex[65], again[65], longest[100];

	slow("password", 8, "0123456789abcdef", 1, 1, hex);
	CHECK_STR(hex, "ef9d5f6add4a5d19f4a7fc92b48f2351ea95bb977642c0071ed4e4010a42cb6c");
	slow("password", 8, "0123456789abcdef", 4096, 1000000, hex);
	CHECK_STR(hex, "615eeee652a9fe1cf9f427d6218526a937add018079854b2aa11875d759837ac");
	slow("password", 8, "0123456789abcdef", 4096, 7, again);
	CHECK_STR(again, hex);
	memset(longest, 'x', sizeof(longest));
	slow(longest, sizeof(longest), "0123456789abcdef", 3, 1, hex);
	CHECK_STR(hex, "1a9ad599dabe5189a3133cd620e870a7fce4d10837175a4eb2e4ecf3c1e8e1da");
}

TEST(both_forms_are_read_and_nothing_else_is)
{
	static const char *const wrong[] = {
		"", "0", "3C9DD41B6AC6BC54C04CE9D5D4EBF5A3F43A5B38E6CA1A2ECF9EC37B7AC34B9C",
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
		"pbkdf2-sha256$", "pbkdf2-sha256$0$00000000000000000000000000000000$"
		"0000000000000000000000000000000000000000000000000000000000000000",
		"pbkdf2-sha256$-1$00000000000000000000000000000000$"
		"0000000000000000000000000000000000000000000000000000000000000000",
		"pbkdf2-sha256$99999999999$00000000000000000000000000000000$"
		"0000000000000000000000000000000000000000000000000000000000000000",
		"pbkdf2-sha256$1$0000000000000000000000000000000$"
		"00000000000000000000000000000000000000000000000000000000000000000",
		"pbkdf2-sha512$1$00000000000000000000000000000000$"
		"0000000000000000000000000000000000000000000000000000000000000000",
	};
	char stored[PASSWORD_STORED_MAX];
	struct password q = {.slow = true, .iterations = 600000, .salt = {1, 2, 255}, .hash = {3, 4, 254}};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		CHECK_INT(parse(wrong[i]), -EINVAL);
	CHECK_INT(password_parse(&p, "e3b0c44298fc1c149afbf4c8996fb924\0007ae41e4649b934ca495991b7852b85", 64), -EINVAL);
	password_slow(&q, stored);
	CHECK_INT(parse(stored), 0);
	CHECK(p.slow && p.iterations == 600000 && !memcmp(p.salt, q.salt, 16) && !memcmp(p.hash, q.hash, 32));
}
