/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mustache, the whole of its specification but the optional modules: interpolation, sections, inverted sections,
 * comments, partials, delimiters. A template is code of the image: an error in its syntax is refused with line, column
 * and reason. A missing key renders as empty text, as the specification says. Details, and what is stricter than the
 * specification: docs/templates.md.
 */
#ifndef STAGES_CONFIG_TEMPLATE_H
#define STAGES_CONFIG_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>

#include "mustache.h"

#define TEMPLATE_OUTPUT_MAX (4u << 20)

/* Characters that an inserted value may contain. */
enum template_values {
	TEMPLATE_ANY,		/* all bytes */
	TEMPLATE_PRINTABLE,	/* no control characters; {{{raw}}} and {{&raw}} may have newline and tab */
};

struct template_request {
	const char *name;	/* for errors */
	const char *text;
	size_t size;
	struct json_object *document;
	enum template_values values;
	/*
	 * The text of a partial: 1 with *ret_text (malloc'ed, freed here) and *ret_size; 0: there is none, which is
	 * the empty text; negative errno. NULL: there are none.
	 */
	int (*partial)(void *context, const char *name, char **ret_text, size_t *ret_size);
	void *context;
};

/* The rendered text: it may hold secrets, so it is wiped when it moves and by template_release(). */
struct template_output {
	char *bytes;
	size_t size, allocated;
};

/*
 * 0, or negative errno (-EBADMSG for syntax and values, -EFBIG, -ELOOP, -ENOMEM, a partial's) with *error filled.
 * The output needs a zeroed struct and is released by the caller in every case.
 */
int template_render(const struct template_request *request, struct template_output *ret, struct template_error *error);
void template_release(struct template_output *output);

/* "NAME:LINE:COLUMN: KEY: REASON" without the parts that are not there. */
void template_error_format(const struct template_error *error, char *text, size_t text_size);

#endif
