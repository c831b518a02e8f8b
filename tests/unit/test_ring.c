/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event ring as the API's copy of PID 1's uses it: with holes where PID 1 was faster.
 */
/* links: init/lib */
#include <string.h>

#include "init/lib/history.h"
#include "test.h"

static void add(struct ring *ring, uint64_t seq)
{
	struct event_head head = {.seq = seq};

	ring_add(ring, &head, sizeof(head));
}

/* The number that is found from seq on, or 0. */
static uint64_t forth(const struct ring *ring, uint64_t seq)
{
	char record[EVENT_RECORD_MAX];

	return ring_read(ring, &seq, record) > 0 ? seq : 0;
}

static uint64_t back(const struct ring *ring, uint64_t seq)
{
	char record[EVENT_RECORD_MAX];

	return ring_read_back(ring, &seq, record) > 0 ? seq : 0;
}

TEST(an_empty_ring_has_nothing_either_way)
{
	struct ring ring = {0};

	CHECK_INT(forth(&ring, 1), 0);
	CHECK_INT(back(&ring, 1), 0);
	CHECK_INT(ring_init(&ring, 10), 0);
	CHECK_INT(forth(&ring, 1), 0);
	CHECK_INT(back(&ring, UINT64_MAX), 0);
	ring_free(&ring);
}

TEST(holes_are_skipped_both_ways)
{
	static const uint64_t kept[] = {5, 6, 10, 11, 12, 1000000, 1000001};
	struct ring ring;

	CHECK_INT(ring_init(&ring, 7), 0);
	add(&ring, 3);		/* makes room */
	for (size_t i = 0; i < 7; i++)
		add(&ring, kept[i]);
	for (uint64_t seq = 0; seq < 20; seq++) {
		uint64_t next = seq <= 5 ? 5 : seq <= 6 ? 6 : seq <= 10 ? 10 : seq <= 12 ? seq : 1000000;
		uint64_t before = seq < 5 ? 0 : seq < 6 ? 5 : seq < 10 ? 6 : seq < 12 ? seq : 12;

		CHECK_INT(forth(&ring, seq), next);
		CHECK_INT(back(&ring, seq), before);
	}
	CHECK_INT(forth(&ring, 1000002), 0);
	CHECK_INT(back(&ring, UINT64_MAX), 1000001);
	ring_free(&ring);
}

static void keep(struct history *history, uint64_t seq, bool kept)
{
	struct event_head head = {.seq = seq, .kept = kept};

	history_add(history, &head, sizeof(head));
}

/* Kept: 1, every hundredth. */
static void fill(struct history *history, uint64_t n)
{
	CHECK_INT(history_init(history, 10), 0);
	for (uint64_t seq = 1; seq <= n; seq++)
		keep(history, seq, seq == 1 || seq % 100 == 0);
}

TEST(two_rings_are_read_as_one_in_order_both_ways)
{
	static const uint64_t there[] = {1, 100, 200, 290, 291, 292, 293, 294, 295, 296, 297, 298, 299, 300};
	size_t n = sizeof(there) / sizeof(*there);
	char record[EVENT_RECORD_MAX];
	struct event_head head;
	struct history history;
	uint64_t seq = 0;

	fill(&history, 300);
	CHECK_INT(history_last(&history), 300);
	for (size_t i = 0; i < n; i++, seq++) {
		CHECK_INT(history_read(&history, &seq, record), sizeof(head));
		memcpy(&head, record, sizeof(head));
		CHECK_INT(seq, there[i]);
		CHECK_INT(head.seq, seq);
	}
	CHECK_INT(history_read(&history, &seq, record), 0);
	seq = UINT64_MAX;
	for (size_t i = n; i-- > 0; seq--) {
		CHECK_INT(history_read_back(&history, &seq, record), sizeof(head));
		CHECK_INT(seq, there[i]);
	}
	CHECK_INT(history_read_back(&history, &seq, record), 0);
	keep(&history, 300, true);	/* not a new one */
	keep(&history, 299, true);
	CHECK_INT(history_last(&history), 300);
}

TEST(the_kept_events_have_a_bound_of_their_own)
{
	char record[EVENT_RECORD_MAX];
	struct history history;
	uint64_t seq = 1;

	CHECK_INT(history_init(&history, 10), 0);
	for (uint64_t i = 1; i <= 1000; i++)
		keep(&history, i, true);
	CHECK(history_read(&history, &seq, record) > 0);
	CHECK_INT(seq, 1000 - 511);
	for (uint64_t i = 1001; i <= 2000; i++)
		keep(&history, i, false);
	seq = 1;
	CHECK(history_read(&history, &seq, record) > 0);
	CHECK_INT(seq, 1000 - 511);
}
