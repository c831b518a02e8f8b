/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1's tables are of no use to the processes it forks when its fork server (forkserver.h) is gone, the next fork
 * server among them, but each fork would copy their pages' entries and each exec drop them again: with many services
 * that is most of what a start costs. So they are left out of the copy.
 */
#ifndef INIT_TABLE_H
#define INIT_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* A forked process must not touch this table. Only pages that are wholly the table's are left out. Cannot fail. */
static inline void table_stays_ours(const void *table, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)table + page - 1) & ~(page - 1), to = ((uintptr_t)table + size) & ~(page - 1);

	if (table && to > from)
		(void)madvise((void *)from, to - from, MADV_DONTFORK);	/* refused: it is copied as ever */
}

#endif
