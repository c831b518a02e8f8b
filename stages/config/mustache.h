/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The syntax of a mustache template: text into a flat list of tokens, sections knowing where they end. template.c
 * walks the list and is the only user of mustache_parse().
 */
#ifndef STAGES_CONFIG_MUSTACHE_H
#define STAGES_CONFIG_MUSTACHE_H

#include <stddef.h>

#define TEMPLATE_SIZE_MAX  (1u << 20)	/* bytes of one template or partial */
#define TEMPLATE_DEPTH_MAX 32		/* sections within sections, partials within partials */
#define TEMPLATE_NAME_MAX  128

struct template_error {
	char template[TEMPLATE_NAME_MAX + 1];	/* the request's name or the partial's */
	size_t line, column;			/* from 1; 0: no place */
	char key[TEMPLATE_NAME_MAX + 1];	/* "" if the error is not about a key */
	char reason[160];
};

enum token_kind {
	TOKEN_TEXT,
	TOKEN_ESCAPED,
	TOKEN_RAW,
	TOKEN_SECTION,
	TOKEN_INVERTED,
	TOKEN_END,
	TOKEN_PARTIAL,
};

struct token {
	enum token_kind kind;
	const char *text;	/* the text, or the tag's name */
	size_t size;
	const char *at;		/* where the tag begins */
	const char *indent;	/* of a standalone partial */
	size_t indent_size;
	size_t end;		/* of a section: index of its TOKEN_END */
};

struct mustache {
	const char *name;
	const char *text;
	size_t size;
	struct token *tokens;
	size_t n_tokens, allocated;
};

/*
 * Fills the token list for name, text and size, which the caller has set and keeps; it frees `tokens` in every case.
 * 0 or negative errno with *error filled.
 */
int mustache_parse(struct mustache *m, struct template_error *error);

/* Fills *error for a place in the text (NULL: none) and returns code. */
int mustache_fail(struct template_error *error, const struct mustache *m, const char *at, int code,
		  const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

#endif
