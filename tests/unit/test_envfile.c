/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a line of an environment file means, and how each one that means nothing is named. */
/* links: launch init/lib */
#include "init/launch/envfile.h"
#include "test.h"

static struct envfile file;
static char text[ENVFILE_SIZE_MAX + 2], reason[128];

static int parse(const char *content, size_t size)
{
	memcpy(text, content, size);
	reason[0] = '\0';
	return envfile_parse(text, size, &file, reason, sizeof(reason));
}

#define PARSE(content) parse(content, sizeof(content) - 1)

TEST(values_are_the_rest_of_the_line_or_what_is_quoted)
{
	CHECK_INT(PARSE("# a comment = no variable\n\nA=1\nB=a b=c # d\nEMPTY=\nQ=\" x \\\"y\\\" \\\\ \"\nS='\\\"$A\"'\n_1=\xc3\xa4"), 0);
	CHECK_STR(reason, "");
	CHECK_INT(file.n, 6);
	CHECK_STR(envfile_find(&file, "A"), "1");
	CHECK_STR(envfile_find(&file, "B"), "a b=c # d");
	CHECK_STR(envfile_find(&file, "EMPTY"), "");
	CHECK_STR(envfile_find(&file, "Q"), " x \"y\" \\ ");
	CHECK_STR(envfile_find(&file, "S"), "\\\"$A\"");
	CHECK_STR(envfile_find(&file, "_1"), "\xc3\xa4");
	CHECK(envfile_find(&file, "C") == NULL);
}

TEST(nothing_is_fine)
{
	CHECK_INT(PARSE(""), 0);
	CHECK_INT(file.n, 0);
	CHECK_INT(PARSE("\n\n"), 0);
	CHECK_INT(file.n, 0);
}

TEST(what_is_no_variable_is_named_with_its_line)
{
	static const struct {
		const char *content, *reason;
	} bad[] = {
		{"A=1\nB", ":2: not a KEY=VALUE line"},
		{"=1", ":1: not a KEY=VALUE line"},
		{"1A=1", ":1: not a KEY=VALUE line"},
		{"A B=1", ":1: not a KEY=VALUE line"},
		{" A=1", ":1: not a KEY=VALUE line"},
		{"export A=1", ":1: not a KEY=VALUE line"},
		{"A-B=1", ":1: not a KEY=VALUE line"},
		{"A=1\n\nA=2", ":3: duplicate key"},
		{"A=1\r\n", ":1: control character in the value"},
		{"A=\"x", ":1: closing quote is missing"},
		{"A='x\nB=y'", ":1: closing quote is missing"},
		{"A=\"x\" y", ":1: text after the closing quote"},
		{"A=\"\\n\"", ":1: backslash in double quotes not followed by \\ or \""},
		{"A= x", ":1: value begins or ends with a blank: quote it"},
		{"A=x ", ":1: value begins or ends with a blank: quote it"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_INT(parse(bad[i].content, strlen(bad[i].content)), -EINVAL);
		CHECK_STR(reason, bad[i].reason);
	}
	CHECK_INT(PARSE("A=1\nB=x\0y\n"), -EINVAL);
	CHECK_STR(reason, ":2: NUL byte");
}

TEST(there_is_room_for_so_many_variables_and_no_more)
{
	static char many[ENVFILE_SIZE_MAX];
	size_t n = 0;

	for (int i = 0; i < ENVFILE_VARIABLES_MAX; i++)
		n += (size_t)sprintf(many + n, "V%d=\n", i);
	CHECK_INT(parse(many, n), 0);
	CHECK_INT(file.n, ENVFILE_VARIABLES_MAX);
	n += (size_t)sprintf(many + n, "W=\n");
	CHECK_INT(parse(many, n), -EINVAL);
	CHECK_STR(reason, ":513: more than 512 variables");
}
