/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan and its journal: which paths may be written, that text and meaning are one to one, and that a journal
 * cut or damaged anywhere never claims a block that was not done.
 */
/* links: snapshot stages/lib */
/* libs: mbedtls */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stages/snapshot/journal.h"
#include "test.h"

#define MIB MANIFEST_BLOCK

static char reason[S3_ERROR_MAX];

static void build(struct manifest *m)
{
	CHECK_INT(manifest_init(m, "snap-1", "p/snap-1/"), 0);
	CHECK_INT(manifest_add(m, "db/mdbx.dat", "\"e1\"", 10 * MIB + 5, reason), 0);
	CHECK_INT(manifest_add(m, "a file", "\"e2\"", 1, reason), 0);
	CHECK_INT(manifest_add(m, "empty", "\"e3\"", 0, reason), 0);
	CHECK_INT(manifest_add(m, "static_files/b", "\"e4\"", 2 * MIB, reason), 0);
	CHECK_INT(manifest_seal(m, reason), 0);
}

static uint32_t find(const struct manifest *m, const char *path)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (!strcmp(m->files[i].path, path))
			return i;
	FAIL("no %s", path);
}

TEST(paths_that_leave_the_directory_or_are_not_plain_are_refused)
{
	static const char *const paths[] = {
		"", "/etc/passwd", "..", "../x", "a/..", "a/../b", ".", "./a", "a/./b", "a//b", "a/", "a\nb", "a\x7f",
		"a\tb", MANIFEST_STATE, MANIFEST_STATE "/complete", NULL,
	};
	const char *why;
	char longer[300];

	for (size_t i = 0; paths[i]; i++)
		CHECK_INT(manifest_judge_path(paths[i], &why), MANIFEST_REFUSED);
	memset(longer, 'x', 256);
	longer[256] = '\0';
	CHECK_INT(manifest_judge_path(longer, &why), MANIFEST_REFUSED);
	longer[255] = '\0';
	CHECK_INT(manifest_judge_path(longer, &why), MANIFEST_WANTED);
	CHECK_INT(manifest_judge_path("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/31/32/33",
				      &why), MANIFEST_REFUSED);
}

TEST(usual_and_odd_paths_are_wanted)
{
	static const char *const paths[] = { "reth.toml", "db/mdbx.dat", "...", "..a", "a..", "a b+c%", "\xc3\xa9", "-x",
					     "a/" MANIFEST_STATE, "db/known-peers.json", NULL };
	const char *why;

	for (size_t i = 0; paths[i]; i++)
		CHECK_INT(manifest_judge_path(paths[i], &why), MANIFEST_WANTED);
}

TEST(what_belongs_to_a_node_is_left_out)
{
	const char *why;
	struct manifest m;

	CHECK_INT(manifest_judge_path("discovery-secret", &why), MANIFEST_NODE_LOCAL);
	CHECK_INT(manifest_judge_path("known-peers.json", &why), MANIFEST_NODE_LOCAL);
	CHECK_INT(manifest_judge_path("jwt.hex", &why), MANIFEST_NODE_LOCAL);
	CHECK_INT(manifest_judge_path("db/mdbx.lck", &why), MANIFEST_NODE_LOCAL);
	CHECK_INT(manifest_init(&m, "n", "n/"), 0);
	CHECK_INT(manifest_add(&m, "db/mdbx.lck", "\"e\"", 8192, reason), 0);
	CHECK_INT(m.count, 0);
	CHECK_INT(m.left_out, 1);
	CHECK_INT(manifest_seal(&m, reason), -ENOENT);
	manifest_free(&m);
}

TEST(one_path_is_one_file)
{
	static const char *const pairs[][2] = { { "a", "a" }, { "a", "a/b" }, { "a/b", "a/b/c/d" } };

	for (size_t i = 0; i < 3; i++) {
		struct manifest m;

		CHECK_INT(manifest_init(&m, "n", "n/"), 0);
		CHECK_INT(manifest_add(&m, "a-between", "\"e\"", 1, reason), 0);
		CHECK_INT(manifest_add(&m, pairs[i][0], "\"e\"", 1, reason), 0);
		CHECK_INT(manifest_add(&m, pairs[i][1], "\"e\"", 1, reason), 0);
		CHECK_INT(manifest_seal(&m, reason), -EPERM);
		manifest_free(&m);
	}
}

TEST(sizes_do_not_overflow)
{
	struct manifest m;
	int r = 0;

	CHECK_INT(manifest_init(&m, "n", "n/"), 0);
	for (unsigned i = 0; !r && i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		r = manifest_add(&m, name, "\"e\"", S3_SIZE_MAX, reason);
	}
	CHECK_INT(r, -EPERM);
	CHECK(m.total <= MANIFEST_TOTAL_MAX);
	manifest_free(&m);
}

TEST(latest_is_one_word)
{
	static const char *const good[][2] = { { "reth-1", "reth-1" }, { " \n reth-1\r\n", "reth-1" }, { "a.b_c:d+e/", "a.b_c:d+e" } };
	static const char *const bad[] = { "", " \n", "/", "a/b", "..", ".a", "a b", "a\nb", "a\\b", "a%2f", "\xc3\xa9", "a//",
					   "<html>", NULL };
	char name[MANIFEST_NAME_MAX + 1], longer[MANIFEST_NAME_MAX + 2];

	for (size_t i = 0; i < 3; i++) {
		CHECK_INT(manifest_parse_latest(good[i][0], strlen(good[i][0]), name), 0);
		CHECK_STR(name, good[i][1]);
	}
	for (size_t i = 0; bad[i]; i++)
		CHECK_INT(manifest_parse_latest(bad[i], strlen(bad[i]), name), -EBADMSG);
	CHECK_INT(manifest_parse_latest("a\0b", 3, name), -EBADMSG);
	memset(longer, 'x', sizeof(longer));
	CHECK_INT(manifest_parse_latest(longer, MANIFEST_NAME_MAX + 1, name), -EBADMSG);
	CHECK_INT(manifest_parse_latest(longer, MANIFEST_NAME_MAX, name), 0);
}

TEST(a_manifest_comes_back_from_its_text)
{
	struct manifest m, again;
	char *text;
	size_t size;

	build(&m);
	CHECK_INT(manifest_format(&m, &text, &size), 0);
	CHECK_INT(manifest_parse(text, size, &again, reason), 0);
	CHECK_STR(again.name, "snap-1");
	CHECK_STR(again.source, "p/snap-1/");
	CHECK_INT(again.count, 4);
	CHECK_INT(again.total, m.total);
	CHECK_STR(again.files[0].path, "a file");
	CHECK_STR(again.files[1].etag, "\"e1\"");
	CHECK_MEM(again.hash, m.hash, MANIFEST_HASH_SIZE);
	manifest_free(&again);
	manifest_free(&m);
	free(text);
}

TEST(a_manifest_cut_or_changed_anywhere_is_refused)
{
	struct manifest m, again;
	char *text;
	size_t size;

	build(&m);
	CHECK_INT(manifest_format(&m, &text, &size), 0);
	for (size_t cut = 0; cut < size; cut++)
		CHECK(manifest_parse(text, cut, &again, reason) < 0);
	for (size_t i = 0; i < size; i++) {
		text[i] ^= 0x20;
		/* Some changes give another valid manifest; then it must not have this one's hash. */
		if (!manifest_parse(text, size, &again, reason)) {
			CHECK(memcmp(again.hash, m.hash, MANIFEST_HASH_SIZE));
			manifest_free(&again);
		}
		text[i] ^= 0x20;
	}
	manifest_free(&m);
	free(text);
}

TEST(runs_are_taken_largest_file_first_and_each_once)
{
	struct manifest m;
	struct blocks_run run, kept = { 0 };
	uint64_t bytes = 0;
	unsigned runs = 0;

	build(&m);
	CHECK(blocks_take(&m, 4, &kept));
	CHECK_STR(m.files[kept.file].path, "db/mdbx.dat");
	CHECK_INT(kept.first, 0);
	CHECK_INT(kept.count, 4);
	bytes += blocks_run_bytes(&m, &kept);
	while (blocks_take(&m, 4, &run)) {
		bytes += blocks_run_bytes(&m, &run);
		CHECK_INT(blocks_mark(&m, &run), 0);
		runs++;
	}
	CHECK_INT(bytes, m.total);
	CHECK_INT(runs, 4);
	CHECK(!blocks_complete(&m));
	blocks_give_back(&m, &kept);
	CHECK(blocks_take(&m, 3, &run));
	CHECK_INT(run.count, 3);
	CHECK_INT(blocks_mark(&m, &run), 0);
	CHECK(blocks_take(&m, 3, &run));
	CHECK_INT(run.first, 3);
	CHECK_INT(run.count, 1);
	CHECK_INT(blocks_mark(&m, &run), 0);
	CHECK_INT(blocks_mark(&m, &run), 0);
	CHECK(blocks_complete(&m));
	manifest_free(&m);
}

TEST(runs_outside_a_file_are_refused)
{
	struct manifest m;
	uint32_t file;

	build(&m);
	file = find(&m, "static_files/b");
	CHECK_INT(blocks_mark(&m, &(struct blocks_run){ file, 0, 3 }), -EINVAL);
	CHECK_INT(blocks_mark(&m, &(struct blocks_run){ file, 2, 1 }), -EINVAL);
	CHECK_INT(blocks_mark(&m, &(struct blocks_run){ file, 1, UINT64_MAX }), -EINVAL);
	CHECK_INT(blocks_mark(&m, &(struct blocks_run){ 4, 0, 1 }), -EINVAL);
	CHECK_INT(blocks_mark(&m, &(struct blocks_run){ file, 0, 0 }), -EINVAL);
	CHECK_INT(blocks_mark(&m, &(struct blocks_run){ find(&m, "empty"), 0, 1 }), -EINVAL);
	CHECK_INT(m.done, 0);
	manifest_free(&m);
}

static size_t journal_of(const struct manifest *m, char *text)
{
	uint32_t big = find(m, "db/mdbx.dat");
	const struct blocks_run runs[] = { { big, 4, 4 }, { find(m, "a file"), 0, 1 }, { big, 10, 1 } };
	size_t n = journal_format_head(m, text);

	for (size_t i = 0; i < 3; i++)
		n += journal_format_record(&runs[i], text + n);
	return n;
}

TEST(a_journal_comes_back)
{
	struct manifest m;
	char text[512];
	size_t size, valid;

	build(&m);
	size = journal_of(&m, text);
	CHECK_INT(journal_replay(text, size, &m, &valid), 0);
	CHECK_INT(valid, size);
	CHECK_INT(m.done, 4 * MIB + 1 + 5);
	CHECK(blocks_is_done(&m, find(&m, "db/mdbx.dat"), 7));
	CHECK(!blocks_is_done(&m, find(&m, "db/mdbx.dat"), 8));
	blocks_forget(&m, find(&m, "db/mdbx.dat"));
	CHECK_INT(m.done, 1);
	manifest_free(&m);
}

TEST(a_journal_cut_anywhere_gives_only_whole_records)
{
	char text[512];
	size_t size, valid;
	struct manifest m;

	build(&m);
	size = journal_of(&m, text);
	manifest_free(&m);
	for (size_t cut = 0; cut <= size; cut++) {
		size_t lines = 0;
		uint64_t expected;
		int r;

		build(&m);
		for (size_t i = 0; i < cut; i++)
			lines += text[i] == '\n';
		r = journal_replay(text, cut, &m, &valid);
		CHECK_INT(r, lines ? 0 : -ESTALE);
		expected = (lines > 1 ? 4 * MIB : 0) + (lines > 2 ? 1 : 0) + (lines > 3 ? 5 : 0);
		CHECK_INT(m.done, expected);
		CHECK(!lines || (valid <= cut && text[valid - 1] == '\n'));
		manifest_free(&m);
	}
}

TEST(a_journal_damaged_anywhere_claims_nothing_that_was_not_done)
{
	char text[512];
	size_t size, valid;
	struct manifest m, whole;

	build(&whole);
	size = journal_of(&whole, text);
	CHECK_INT(journal_replay(text, size, &whole, &valid), 0);
	for (size_t i = 0; i < size; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			build(&m);
			text[i] ^= (char)(1u << bit);
			(void)journal_replay(text, size, &m, &valid);
			text[i] ^= (char)(1u << bit);
			for (uint32_t f = 0; f < m.count; f++)
				for (uint64_t b = 0; b < m.files[f].blocks; b++)
					CHECK(!blocks_is_done(&m, f, b) || blocks_is_done(&whole, f, b));
			manifest_free(&m);
		}
	}
	manifest_free(&whole);
}

TEST(zeros_behind_a_journal_are_its_end)
{
	char text[512];
	size_t size, valid;
	struct manifest m;

	build(&m);
	size = journal_of(&m, text);
	memset(text + size, 0, sizeof(text) - size);
	CHECK_INT(journal_replay(text, sizeof(text), &m, &valid), 0);
	CHECK_INT(valid, size);
	manifest_free(&m);
}

TEST(the_journal_of_another_manifest_is_stale)
{
	struct manifest m, other;
	char text[512];
	size_t size, valid;

	build(&m);
	size = journal_of(&m, text);
	CHECK_INT(manifest_init(&other, "snap-2", "p/snap-2/"), 0);
	CHECK_INT(manifest_add(&other, "db/mdbx.dat", "\"e1\"", 10 * MIB + 5, reason), 0);
	CHECK_INT(manifest_seal(&other, reason), 0);
	CHECK_INT(journal_replay(text, size, &other, &valid), -ESTALE);
	CHECK_INT(other.done, 0);
	manifest_free(&other);
	manifest_free(&m);
}

TEST(a_new_plan_adopts_only_files_that_are_the_same)
{
	struct manifest m, new;
	char text[512], part[2][33];
	size_t valid;

	build(&m);
	CHECK_INT(journal_replay(text, journal_of(&m, text), &m, &valid), 0);
	CHECK_INT(manifest_init(&new, "snap-1", "p/snap-1/"), 0);
	CHECK_INT(manifest_add(&new, "a file", "\"changed\"", 1, reason), 0);
	CHECK_INT(manifest_add(&new, "added", "\"e2\"", 1, reason), 0);
	CHECK_INT(manifest_add(&new, "db/mdbx.dat", "\"e1\"", 10 * MIB + 5, reason), 0);
	CHECK_INT(manifest_seal(&new, reason), 0);
	blocks_adopt(&new, &m);
	CHECK_INT(new.done, 4 * MIB + 5);
	manifest_part_name(&new.files[find(&new, "db/mdbx.dat")], part[0]);
	manifest_part_name(&m.files[find(&m, "db/mdbx.dat")], part[1]);
	CHECK_STR(part[0], part[1]);
	manifest_part_name(&new.files[find(&new, "a file")], part[0]);
	manifest_part_name(&m.files[find(&m, "a file")], part[1]);
	CHECK(strcmp(part[0], part[1]));
	manifest_free(&new);
	manifest_free(&m);
}

