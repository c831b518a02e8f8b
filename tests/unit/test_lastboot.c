/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the boot before ended: what counts as its record, and that a log of any content says no more than a record may. */
/* links: log show init/lib */
/* libs: json-c */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "init/log/lastboot.h"
#include "test.h"

#define RECORD(source, kind, text) "{\"received_at\":\"2026-11-23T08:00:00Z\",\"message\":\"[" source "] " text "\",\"seq\":9," \
	"\"boot_s\":3.104000,\"level\":\"notice\",\"kind\":\"" kind "\",\"source\":\"" source "\",\"text\":\"" text "\"," \
	"\"fields\":{\"for\":\"reboot\",\"clean\":\"true\",\"took_s\":\"1.5\",\"by\":\"gantryctl\"}}"

static struct lastboot last;
static char fields[EVENT_FIELDS_MAX];

static void boot(const char *id)
{
	struct log_boot b = {0};

	last.running = "now";
	snprintf(b.id, sizeof(b.id), "%s", id);
	lastboot_boot(&last, &b);
}

static void line(const char *text)
{
	last.running = "now";
	lastboot_line(&last, text, strlen(text));
}

static const char *field(const char *name)
{
	size_t size = lastboot_fields(&last, fields, sizeof(fields));

	for (const char *f = fields; f < fields + size; f += strlen(f) + 1)
		if (!strncmp(f, name, strlen(name)) && f[strlen(name)] == '=')
			return f + strlen(name) + 1;
	return "none";
}

TEST(a_first_boot_has_none_before_it)
{
	CHECK_INT(lastboot_fields(&last, fields, sizeof(fields)), 0);
	boot("now");
	line(RECORD("gantry", "state", "down"));
	CHECK_INT(lastboot_fields(&last, fields, sizeof(fields)), 0);
}

TEST(a_record_says_how_the_boot_ended)
{
	boot("before");
	line(RECORD("gantry", "state", "booted"));
	line(RECORD("gantry", "state", "down"));
	boot("now");
	CHECK_STR(field("in_order"), "true");
	CHECK_STR(field("at"), "2026-11-23T08:00:00Z");
	CHECK_STR(field("for"), "reboot");
	CHECK_STR(field("clean"), "true");
	CHECK_STR(field("took_s"), "1.5");
	CHECK_STR(field("by"), "gantryctl");
}

TEST(a_boot_without_a_record_did_not_end_in_order)
{
	boot("older");
	line(RECORD("gantry", "state", "down"));
	boot("before");
	line(RECORD("gantry", "state", "booted"));
	CHECK_STR(field("in_order"), "false");
	CHECK_STR(field("at"), "2026-11-23T08:00:00Z");
	CHECK_STR(field("for"), "none");
}

TEST(a_boot_that_goes_on_in_a_new_file_is_one_boot)
{
	boot("before");
	line(RECORD("gantry", "state", "booted"));
	boot("before");
	line(RECORD("gantry", "state", "down"));
	boot("now");
	line(RECORD("gantry", "state", "booted"));
	CHECK_STR(field("in_order"), "true");
}

TEST(nobody_else_writes_a_record)
{
	boot("before");
	line(RECORD("http", "state", "down"));
	line(RECORD("gantry", "message", "down"));
	line(RECORD("gantry", "state", "dawn"));
	line("{\"text\":\"down\"}");
	line("\"text\":\"down\"");
	CHECK_STR(field("in_order"), "false");
}

TEST(fields_that_are_too_long_are_left_out_whole)
{
	char small[70];
	size_t size;

	boot("before");
	line(RECORD("gantry", "state", "down"));
	size = lastboot_fields(&last, small, sizeof(small));
	CHECK(size <= sizeof(small));
	CHECK_INT(small[size - 1], 0);
	CHECK(memmem(small, size, "for=reboot", 11) != NULL);
	CHECK(memmem(small, size, "by=gan", 6) == NULL);
}
