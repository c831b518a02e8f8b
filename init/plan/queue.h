/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nodes that the plan has started and PID 1 has not yet: a thousand forks in one turn of the loop would keep everyone
 * who asks it something waiting, and the processes of all of them would be copied with the descriptors of the others.
 * So a turn starts a few, and what has happened meanwhile is seen before the next ones.
 */
#ifndef INIT_PLAN_STARTS_H
#define INIT_PLAN_STARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct starts {
	uint16_t *nodes;	/* a ring */
	bool *waits;		/* by node */
	size_t capacity, head, count;
};

/* Room for each of n nodes once. 0 or -ENOMEM; it is never freed. */
int starts_init(struct starts *starts, size_t n);

/* A node that waits already stays where it is. */
void starts_add(struct starts *starts, size_t node);

/* The next one, oldest first. False: none waits. */
bool starts_next(struct starts *starts, size_t *ret);

/* It need not wait any more. True: it did. */
bool starts_remove(struct starts *starts, size_t node);

#endif
