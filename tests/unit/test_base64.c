/* SPDX-License-Identifier: GPL-2.0-or-later */
/* base64 in both alphabets, and hex digits: one text for any bytes, and no other is read. */
/* links: init/lib */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "init/lib/base64.h"
#include "init/lib/hex.h"
#include "test.h"

/* A buffer of exactly this size, so that the sanitizer sees one byte too much. */
static int decode(const char *text, bool url, size_t room, char *ret, size_t *ret_size)
{
	char *exact = malloc(room ? room : 1);
	int r = base64_decode(text, strlen(text), url, exact, room, ret_size);

	if (r == 0)
		memcpy(ret, exact, *ret_size);
	free(exact);
	return r;
}

TEST(it_goes_both_ways_in_both_alphabets)
{
	static const struct {
		const char *bytes, *text, *url;
	} cases[] = {
		{"", "", ""}, {"f", "Zg==", "Zg"}, {"fo", "Zm8=", "Zm8"}, {"foo", "Zm9v", "Zm9v"},
		{"foob", "Zm9vYg==", "Zm9vYg"}, {"\xff\xef\xbe", "/+++", "_---"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n = strlen(cases[i].bytes), size;
		char text[64], back[64];

		CHECK_INT(base64_encode(cases[i].bytes, n, false, text), strlen(cases[i].text));
		CHECK_STR(text, cases[i].text);
		CHECK_INT(decode(text, false, n, back, &size), 0);
		CHECK_INT(size, n);
		CHECK_MEM(back, cases[i].bytes, n);
		CHECK_INT(base64_encode(cases[i].bytes, n, true, text), strlen(cases[i].url));
		CHECK_STR(text, cases[i].url);
		CHECK_INT(decode(text, true, n, back, &size), 0);
		CHECK_INT(size, n);
		CHECK_MEM(back, cases[i].bytes, n);
	}
}

TEST(every_character_has_its_value_or_none)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	for (int url = 0; url < 2; url++) {
		const char *in = url ? url_alphabet : alphabet;

		for (unsigned c = 0; c < 256; c++) {
			const char text[] = {'A', 'A', 'A', (char)c};
			const char *at = memchr(in, (int)c, 64);
			unsigned char bytes[3];
			char again[5];
			size_t size;
			int r = base64_decode(text, 4, url, bytes, sizeof(bytes), &size);

			if (!url && c == '=') {	/* padding */
				CHECK_INT(r, 0);
				continue;
			}
			CHECK_INT(r, at ? 0 : -EBADMSG);
			if (!at)
				continue;
			CHECK_INT(bytes[2], at - in);
			base64_encode(bytes, 3, url, again);
			CHECK_INT(again[3], (char)c);
		}
	}
}

TEST(what_is_not_canonical_is_refused)
{
	static const char *const texts[] = {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm 8=", "Zm8\n", "Zg==Zg==", "-_==",
					    "====", "=", "AAECAw=", "AAE\nAw==", "AA*CAw==", " Zm9v", "Zm9v "};
	static const char *const urls[] = {"Z", "Zg==", "Zh", "Zm9v+", "Zm9vZ"};
	char back[64];
	size_t size;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		CHECK_INT(decode(texts[i], false, sizeof(back), back, &size), -EBADMSG);
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
		CHECK_INT(decode(urls[i], true, sizeof(back), back, &size), -EBADMSG);
}

TEST(nothing_is_written_beyond_the_room_and_nothing_left_of_a_bad_text)
{
	char back[8] = "", none[8] = "";
	size_t size = 99;

	CHECK_INT(decode("AAECAwQFBgcICQ==", false, 8, back, &size), -EMSGSIZE);
	CHECK_INT(decode("AAECAwQFBgc=", false, 7, back, &size), -EMSGSIZE);
	CHECK_INT(decode("AAECAwQFBgc=", false, 8, back, &size), 0);
	CHECK_INT(size, 8);
	CHECK_INT(base64_decode("AAECAw*=", 8, false, back, sizeof(back), &size), -EBADMSG);
	CHECK_MEM(back, none, 5);
	for (size_t n = 0; n < 50; n++) {
		char bytes[50] = "", text[BASE64_SIZE(50)];

		base64_encode(bytes, n, true, text);
		CHECK(strlen(text) < BASE64_SIZE(n));
		CHECK(BASE64_BYTES(strlen(text)) >= n);
		CHECK_INT(decode(text, true, n, bytes, &size), 0);
	}
}

TEST(hex_digits_are_of_lower_case_and_exactly_as_many)
{
	char text[HEX_SIZE(4)];
	uint8_t bytes[4];

	hex_encode("\x00\x9a\xbc\xff", 4, text);
	CHECK_STR(text, "009abcff");
	CHECK(hex_decode(text, bytes, 4));
	CHECK_MEM(bytes, "\x00\x9a\xbc\xff", 4);
	CHECK(!hex_decode("009ABCFF", bytes, 4));
	CHECK(!hex_decode("009abcf", bytes, 4));
	CHECK(!hex_decode("009abcff0", bytes, 4));
	CHECK(!hex_decode("", bytes, 4));
	CHECK(hex_begins("009abcff$", bytes, 4));
	CHECK(!hex_begins("009abcf$", bytes, 4));
	CHECK(!hex_begins("g", bytes, 4));
}
