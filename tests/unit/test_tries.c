/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The wrong passwords of addresses: however many there are, none is forgotten early, and none has more tries than alone. */
/* links: init/api/tries.c */
#include <string.h>

#include "init/api/tries.h"
#include "test.h"

#define SECOND 1000000000LL

static int64_t now = 1000 * SECOND;

static const unsigned char *key(unsigned n)
{
	static unsigned char bytes[ADDRESS_BYTES];

	memset(bytes, 0, sizeof(bytes));
	bytes[0] = 0x20;
	memcpy(bytes + 4, &n, sizeof(n));
	return bytes;
}

/* One attempt, as the server treats it. */
static bool attempt(unsigned n)
{
	bool checked = tries_left(key(n), now);

	if (checked)
		tries_wrong(key(n), now);
	return checked;
}

static unsigned attempts(unsigned n, unsigned times)
{
	unsigned checked = 0;

	while (times-- > 0)
		checked += attempt(n);
	return checked;
}

TEST(an_address_has_ten_and_then_one_every_six_seconds)
{
	CHECK_INT(attempts(1, 30), TRIES_MAX);
	now += 6 * SECOND;
	CHECK_INT(attempts(1, 30), 1);
	now += 18 * SECOND;
	CHECK_INT(attempts(1, 30), 3);
	CHECK_INT(attempts(2, 1), 1);
	now += 60 * SECOND;
	CHECK_INT(attempts(1, 30), TRIES_MAX);
}

TEST(two_thousand_others_do_not_make_it_forgotten)
{
	CHECK_INT(attempts(1, 30), TRIES_MAX);
	for (unsigned n = 100; n < 2100; n++)
		CHECK_INT(attempts(n, 1), 1);
	CHECK_INT(attempts(1, 30), 0);
}

TEST(more_than_the_table_holds_share_tries)
{
	unsigned checked = 0;

	CHECK_INT(attempts(1, 30), TRIES_MAX);
	for (unsigned n = 100; n < 100 + TRIES_ROWS + 200; n++)
		attempts(n, 1);
	CHECK_INT(attempts(1, 30), 0);
	/* These have no row of their own, and take turns. */
	for (unsigned i = 0; i < 400; i++)
		checked += attempts(500000 + i % 4, 1);
	CHECK(checked <= 4 * TRIES_MAX);
	CHECK_INT(attempts(500000, 1), 0);
	CHECK_INT(attempts(1, 30), 0);
	now += 1000 * SECOND;
	CHECK_INT(attempts(1, 30), TRIES_MAX);
	CHECK_INT(attempts(600000, 30), TRIES_MAX);
}

TEST(they_are_reported_once_a_minute)
{
	CHECK_INT(tries_wrong(key(1), now), 1);
	CHECK_INT(tries_wrong(key(1), now), 0);
	now += 59 * SECOND;
	CHECK_INT(tries_wrong(key(1), now), 0);
	now += SECOND;
	CHECK_INT(tries_wrong(key(1), now), 3);
	CHECK_INT(tries_wrong(key(2), now), 1);
}
