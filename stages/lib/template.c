/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A template becomes a flat list of tokens, sections knowing where they end; then the list is walked with a stack of
 * contexts that lives on the C stack. All syntax is checked before the first byte of output, in partials too when
 * they are reached. Standalone tags are recognised on the source bytes, since a line that holds nothing but white
 * space and one tag cannot hold another.
 */
#define _GNU_SOURCE
#include "template.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gantry/cleanup.h>

#define DELIMITER_MAX 16

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

struct parsed {
	const char *name;
	const char *text;
	size_t size;
	struct token *tokens;
	size_t n_tokens, allocated;
};

/* A list of contexts, innermost first. A NULL value is JSON's null. */
struct scope {
	struct json_object *value;
	const struct scope *outer;
};

struct render {
	const struct template_request *request;
	struct template_output *out;
	struct template_error *error;
	int depth;
};

static int fail(struct template_error *error, const struct parsed *p, const char *at, int code, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static int fail(struct template_error *error, const struct parsed *p, const char *at, int code, const char *fmt, ...)
{
	va_list ap;

	*error = (struct template_error){0};
	snprintf(error->template, sizeof(error->template), "%s", p->name);
	if (at) {
		error->line = error->column = 1;
		for (const char *c = p->text; c < at; c++) {
			error->column++;
			if (*c == '\n') {
				error->line++;
				error->column = 1;
			}
		}
	}
	va_start(ap, fmt);
	vsnprintf(error->reason, sizeof(error->reason), fmt, ap);
	va_end(ap);
	return code;
}

static int fail_key(struct render *r, const struct parsed *p, const struct token *t, int code, const char *reason)
{
	int result = fail(r->error, p, t->at, code, "%s", reason);

	snprintf(r->error->key, sizeof(r->error->key), "%.*s", (int)t->size, t->text);
	return result;
}

void template_error_format(const struct template_error *e, char *text, size_t text_size)
{
	char place[64] = "";

	if (e->line)
		snprintf(place, sizeof(place), ":%zu:%zu", e->line, e->column);
	snprintf(text, text_size, "%s%s: %s%s%s", e->template, place, e->key, e->key[0] ? ": " : "", e->reason);
}

/* ---- syntax ---- */

struct parser {
	struct parsed *p;
	struct template_error *error;
	const char *at, *end;
	char open[DELIMITER_MAX + 1], close[DELIMITER_MAX + 1];
	size_t stack[TEMPLATE_DEPTH_MAX];	/* indexes of the sections that are open */
	int depth;
};

struct tag {
	char sigil;		/* 0: plain */
	const char *at;		/* first byte of the opening delimiter */
	const char *after;	/* behind the closing one */
	const char *text;	/* what is between, sigil and white space around taken off */
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
	struct parsed *p = s->p;

	if (p->n_tokens == p->allocated) {
		size_t n = p->allocated ? p->allocated * 2 : 64;
		struct token *bigger = reallocarray(p->tokens, n, sizeof(*bigger));

		if (!bigger)
			return fail(s->error, p, NULL, -ENOMEM, "out of memory");
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
		return fail(s->error, s->p, tag->at, -EBADMSG, "tag is not closed by %s", triple);
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

/* A name is ".", or components separated by single dots; white space inside it is somebody's mistake. */
static int check_name(struct parser *s, const struct tag *tag)
{
	if (tag->size == 0)
		return fail(s->error, s->p, tag->at, -EBADMSG, "tag has no name");
	if (tag->size > TEMPLATE_NAME_MAX)
		return fail(s->error, s->p, tag->at, -EBADMSG, "name is longer than %d bytes", TEMPLATE_NAME_MAX);
	for (size_t i = 0; i < tag->size; i++) {
		unsigned char c = (unsigned char)tag->text[i];

		if (c <= ' ' || c == 0x7F)
			return fail(s->error, s->p, tag->at, -EBADMSG, "white space or control character in a name");
	}
	if (tag->sigil == '>' || (tag->size == 1 && tag->text[0] == '.'))
		return 0;
	if (tag->text[0] == '.' || tag->text[tag->size - 1] == '.' || memmem(tag->text, tag->size, "..", 2))
		return fail(s->error, s->p, tag->at, -EBADMSG, "empty part in the name %.*s", (int)tag->size, tag->text);
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
		return fail(s->error, s->p, tag->at, -EBADMSG, "two delimiters of 1 to %d bytes expected", DELIMITER_MAX);
	for (size_t i = 0; i < tag->size; i++) {
		char c = tag->text[i];

		if (c == '=' || c == '\0' || (&tag->text[i] >= second && is_space(c)))
			return fail(s->error, s->p, tag->at, -EBADMSG, "bad delimiter");
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
		return fail(s->error, s->p, token->at, -ELOOP, "sections are nested too deeply");
	s->stack[s->depth++] = s->p->n_tokens;
	return add_token(s, *token);
}

static int end_section(struct parser *s, const struct token *token)
{
	const struct token *begin;

	if (s->depth == 0)
		return fail(s->error, s->p, token->at, -EBADMSG, "end of section %.*s that was not begun",
			    (int)token->size, token->text);
	begin = &s->p->tokens[s->stack[s->depth - 1]];
	if (begin->size != token->size || memcmp(begin->text, token->text, token->size) != 0)
		return fail(s->error, s->p, token->at, -EBADMSG, "end of section %.*s inside section %.*s",
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
		return fail(s->error, s->p, tag->at, -EBADMSG, "%c tags are not supported", tag->sigil);
	}
}

static int parse(struct parsed *p, struct template_error *error)
{
	struct parser s = {.p = p, .error = error, .at = p->text, .end = p->text + p->size, .open = "{{", .close = "}}"};
	struct tag tag = {0};
	int r;

	if (p->size > TEMPLATE_SIZE_MAX)
		return fail(error, p, NULL, -EFBIG, "longer than %u bytes", TEMPLATE_SIZE_MAX);
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

		r = fail(error, p, open->at, -EBADMSG, "section %.*s has no end", (int)open->size, open->text);
	}
	return r;
}

/* ---- output ---- */

void template_release(struct template_output *o)
{
	if (o->bytes) {
		explicit_bzero(o->bytes, o->allocated);
		free(o->bytes);
	}
	*o = (struct template_output){0};
}

static int put(struct render *r, const struct parsed *p, const char *bytes, size_t size)
{
	struct template_output *o = r->out;

	if (size > TEMPLATE_OUTPUT_MAX - o->size)
		return fail(r->error, p, NULL, -EFBIG, "output is longer than %u bytes", TEMPLATE_OUTPUT_MAX);
	if (o->size + size > o->allocated) {
		struct template_output bigger = {.size = o->size, .allocated = 4096};

		while (bigger.allocated < o->size + size)
			bigger.allocated *= 2;
		bigger.bytes = malloc(bigger.allocated);
		if (!bigger.bytes)
			return fail(r->error, p, NULL, -ENOMEM, "out of memory");
		if (o->size)
			memcpy(bigger.bytes, o->bytes, o->size);
		template_release(o);
		*o = bigger;
	}
	if (size)
		memcpy(o->bytes + o->size, bytes, size);
	o->size += size;
	return 0;
}

static int put_escaped(struct render *r, const struct parsed *p, const char *bytes, size_t size)
{
	size_t from = 0;
	int result = 0;

	for (size_t i = 0; i < size && result == 0; i++) {
		const char *entity = bytes[i] == '&' ? "&amp;" : bytes[i] == '<' ? "&lt;" : bytes[i] == '>' ? "&gt;" :
			bytes[i] == '"' ? "&#34;" : bytes[i] == '\'' ? "&#39;" : NULL;

		if (!entity)
			continue;
		result = put(r, p, bytes + from, i - from);
		if (result == 0)
			result = put(r, p, entity, strlen(entity));
		from = i + 1;
	}
	return result == 0 ? put(r, p, bytes + from, size - from) : result;
}

/* ---- values ---- */

static bool get_member(struct json_object *object, const char *name, size_t size, struct json_object **ret)
{
	char key[TEMPLATE_NAME_MAX + 1];

	if (!json_object_is_type(object, json_type_object) || size > TEMPLATE_NAME_MAX)
		return false;
	memcpy(key, name, size);
	key[size] = '\0';
	return json_object_object_get_ex(object, key, ret);
}

/* The first part is looked for from the innermost context outwards; the others only inside what it gave. */
static bool lookup(const struct scope *scope, const struct token *t, struct json_object **ret)
{
	const char *name = t->text, *end = t->text + t->size;
	const char *dot = memchr(name, '.', t->size);
	size_t n = dot ? (size_t)(dot - name) : t->size;
	struct json_object *value = NULL;

	if (t->size == 1 && *name == '.') {
		*ret = scope->value;
		return true;
	}
	while (scope && !get_member(scope->value, name, n, &value))
		scope = scope->outer;
	if (!scope)
		return false;
	for (name += n; name < end; name += n) {
		name++;
		dot = memchr(name, '.', (size_t)(end - name));
		n = dot ? (size_t)(dot - name) : (size_t)(end - name);
		if (!get_member(value, name, n, &value))
			return false;
	}
	*ret = value;
	return true;
}

static bool is_truthy(struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		return false;
	case json_type_boolean:
		return json_object_get_boolean(value);
	case json_type_int:
		return json_object_get_int64(value) != 0;
	case json_type_double:
		return json_object_get_double(value) < 0 || json_object_get_double(value) > 0;
	case json_type_string:
		return json_object_get_string_len(value) > 0;
	case json_type_array:
		return json_object_array_length(value) > 0;
	default:
		return true;
	}
}

/*
 * A control character in a value could begin a new line of a configuration file that its author did not write. So
 * only raw interpolation, where the author asks for the bytes as they are, takes whole lines.
 */
static int check_value(struct render *r, const struct parsed *p, const struct token *t, const char *bytes, size_t size)
{
	char reason[80];

	if (r->request->values == TEMPLATE_ANY)
		return 0;
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if ((c >= ' ' && c != 0x7F) || (t->kind == TOKEN_RAW && (c == '\n' || c == '\t')))
			continue;
		snprintf(reason, sizeof(reason), "value has a control character (0x%02x)%s", c,
			 c == '\n' || c == '\t' ? "; a raw tag would take it" : "");
		return fail_key(r, p, t, -EBADMSG, reason);
	}
	return 0;
}

static int render_value(struct render *r, const struct parsed *p, const struct token *t, const struct scope *scope)
{
	struct json_object *value;
	const char *bytes;
	size_t size;
	int result;

	if (!lookup(scope, t, &value) || !value)
		return 0;
	switch (json_object_get_type(value)) {
	case json_type_string:
		bytes = json_object_get_string(value);
		size = (size_t)json_object_get_string_len(value);
		break;
	case json_type_object:
		return fail_key(r, p, t, -EBADMSG, "is an object, not a text");
	case json_type_array:
		return fail_key(r, p, t, -EBADMSG, "is a list, not a text");
	default:
		bytes = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
		if (!bytes)
			return fail_key(r, p, t, -ENOMEM, "out of memory");
		size = strlen(bytes);
	}
	result = check_value(r, p, t, bytes, size);
	if (result < 0)
		return result;
	return t->kind == TOKEN_RAW ? put(r, p, bytes, size) : put_escaped(r, p, bytes, size);
}

/* ---- rendering ---- */

static int render_tokens(struct render *r, const struct parsed *p, size_t from, size_t to, const struct scope *scope);

static int render_section(struct render *r, const struct parsed *p, size_t index, const struct scope *outer)
{
	const struct token *t = &p->tokens[index];
	struct json_object *value = NULL;
	bool truthy = lookup(outer, t, &value) && is_truthy(value);
	struct scope scope = {.value = value, .outer = outer};
	int result = 0;

	if (t->kind == TOKEN_INVERTED)
		return truthy ? 0 : render_tokens(r, p, index + 1, t->end, outer);
	if (!truthy)
		return 0;
	if (!json_object_is_type(value, json_type_array))
		return render_tokens(r, p, index + 1, t->end, &scope);
	for (size_t i = 0; i < json_object_array_length(value) && result == 0; i++) {
		scope.value = json_object_array_get_idx(value, i);
		result = render_tokens(r, p, index + 1, t->end, &scope);
	}
	return result;
}

/* The partial's text with the tag's indentation before each of its lines, but not before an empty rest. */
static char *indent(const char *text, size_t size, const char *by, size_t by_size, size_t *ret_size)
{
	size_t lines = size ? 1 : 0, used = 0;
	char *copy;

	for (size_t i = 0; i + 1 < size; i++)
		lines += text[i] == '\n';
	copy = malloc(size + lines * by_size + 1);
	if (!copy)
		return NULL;
	for (size_t i = 0; i < size; i++) {
		if (by_size && (i == 0 || text[i - 1] == '\n')) {
			memcpy(copy + used, by, by_size);
			used += by_size;
		}
		copy[used++] = text[i];
	}
	*ret_size = used;
	return copy;
}

static int render_partial(struct render *r, const struct parsed *p, const struct token *t, const struct scope *scope)
{
	_cleanup_(cleanup_free) char *text = NULL, *indented = NULL;
	char name[TEMPLATE_NAME_MAX + 1];
	struct parsed partial = {.name = name};
	size_t size = 0;
	int result;

	if (!r->request->partial)
		return 0;
	if (r->depth == TEMPLATE_DEPTH_MAX)
		return fail_key(r, p, t, -ELOOP, "partials are nested too deeply");
	snprintf(name, sizeof(name), "%.*s", (int)t->size, t->text);
	result = r->request->partial(r->request->context, name, &text, &size);
	if (result == 0)
		return 0;
	if (result < 0)
		return fail_key(r, p, t, result, strerror(-result));
	if (size > TEMPLATE_SIZE_MAX)
		return fail_key(r, p, t, -EFBIG, "partial is too long");
	indented = indent(text, size, t->indent, t->indent_size, &partial.size);
	if (!indented)
		return fail_key(r, p, t, -ENOMEM, "out of memory");
	partial.text = indented;
	result = parse(&partial, r->error);
	r->depth++;
	if (result == 0)
		result = render_tokens(r, &partial, 0, partial.n_tokens, scope);
	r->depth--;
	free(partial.tokens);
	return result;
}

static int render_tokens(struct render *r, const struct parsed *p, size_t from, size_t to, const struct scope *scope)
{
	int result = 0;

	for (size_t i = from; i < to && result == 0; i++) {
		const struct token *t = &p->tokens[i];

		switch (t->kind) {
		case TOKEN_TEXT:
			result = put(r, p, t->text, t->size);
			break;
		case TOKEN_ESCAPED:
		case TOKEN_RAW:
			result = render_value(r, p, t, scope);
			break;
		case TOKEN_SECTION:
		case TOKEN_INVERTED:
			result = render_section(r, p, i, scope);
			i = t->end;
			break;
		case TOKEN_PARTIAL:
			result = render_partial(r, p, t, scope);
			break;
		case TOKEN_END:
			break;
		}
	}
	return result;
}

int template_render(const struct template_request *request, struct template_output *ret, struct template_error *error)
{
	struct parsed p = {.name = request->name, .text = request->text, .size = request->size};
	struct render r = {.request = request, .out = ret, .error = error};
	struct scope scope = {.value = request->document};
	int result;

	result = parse(&p, error);
	if (result == 0)
		result = render_tokens(&r, &p, 0, p.n_tokens, &scope);
	free(p.tokens);
	return result;
}
