/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue of node indexes: each at most once, in order, and none that was removed. */
/* links: plan init/lib */
#include "init/plan/queue.h"
#include "test.h"

static void check_order(struct queue *queue, size_t n, const size_t *expected)
{
	size_t node;

	for (size_t i = 0; i < n; i++) {
		CHECK(queue_next(queue, &node));
		CHECK_INT(node, expected[i]);
	}
	CHECK(!queue_next(queue, &node));
}

TEST(they_come_out_in_the_order_they_came_each_once)
{
	struct queue queue = {0};

	CHECK_INT(queue_init(&queue, 4), 0);
	for (size_t round = 0; round < 3; round++) {
		queue_add(&queue, 2);
		queue_add(&queue, 0);
		queue_add(&queue, 2);
		queue_add(&queue, 3);
		check_order(&queue, 3, (size_t[]){2, 0, 3});
	}
	queue_deinit(&queue);
}

TEST(one_that_is_removed_does_not_come_and_may_be_added_again_at_the_end)
{
	struct queue queue = {0};
	size_t node;

	CHECK_INT(queue_init(&queue, 3), 0);
	queue_add(&queue, 0);
	CHECK(queue_next(&queue, &node));	/* so that the ring goes round its end */
	for (size_t i = 0; i < 3; i++)
		queue_add(&queue, i);
	CHECK(queue_remove(&queue, 1));
	CHECK(!queue_remove(&queue, 1));
	queue_add(&queue, 1);
	check_order(&queue, 3, (size_t[]){0, 2, 1});
	CHECK(!queue_remove(&queue, 0));
	queue_deinit(&queue);
}

TEST(there_may_be_no_node_at_all)
{
	struct queue queue = {0};
	size_t node;

	CHECK_INT(queue_init(&queue, 0), 0);
	CHECK(!queue_next(&queue, &node));
	queue_deinit(&queue);
}
