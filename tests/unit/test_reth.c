/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which static files reth may have changed or deleted by itself, by names that come from a store. What only looks like
 * one is a file like any other.
 */
/* links: snapshot stages/lib init/lib */
/* libs: mbedtls */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stages/snapshot/reth.h"
#include "test.h"

#define FILE_OF(name) "static_files/static_file_" name

static struct reth_segments all;

static void plan(const char *const *paths)
{
	all = (struct reth_segments){ .count = 0 };
	for (; *paths; paths++)
		reth_plan(&all, *paths);
}

/* A directory with these static files, and nothing else. */
static void look(const char *const *names)
{
	char folder[] = "/tmp/gantry-reth-XXXXXX", path[512];
	int fd;

	CHECK(mkdtemp(folder));
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(mkdirat(fd, "static_files", 0700), 0);
	for (size_t i = 0; names[i]; i++) {
		snprintf(path, sizeof(path), FILE_OF("%s"), names[i]);
		close(openat(fd, path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
	reth_look(&all, fd);
	for (size_t i = 0; names[i]; i++) {
		snprintf(path, sizeof(path), FILE_OF("%s"), names[i]);
		CHECK_INT(unlinkat(fd, path, 0), 0);
	}
	CHECK_INT(unlinkat(fd, "static_files", AT_REMOVEDIR), 0);
	close(fd);
	CHECK_INT(rmdir(folder), 0);
}

TEST(the_highest_planned_range_of_a_segment_may_be_written_and_no_other)
{
	plan((const char *const[]){ FILE_OF("headers_0_499999"), FILE_OF("headers_500000_999999"),
				    FILE_OF("headers_500000_999999.off"), FILE_OF("account-change-sets_0_9"), NULL });
	CHECK(reth_writes(&all, FILE_OF("headers_500000_999999")));
	CHECK(reth_writes(&all, FILE_OF("headers_500000_999999.off")));
	CHECK(reth_writes(&all, FILE_OF("account-change-sets_0_9")));
	CHECK(!reth_writes(&all, FILE_OF("headers_0_499999")));
	CHECK(!reth_writes(&all, FILE_OF("receipts_0_499999")));
	CHECK(!reth_writes(&all, "headers_500000_999999"));
}

TEST(a_range_may_be_deleted_once_a_higher_one_is_the_lowest_there)
{
	const char *const planned[] = { FILE_OF("headers_0_4"), FILE_OF("headers_5_9"), FILE_OF("headers_10_14"),
					FILE_OF("receipts_0_4"), NULL };

	plan(planned);
	look((const char *const[]){ "headers_10_14", "headers_10_14.conf", "headers_15_19", NULL });
	CHECK(reth_deletes(&all, FILE_OF("headers_0_4")));
	CHECK(reth_deletes(&all, FILE_OF("headers_5_9.off")));
	CHECK(!reth_deletes(&all, FILE_OF("headers_10_14")));
	CHECK(!reth_deletes(&all, FILE_OF("receipts_0_4")));
	plan(planned);
	look((const char *const[]){ "headers_0_4", "headers_10_14", NULL });
	CHECK(!reth_deletes(&all, FILE_OF("headers_5_9")));
}

TEST(names_that_only_look_like_it_are_no_static_files)
{
	static const char *const paths[] = {
		FILE_OF(""), FILE_OF("_"), FILE_OF("headers"), FILE_OF("headers_"), FILE_OF("headers_0"), FILE_OF("headers_0_"),
		FILE_OF("headers__1"), FILE_OF("headers_x_1"), FILE_OF("headers_-1_1"), FILE_OF("Headers_0_1"), FILE_OF("_0_1"),
		FILE_OF("headers_99999999999999999999_1"), FILE_OF("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_0_1"),
		"static_file_headers_0_1", "x/static_files/static_file_headers_0_1", "", NULL
	};

	plan(paths);
	CHECK_INT(all.count, 0);
	for (size_t i = 0; paths[i]; i++)
		CHECK(!reth_writes(&all, paths[i]) && !reth_deletes(&all, paths[i]));
}

TEST(segments_beyond_the_table_are_files_like_any_other)
{
	char path[64];

	all = (struct reth_segments){ .count = 0 };
	for (char c = 'a'; c <= 'z'; c++) {
		snprintf(path, sizeof(path), FILE_OF("%c_7_8"), c);
		reth_plan(&all, path);
	}
	CHECK_INT(all.count, RETH_SEGMENTS_MAX);
	CHECK(reth_writes(&all, FILE_OF("a_7_8")));
	CHECK(!reth_writes(&all, FILE_OF("z_7_8")));
}
