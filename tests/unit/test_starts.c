/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes that wait for their turn to be started: each once, in order, and none that is not wanted any more. */
/* links: plan */
#include <stdlib.h>

#include "init/plan/starts.h"
#include "test.h"

static void check_order(struct starts *starts, size_t n, const size_t *expected)
{
	size_t node;

	for (size_t i = 0; i < n; i++) {
		CHECK(starts_next(starts, &node));
		CHECK_INT(node, expected[i]);
	}
	CHECK(!starts_next(starts, &node));
}

static void release(struct starts *starts)
{
	free(starts->nodes);
	free(starts->waits);
}

TEST(they_come_out_in_the_order_they_came_each_once)
{
	struct starts starts = {0};

	CHECK_INT(starts_init(&starts, 4), 0);
	for (size_t round = 0; round < 3; round++) {
		starts_add(&starts, 2);
		starts_add(&starts, 0);
		starts_add(&starts, 2);
		starts_add(&starts, 3);
		check_order(&starts, 3, (size_t[]){2, 0, 3});
	}
	release(&starts);
}

TEST(one_that_is_removed_does_not_come_and_may_be_added_again_at_the_end)
{
	struct starts starts = {0};
	size_t node;

	CHECK_INT(starts_init(&starts, 3), 0);
	starts_add(&starts, 0);
	CHECK(starts_next(&starts, &node));	/* so that the ring goes round its end */
	for (size_t i = 0; i < 3; i++)
		starts_add(&starts, i);
	CHECK(starts_remove(&starts, 1));
	CHECK(!starts_remove(&starts, 1));
	starts_add(&starts, 1);
	check_order(&starts, 3, (size_t[]){0, 2, 1});
	CHECK(!starts_remove(&starts, 0));
	release(&starts);
}

TEST(there_may_be_no_node_at_all)
{
	struct starts starts = {0};
	size_t node;

	CHECK_INT(starts_init(&starts, 0), 0);
	CHECK(!starts_next(&starts, &node));
	release(&starts);
}
