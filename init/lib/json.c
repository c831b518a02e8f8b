/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One loop over the values of the text, with one bit a level to tell objects from arrays: the input chooses neither
 * stack nor memory. Each function leaves `at` where it failed, so that the caller can name the place.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "utf8.h"

int json_fail(struct json_scan *scan, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(scan->error, sizeof(scan->error), fmt, args);
	va_end(args);
	return -EINVAL;
}

static int peek(const struct json_scan *scan)
{
	return scan->at < scan->size ? (unsigned char)scan->text[scan->at] : -1;
}

static int expected(struct json_scan *scan, const char *wanted)
{
	int c = peek(scan);

	if (c < 0)
		return json_fail(scan, "ends too early: %s expected", wanted);
	if (scan->flags & JSON_SECRET)
		return json_fail(scan, "%s expected", wanted);
	if (c < 0x20 || c > 0x7e)
		return json_fail(scan, "%s expected, found byte 0x%02x", wanted, (unsigned)c);
	return json_fail(scan, "%s expected, found '%c'", wanted, c);
}

/* Reports a token that ends before `end` and goes on behind it; `trim` bytes at both its ends are not its text. */
static int give(struct json_scan *scan, enum json_kind kind, size_t end, size_t trim, bool escapes)
{
	struct json_token token = {.kind = kind, .depth = scan->depth, .text = scan->text + scan->at + trim,
				   .size = end - scan->at - 2 * trim, .escapes = escapes};
	int r = scan->take(scan, &token);

	if (r < 0)
		return r;
	scan->at = end;
	return 0;
}

/* ---- between tokens ------------------------------------------------------------------------------------------- */

static int comment(struct json_scan *scan)
{
	size_t start = scan->at, end = start + 2;
	int r;

	if (end > scan->size || (scan->text[start + 1] != '/' && scan->text[start + 1] != '*'))
		return json_fail(scan, "'/' does not begin a comment (// to the end of the line, or /* to */)");
	if (scan->text[start + 1] == '/') {
		while (end < scan->size && scan->text[end] != '\n')
			end++;
		return give(scan, JSON_COMMENT, end, 0, false);
	}
	while (end + 1 < scan->size && (scan->text[end] != '*' || scan->text[end + 1] != '/'))
		end++;
	if (end + 1 >= scan->size)
		return json_fail(scan, "comment without an end");
	r = give(scan, JSON_COMMENT, end + 2, 0, false);
	for (size_t i = start; r == 0 && i < end; i++) {
		if (scan->text[i] == '\n') {
			scan->line++;
			scan->line_at = i + 1;
		}
	}
	return r;
}

static int skip_blank(struct json_scan *scan)
{
	int r = 0;

	while (r == 0) {
		int c = peek(scan);

		if (c == '/' && scan->flags & JSON_COMMENTS) {
			r = comment(scan);
		} else if (c == ' ' || c == '\t' || c == '\r') {
			scan->at++;
		} else if (c == '\n') {
			scan->line++;
			scan->line_at = ++scan->at;
		} else {
			break;
		}
	}
	return r;
}

/* ---- strings -------------------------------------------------------------------------------------------------- */

/* The value of four hex digits at `at`, or -1. */
static int32_t hex4(const char *text, size_t size, size_t at)
{
	int32_t value = 0;

	if (size < at + 4)
		return -1;
	for (size_t i = at; i < at + 4; i++) {
		char c = text[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/*
 * The character of the escape whose backslash is at `at`, and in *ret_size the bytes of the escape. NULL, or what is
 * wrong with it.
 */
static const char *escape(const char *text, size_t size, size_t at, uint32_t *ret, size_t *ret_size)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *found = at + 1 < size ? memchr(names, text[at + 1], sizeof(names) - 1) : NULL;
	int32_t c, low;

	if (found) {
		*ret = (unsigned char)values[found - names];
		*ret_size = 2;
		return NULL;
	}
	if (at + 1 >= size || text[at + 1] != 'u')
		return "unknown escape in a string";
	c = hex4(text, size, at + 2);
	if (c < 0)
		return "\\u without four hex digits in a string";
	if (c == 0)
		return "NUL in a string";
	*ret = (uint32_t)c;
	*ret_size = 6;
	if (c < 0xd800 || c > 0xdfff)
		return NULL;
	low = c <= 0xdbff && size >= at + 12 && text[at + 6] == '\\' && text[at + 7] == 'u' ? hex4(text, size, at + 8)
											    : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return "half of a surrogate pair in a string";
	*ret = 0x10000u + (uint32_t)((c - 0xd800) << 10 | (low - 0xdc00));
	*ret_size = 12;
	return NULL;
}

static int string(struct json_scan *scan, enum json_kind kind)
{
	const char *text = scan->text, *wrong = NULL;
	size_t at = scan->at + 1, n = 0;
	bool escapes = false;
	uint32_t c;

	for (; at < scan->size && text[at] != '"' && text[at] != '\n'; at += n) {
		if (text[at] == '\\') {
			wrong = escape(text, scan->size, at, &c, &n);
			escapes = true;
		} else if ((unsigned char)text[at] < 0x20) {
			wrong = "control character in a string";
		} else {
			n = utf8_decode(text + at, scan->size - at, &c);
			wrong = n ? NULL : "string is not UTF-8";
		}
		if (wrong)
			break;
	}
	if (!wrong && (at == scan->size || text[at] == '\n'))
		wrong = "string without an end";
	if (!wrong)
		return give(scan, kind, at + 1, 1, escapes);
	scan->at = at;
	return json_fail(scan, "%s", wrong);
}

size_t json_decode(const struct json_token *token, char *out)
{
	size_t used = 0, n = 0;

	for (size_t at = 0; at < token->size; at += n) {
		uint32_t c;

		if (token->text[at] != '\\') {
			out[used++] = token->text[at];
			n = 1;
		} else if (!escape(token->text, token->size, at, &c, &n)) {
			used += utf8_encode(out + used, c);
		} else {
			assert(!"a token of json_scan()");
		}
	}
	return used;
}

/* ---- values --------------------------------------------------------------------------------------------------- */

static bool digits(struct json_scan *scan)
{
	size_t from = scan->at;

	while (peek(scan) >= '0' && peek(scan) <= '9')
		scan->at++;
	return scan->at > from;
}

static int number(struct json_scan *scan)
{
	size_t start = scan->at, whole, end;

	if (peek(scan) == '-')
		scan->at++;
	whole = scan->at;
	if (!digits(scan))
		return expected(scan, "a digit");
	if (scan->at > whole + 1 && scan->text[whole] == '0') {
		scan->at = whole;
		return json_fail(scan, "number with a leading zero");
	}
	if (peek(scan) == '.') {
		scan->at++;
		if (!digits(scan))
			return expected(scan, "a digit");
	}
	if (peek(scan) == 'e' || peek(scan) == 'E') {
		scan->at++;
		if (peek(scan) == '+' || peek(scan) == '-')
			scan->at++;
		if (!digits(scan))
			return expected(scan, "a digit");
	}
	end = scan->at;
	scan->at = start;
	return give(scan, JSON_NUMBER, end, 0, false);
}

static int word(struct json_scan *scan)
{
	static const char *const words[] = {"true", "false", "null"};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i]);

		if (scan->size - scan->at >= n && !memcmp(scan->text + scan->at, words[i], n))
			return give(scan, (enum json_kind)(JSON_TRUE + i), scan->at + n, 0, false);
	}
	return expected(scan, "a value");
}

static int open_level(struct json_scan *scan, bool object)
{
	int r;

	if (scan->depth >= scan->depth_max)
		return json_fail(scan, "nested too deeply: more than %u levels of objects and arrays",
				 scan->depth_max);
	r = give(scan, object ? JSON_OBJECT : JSON_ARRAY, scan->at + 1, 0, false);
	if (r < 0)
		return r;
	scan->objects = (scan->objects & ~(UINT64_C(1) << scan->depth)) | (uint64_t)object << scan->depth;
	scan->depth++;
	return 1;
}

/* 1: an object or array was opened; 0: a value is complete. */
static int value(struct json_scan *scan)
{
	int r = give(scan, JSON_BEGIN, scan->at, 0, false), c = peek(scan);

	if (r < 0)
		return r;
	if (c == '{' || c == '[')
		return open_level(scan, c == '{');
	if (c == '"')
		return string(scan, JSON_STRING);
	return c == '-' || (c >= '0' && c <= '9') ? number(scan) : word(scan);
}

/* ---- objects and arrays --------------------------------------------------------------------------------------- */

static bool in_object(const struct json_scan *scan)
{
	return scan->objects >> (scan->depth - 1) & 1;
}

static int closer(const struct json_scan *scan)
{
	return in_object(scan) ? '}' : ']';
}

static int close_level(struct json_scan *scan)
{
	scan->depth--;
	return give(scan, JSON_CLOSE, scan->at + 1, 0, false);
}

/* An object's key and colon, an array's nothing. 1: a value follows. */
static int before_value(struct json_scan *scan)
{
	int r;

	if (!in_object(scan))
		return 1;
	if (peek(scan) != '"')
		return expected(scan, "a key in quotes");
	r = string(scan, JSON_KEY);
	if (r == 0)
		r = skip_blank(scan);
	if (r < 0)
		return r;
	if (peek(scan) != ':')
		return expected(scan, "':'");
	scan->at++;
	r = skip_blank(scan);
	return r < 0 ? r : 1;
}

/* Behind an opening bracket. 1: a value follows; 0: it is empty, and closed. */
static int first(struct json_scan *scan)
{
	int r = skip_blank(scan);

	if (r < 0)
		return r;
	return peek(scan) == closer(scan) ? close_level(scan) : before_value(scan);
}

/* Behind a value. 1: another follows; 0: the innermost object or array is closed. */
static int next(struct json_scan *scan)
{
	int r = skip_blank(scan);

	if (r < 0)
		return r;
	if (peek(scan) == closer(scan))
		return close_level(scan);
	if (peek(scan) != ',')
		return expected(scan, in_object(scan) ? "',' or '}'" : "',' or ']'");
	scan->at++;
	r = skip_blank(scan);
	if (r < 0)
		return r;
	return peek(scan) == closer(scan) ? json_fail(scan, "comma before '%c'", closer(scan)) : before_value(scan);
}

int json_scan(struct json_scan *scan)
{
	int r;

	assert(scan->depth_max <= JSON_DEPTH_MAX);
	scan->at = scan->line_at = 0;
	scan->line = 1;
	scan->depth = 0;
	scan->error[0] = '\0';
	r = skip_blank(scan);
	if (r < 0)
		return r;
	do {
		r = value(scan);
		if (r > 0)
			r = first(scan);
		while (r == 0 && scan->depth > 0)
			r = next(scan);
	} while (r > 0);
	if (r == 0)
		r = skip_blank(scan);
	return r < 0 || scan->at == scan->size ? r : json_fail(scan, "bytes after the JSON value");
}
