/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prints the tables of keys: one line for each key, tab-separated columns PATH TYPE BOUNDS DEFAULT VALUES FLAGS, "-"
 * where a column does not apply. For the options of a stage type, DEFAULT is the type's defaults for the stage's other
 * keys. Values are the allowed words, or the name of a format. Read by operators, and by the test that compares
 * docs/boot.schema.json with the code.
 */
#include <inttypes.h>
#include <string.h>

#include "init/lib/config.h"
#include "keys.h"
#include "load.h"

static const char *const type_words[] = {"string", "integer", "number", "boolean", "strings", "integers", "object",
					 "objects", "strings by name", "limits by name", "options"};
_Static_assert(sizeof(type_words) / sizeof(type_words[0]) == KEY_TYPE_MAX, "a word for each type");

static const char *const option_words[] = {"string", "integer", "number", "boolean", "strings", "integers", "objects"};
_Static_assert(sizeof(option_words) / sizeof(option_words[0]) == OPTION_TYPE_MAX, "a word for each option type");

static void print_bounds(FILE *out, int64_t minimum, int64_t maximum)
{
	if (minimum || maximum)
		fprintf(out, "\t%" PRId64 "..%" PRId64, minimum, maximum);
	else
		fputs("\t-", out);
}

static void print_words(FILE *out, const char *const *words)
{
	for (size_t i = 0; words[i]; i++)
		fprintf(out, "%s%s", i ? "|" : "\t", words[i]);
}

static void print_limits(FILE *out)
{
	for (size_t i = 0; limit_name(i); i++)
		fprintf(out, "%s%s", i ? "|" : "\t", limit_name(i));
}

static void print_options(FILE *out, const char *path, const struct stage_option *option)
{
	for (; option && option->name; option++) {
		fprintf(out, "%s.%s\t%s", path, option->name, option_words[option->type]);
		print_bounds(out, option->minimum, option->maximum);
		fprintf(out, "\t%s", option->fallback && option->fallback[0] ? option->fallback : "-");
		if (option->choices)
			print_words(out, option->choices);
		else
			fputs("\t-", out);
		fprintf(out, "\t%s\n", option->required ? "required" : "-");
		if (option->type == OPTION_OBJECTS) {
			char inner[384];

			snprintf(inner, sizeof(inner), "%s.%s[]", path, option->name);
			print_options(out, inner, option->members);
		}
	}
}

static void print_stages(FILE *out, const char *path)
{
	for (size_t i = 0; stage_table[i]; i++) {
		char inner[384];

		snprintf(inner, sizeof(inner), "%s(%s)", path, stage_table[i]->type);
		fprintf(out, "%s\tobject\t-\tdeadline_s %u, retry.limit %u\t-\t-\n", inner,
			stage_table[i]->deadline_s, stage_table[i]->retry_limit);
		print_options(out, inner, stage_table[i]->options);
	}
}

static void print_keys(FILE *out, const char *prefix, const struct keys *keys)
{
	for (const struct key *key = keys->keys; key->name; key++) {
		char path[256];

		snprintf(path, sizeof(path), "%s%s", prefix, key->name);
		fprintf(out, "%s\t%s", path, type_words[key->type]);
		print_bounds(out, key->minimum, key->maximum);
		fprintf(out, "\t%s", key->fallback ? key->fallback : "-");
		if (key->choices)
			print_words(out, key->choices);
		else if (key->type == KEY_LIMIT_MAP)
			print_limits(out);
		else
			fprintf(out, "\t%s", key->format ? key->format->name : "-");
		fprintf(out, "\t%s\n", key->flags & KEY_REQUIRED ? "required" :
					key->flags & KEY_ONE_OF ? "one of" : "-");
		if (key->type == KEY_OPTIONS)
			print_stages(out, path);
		if (!key->members)
			continue;
		strncat(path, key->type == KEY_OBJECTS ? "[]." : ".", sizeof(path) - strlen(path) - 1);
		print_keys(out, path, key->members);
	}
}

void config_print_keys(FILE *out)
{
	print_keys(out, "", &config_keys);
}
