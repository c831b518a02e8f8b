/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tokens of a template are walked with a stack of contexts that lives on the C stack. A partial is parsed when it
 * is reached, since its name can depend on the document.
 */
#define _GNU_SOURCE
#include "template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gantry/cleanup.h>

#include "mustache.h"

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

static int fail_key(struct render *r, const struct mustache *p, const struct token *t, int code, const char *reason)
{
	int result = mustache_fail(r->error, p, t->at, code, "%s", reason);

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

void template_release(struct template_output *o)
{
	if (o->bytes) {
		explicit_bzero(o->bytes, o->allocated);
		free(o->bytes);
	}
	*o = (struct template_output){0};
}

static int put(struct render *r, const struct mustache *p, const char *bytes, size_t size)
{
	struct template_output *o = r->out;

	if (size > TEMPLATE_OUTPUT_MAX - o->size)
		return mustache_fail(r->error, p, NULL, -EFBIG, "output is longer than %u bytes", TEMPLATE_OUTPUT_MAX);
	if (o->size + size > o->allocated) {
		struct template_output bigger = {.size = o->size, .allocated = 4096};

		while (bigger.allocated < o->size + size)
			bigger.allocated *= 2;
		bigger.bytes = malloc(bigger.allocated);
		if (!bigger.bytes)
			return mustache_fail(r->error, p, NULL, -ENOMEM, "out of memory");
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

static int put_escaped(struct render *r, const struct mustache *p, const char *bytes, size_t size)
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

static bool get_member(struct json_object *object, const char *name, size_t size, struct json_object **ret)
{
	char key[TEMPLATE_NAME_MAX + 1];

	if (!json_object_is_type(object, json_type_object) || size > TEMPLATE_NAME_MAX)
		return false;
	memcpy(key, name, size);
	key[size] = '\0';
	return json_object_object_get_ex(object, key, ret);
}

/* The first part is looked for from the innermost context outwards; the others only inside its value. */
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
static int check_value(struct render *r, const struct mustache *p, const struct token *t, const char *bytes,
		       size_t size)
{
	char reason[80];

	if (r->request->values == TEMPLATE_ANY)
		return 0;
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if ((c >= ' ' && c != 0x7F) || (t->kind == TOKEN_RAW && (c == '\n' || c == '\t')))
			continue;
		snprintf(reason, sizeof(reason), "value has a control character (0x%02x)%s", c,
			 c == '\n' || c == '\t' ? "; allowed in a raw tag" : "");
		return fail_key(r, p, t, -EBADMSG, reason);
	}
	return 0;
}

static int render_value(struct render *r, const struct mustache *p, const struct token *t, const struct scope *scope)
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
		return fail_key(r, p, t, -EBADMSG, "is an object, not a string");
	case json_type_array:
		return fail_key(r, p, t, -EBADMSG, "is a list, not a string");
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

static int render_tokens(struct render *r, const struct mustache *p, size_t from, size_t to, const struct scope *scope);

static int render_section(struct render *r, const struct mustache *p, size_t index, const struct scope *outer)
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

static int render_partial(struct render *r, const struct mustache *p, const struct token *t, const struct scope *scope)
{
	_cleanup_(cleanup_free) char *text = NULL, *indented = NULL;
	char name[TEMPLATE_NAME_MAX + 1];
	struct mustache partial = {.name = name};
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
	result = mustache_parse(&partial, r->error);
	r->depth++;
	if (result == 0)
		result = render_tokens(r, &partial, 0, partial.n_tokens, scope);
	r->depth--;
	free(partial.tokens);
	return result;
}

static int render_tokens(struct render *r, const struct mustache *p, size_t from, size_t to, const struct scope *scope)
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
	struct mustache p = {.name = request->name, .text = request->text, .size = request->size};
	struct render r = {.request = request, .out = ret, .error = error};
	struct scope scope = {.value = request->document};
	int result;

	result = mustache_parse(&p, error);
	if (result == 0)
		result = render_tokens(&r, &p, 0, p.n_tokens, &scope);
	free(p.tokens);
	return result;
}
