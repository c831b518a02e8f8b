/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All syntax is checked before the first byte of output. Standalone tags are recognised on the source bytes, since a
 * line that holds nothing but white space and one tag cannot hold another.
 */
#define _GNU_SOURCE
#include "mustache.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DELIMITER_MAX 16

static int fail(struct template_error *error, const struct mustache *m, const char *at, int code, const char *fmt,
		va_list ap)
{
	*error = (struct template_error){0};
	snprintf(error->template, sizeof(error->template), "%s", m->name);
	if (at) {
		error->line = error->column = 1;
		for (const char *c = m->text; c < at; c++) {
			error->column++;
			if (*c == '\n') {
				error->line++;
				error->column = 1;
			}
		}
	}
	vsnprintf(error->reason, sizeof(error->reason), fmt, ap);
	return code;
}

int mustache_fail(struct template_error *error, const struct mustache *m, const char *at, int code,
		  const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail(error, m, at, code, fmt, ap);
	va_end(ap);
	return r;
}

struct parser {
	struct mustache *p;
	struct template_error *error;
	const char *at, *end;
	char open[DELIMITER_MAX + 1], close[DELIMITER_MAX + 1];
	size_t stack[TEMPLATE_DEPTH_MAX];	/* indexes of the sections that are open */
	int depth;
};

static int refuse(struct parser *s, const char *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A syntax error at that place. */
static int refuse(struct parser *s, const char *at, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail(s->error, s->p, at, -EBADMSG, fmt, ap);
	va_end(ap);
	return r;
}

struct tag {
	char sigil;		/* 0: plain */
	const char *at;		/* first byte of the opening delimiter */
	const char *after;	/* behind the closing one */
	const char *text;	/* the tag's text, without sigil and surrounding white space */
	size_t size;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *find(const char *from, const char *end, const char *what, size_t size)
{
	return from <= end ? memmem(from, (size_t)(end - from), what, size) : NULL;
}

static int add_token(struct parser *s, struct token token)
{
	struct mustache *p = s->p;

	if (p->n_tokens == p->allocated) {
		size_t n = p->allocated ? p->allocated * 2 : 64;
		struct token *bigger = reallocarray(p->tokens, n, sizeof(*bigger));

		if (!bigger)
			return mustache_fail(s->error, p, NULL, -ENOMEM, "out of memory");
		p->tokens = bigger;
		p->allocated = n;
	}
	p->tokens[p->n_tokens++] = token;
	return 0;
}

/* The next tag at or after s->at: 1, 0 if there is none, negative on a tag that does not end. */
static int next_tag(struct parser *s, struct tag *tag)
{
	size_t open_size = strlen(s->open);
	char triple[DELIMITER_MAX + 2];
	const char *inner, *close;

	tag->at = find(s->at, s->end, s->open, open_size);
	if (!tag->at)
		return 0;
	inner = tag->at + open_size;
	tag->sigil = inner < s->end && strchr("#^/>!&={*<$", *inner) && *inner ? *inner : 0;
	if (tag->sigil)
		inner++;
	snprintf(triple, sizeof(triple), "%s%s", tag->sigil == '{' ? "}" : tag->sigil == '=' ? "=" : "", s->close);
	close = find(inner, s->end, triple, strlen(triple));
	if (!close)
		return refuse(s, tag->at, "tag is not closed by %s", triple);
	tag->after = close + strlen(triple);
	while (inner < close && is_space(*inner))
		inner++;
	while (close > inner && is_space(close[-1]))
		close--;
	tag->text = inner;
	tag->size = (size_t)(close - inner);
	return 1;
}

/*
 * Whether the tag stands alone on its line. Then *ret_before is where that line begins and *ret_after where the next
 * one does.
 */
static bool is_standalone(const struct parser *s, const struct tag *tag, const char **ret_before,
			  const char **ret_after)
{
	const char *before = tag->at, *after = tag->after;

	if (!tag->sigil || !strchr("#^/>!=", tag->sigil))
		return false;
	while (before > s->p->text && is_blank(before[-1]))
		before--;
	if (before > s->p->text && before[-1] != '\n')
		return false;
	while (after < s->end && is_blank(*after))
		after++;
	if (after < s->end && *after == '\r' && after + 1 < s->end)
		after++;
	if (after < s->end && *after != '\n')
		return false;
	*ret_before = before;
	*ret_after = after < s->end ? after + 1 : after;
	return true;
}

/* A name is ".", or components separated by single dots; white space inside it is an error. */
static int check_name(struct parser *s, const struct tag *tag)
{
	if (tag->size == 0)
		return refuse(s, tag->at, "tag has no name");
	if (tag->size > TEMPLATE_NAME_MAX)
		return refuse(s, tag->at, "name is longer than %d bytes", TEMPLATE_NAME_MAX);
	for (size_t i = 0; i < tag->size; i++) {
		unsigned char c = (unsigned char)tag->text[i];

		if (c <= ' ' || c == 0x7F)
			return refuse(s, tag->at, "white space or control character in a name");
	}
	if (tag->sigil == '>' || (tag->size == 1 && tag->text[0] == '.'))
		return 0;
	if (tag->text[0] == '.' || tag->text[tag->size - 1] == '.' || memmem(tag->text, tag->size, "..", 2))
		return refuse(s, tag->at, "empty part in the name %.*s", (int)tag->size, tag->text);
	return 0;
}

static int change_delimiters(struct parser *s, const struct tag *tag)
{
	size_t n = 0, m = 0;
	const char *second;

	while (n < tag->size && !is_space(tag->text[n]))
		n++;
	second = tag->text + n;
	while (second < tag->text + tag->size && is_space(*second))
		second++;
	m = (size_t)(tag->text + tag->size - second);
	if (n == 0 || m == 0 || n > DELIMITER_MAX || m > DELIMITER_MAX)
		return refuse(s, tag->at, "two delimiters of 1 to %d bytes expected", DELIMITER_MAX);
	for (size_t i = 0; i < tag->size; i++) {
		char c = tag->text[i];

		if (c == '=' || c == '\0' || (&tag->text[i] >= second && is_space(c)))
			return refuse(s, tag->at, "bad delimiter");
	}
	memcpy(s->open, tag->text, n);
	s->open[n] = '\0';
	memcpy(s->close, second, m);
	s->close[m] = '\0';
	return 0;
}

static int begin_section(struct parser *s, const struct token *token)
{
	if (s->depth == TEMPLATE_DEPTH_MAX)
		return mustache_fail(s->error, s->p, token->at, -ELOOP, "sections are nested too deeply");
	s->stack[s->depth++] = s->p->n_tokens;
	return add_token(s, *token);
}

static int end_section(struct parser *s, const struct token *token)
{
	const struct token *begin;

	if (s->depth == 0)
		return refuse(s, token->at, "end of section %.*s, which is not open",
			      (int)token->size, token->text);
	begin = &s->p->tokens[s->stack[s->depth - 1]];
	if (begin->size != token->size || memcmp(begin->text, token->text, token->size) != 0)
		return refuse(s, token->at, "end of section %.*s inside section %.*s",
			      (int)token->size, token->text, (int)begin->size, begin->text);
	s->p->tokens[s->stack[--s->depth]].end = s->p->n_tokens;
	return add_token(s, *token);
}

static int take_tag(struct parser *s, const struct tag *tag, const char *line, bool standalone)
{
	struct token token = {.text = tag->text, .size = tag->size, .at = tag->at};
	int r;

	if (tag->sigil == '!')
		return 0;
	if (tag->sigil == '=')
		return change_delimiters(s, tag);
	r = check_name(s, tag);
	if (r < 0)
		return r;
	switch (tag->sigil) {
	case 0:
		token.kind = TOKEN_ESCAPED;
		return add_token(s, token);
	case '{':
	case '&':
		token.kind = TOKEN_RAW;
		return add_token(s, token);
	case '#':
		token.kind = TOKEN_SECTION;
		return begin_section(s, &token);
	case '^':
		token.kind = TOKEN_INVERTED;
		return begin_section(s, &token);
	case '/':
		token.kind = TOKEN_END;
		return end_section(s, &token);
	case '>':
		token.kind = TOKEN_PARTIAL;
		if (standalone) {
			token.indent = line;
			token.indent_size = (size_t)(tag->at - line);
		}
		return add_token(s, token);
	default:
		return refuse(s, tag->at, "%c tags are not supported", tag->sigil);
	}
}

int mustache_parse(struct mustache *p, struct template_error *error)
{
	struct parser s = {
		.p = p,
		.error = error,
		.at = p->text,
		.end = p->text + p->size,
		.open = "{{",
		.close = "}}",
	};
	struct tag tag = {0};
	int r;

	if (p->size > TEMPLATE_SIZE_MAX)
		return mustache_fail(error, p, NULL, -EFBIG, "longer than %u bytes", TEMPLATE_SIZE_MAX);
	while ((r = next_tag(&s, &tag)) > 0) {
		const char *before = tag.at, *after = tag.after;
		bool standalone = is_standalone(&s, &tag, &before, &after);

		if (before > s.at)
			r = add_token(&s, (struct token){.text = s.at, .size = (size_t)(before - s.at)});
		if (r >= 0)
			r = take_tag(&s, &tag, before, standalone);
		if (r < 0)
			return r;
		s.at = after;
	}
	if (r == 0 && s.at < s.end)
		r = add_token(&s, (struct token){.text = s.at, .size = (size_t)(s.end - s.at)});
	if (r == 0 && s.depth > 0) {
		const struct token *open = &p->tokens[s.stack[s.depth - 1]];

		r = refuse(&s, open->at, "section %.*s has no end", (int)open->size, open->text);
	}
	return r;
}
