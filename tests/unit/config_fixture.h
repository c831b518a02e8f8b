/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration parsed against the tests' own stages, and what is said of one that is refused. */
#ifndef TESTS_CONFIG_FIXTURE_H
#define TESTS_CONFIG_FIXTURE_H

#include <string.h>

#include "init/config/load.h"
#include "init/lib/config.h"
#include "fake_stages.h"
#include "test.h"

#define SERVICE(more) "{\"services\": [{\"name\": \"s\", \"command\": [\"/bin/s\"], " more "}]}"

UNUSED static char error[512];

UNUSED static struct config *parse(const char *text)
{
	struct config *config = NULL;

	config_parse("boot.json", text, strlen(text), &config, error, sizeof(error));
	return config;
}

struct bad {
	const char *text, *error;
};

UNUSED static void check_all(const struct bad *bad)
{
	for (; bad->text; bad++) {
		struct config *c = parse(bad->text);

		CHECK(c == NULL);
		config_free(c);
		CHECK_STR(error, bad->error);
	}
}

#endif
