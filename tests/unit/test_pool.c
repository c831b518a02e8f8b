/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that is taken piece by piece: zeroed, aligned, never the same twice, of any size, and all gone at once. */
/* links: init/lib */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "init/lib/pool.h"
#include "test.h"

TEST(pieces_are_zeroed_aligned_and_do_not_overlap)
{
	static const size_t sizes[] = {1, 7, 8, 0, 4096, 65520, 65536, 200001, 3};
	struct pool pool = {0};
	char *pieces[900];

	for (size_t i = 0; i < 900; i++) {
		size_t size = sizes[i % 9];

		pieces[i] = pool_take(&pool, size);
		CHECK(pieces[i] != NULL);
		CHECK_INT((uintptr_t)pieces[i] % 8, 0);
		for (size_t at = 0; at < size; at++)
			CHECK(pieces[i][at] == 0);
		memset(pieces[i], (int)(i % 255) + 1, size);
	}
	for (size_t i = 0; i < 900; i++)
		for (size_t at = 0; at < sizes[i % 9]; at++)
			CHECK(pieces[i][at] == (char)((i % 255) + 1));
	pool_free(&pool);
	CHECK(pool.last == NULL);
}

TEST(a_chunk_is_used_to_its_last_byte_and_no_further)
{
	struct pool pool = {0};

	for (size_t i = 0; i < 20000; i++)
		memset(pool_take(&pool, 8), 1, 8);
	pool_free(&pool);
}

TEST(a_string_is_copied_with_its_end)
{
	struct pool pool = {0};
	char *first = pool_copy(&pool, "12345678"), *second = pool_copy(&pool, ""), *third = pool_copy(&pool, "x");

	CHECK_STR(first, "12345678");
	CHECK_STR(second, "");
	CHECK_STR(third, "x");
	pool_free(&pool);
}

TEST(a_pool_can_be_used_again_after_all_of_it_is_gone)
{
	struct pool pool = {0};

	pool_free(&pool);
	CHECK(pool_take(&pool, 100000) != NULL);
	pool_free(&pool);
	CHECK_STR(pool_copy(&pool, "again"), "again");
	pool_free(&pool);
}

TEST(what_no_machine_has_is_refused)
{
	struct pool pool = {0};

	CHECK(pool_take(&pool, SIZE_MAX) == NULL);
	CHECK(pool_take(&pool, SIZE_MAX - 8) == NULL);
	CHECK(pool_take(&pool, SIZE_MAX / 2 - 100000) == NULL);
	CHECK_STR(pool_copy(&pool, "still works"), "still works");
	pool_free(&pool);
}
