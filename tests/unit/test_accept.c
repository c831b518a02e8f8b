/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who gets the page.
 */
/* links: api */
#include <stdlib.h>
#include <string.h>

#include "init/api/accept.h"
#include "test.h"

/* From a buffer without a byte to spare, so that reading past the end is seen. */
static bool html(const char *accept)
{
	char *copy = strdup(accept);
	bool is = accept_html(copy);

	free(copy);
	return is;
}

TEST(browsers_get_the_page)
{
	CHECK(html("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
	CHECK(html("text/html"));
	CHECK(html(" Text/HTML ; level=1 ; Q=0.001 "));
	CHECK(html("application/json, text/html;q=1.000"));
	CHECK(html("text/html;q=0, text/html;q=1"));
}

TEST(nobody_else_does)
{
	CHECK(!accept_html(NULL));
	CHECK(!html(""));
	CHECK(!html("*/*"));
	CHECK(!html("text/*"));
	CHECK(!html("application/json"));
	CHECK(!html("text/htmlx, xtext/html, text/html/"));
	CHECK(!html("text/html;q=0"));
	CHECK(!html("text/html; q=0.000 ,*/*"));
	CHECK(!html("application/json;x=text/html"));
}

TEST(what_is_malformed_is_no_wish_for_it)
{
	CHECK(!html("text/html;q="));
	CHECK(!html("text/html;q=2"));
	CHECK(!html("text/html;q=-1"));
	CHECK(!html("text/html;q=0.0001"));
	CHECK(!html("text/html;q=0,5"));
	CHECK(!html("text/html;q=x"));
	CHECK(!html(",;,;; ,\t"));
	CHECK(!html("text/html;q=1;q=0"));
	CHECK(html("text/html;"));
}
