/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A validator that walks the bytes once and builds nothing. Keys that occur twice are found by counting: json-c's
 * tree keeps one member a key, so it has fewer members than the text if and only if a key was repeated.
 */
#define _GNU_SOURCE
#include "document.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scan {
	const unsigned char *start, *p, *end;
	size_t members;
	int depth;
	char *error;
	size_t error_size;
};

static bool refuse(struct scan *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool scan_value(struct scan *s);

/* Says where (line and column from 1) and why; always false. */
static bool refuse(struct scan *s, const char *fmt, ...)
{
	size_t line = 1, column = 1;
	char why[128];
	va_list ap;

	for (const unsigned char *p = s->start; p < s->p; p++) {
		column++;
		if (*p == '\n') {
			line++;
			column = 1;
		}
	}
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	snprintf(s->error, s->error_size, "line %zu column %zu: %s", line, column, why);
	return false;
}

static void skip_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n'))
		s->p++;
}

static bool expect(struct scan *s, char c)
{
	if (s->p >= s->end)
		return refuse(s, "ends too early");
	if (*s->p != (unsigned char)c)
		return refuse(s, "'%c' expected", c);
	s->p++;
	return true;
}

static bool scan_hex4(struct scan *s, unsigned *ret)
{
	unsigned value = 0;

	for (int i = 0; i < 4; i++, s->p++) {
		unsigned char c = s->p < s->end ? *s->p : 0;

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = value << 4 | ((c | 0x20) - 'a' + 10);
		else
			return refuse(s, "bad \\u escape");
	}
	*ret = value;
	return true;
}

/* After the backslash. */
static bool scan_escape(struct scan *s)
{
	unsigned code, low;
	unsigned char c = s->p < s->end ? *s->p : 0;

	if (c && strchr("\"\\/bfnrt", c)) {
		s->p++;
		return true;
	}
	if (c != 'u')
		return refuse(s, "bad escape");
	s->p++;
	if (!scan_hex4(s, &code))
		return false;
	if (code == 0)
		return refuse(s, "NUL in a string");
	if (code >= 0xDC00 && code < 0xE000)
		return refuse(s, "lone surrogate");
	if (code < 0xD800 || code >= 0xE000)
		return true;
	if (s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u')
		return refuse(s, "lone surrogate");
	s->p += 2;
	if (!scan_hex4(s, &low))
		return false;
	return low >= 0xDC00 && low < 0xE000 ? true : refuse(s, "lone surrogate");
}

/* One multi-byte character of strict UTF-8: shortest form, no surrogate, at most U+10FFFF. */
static bool scan_utf8(struct scan *s)
{
	const unsigned char *p = s->p;
	unsigned char low = 0x80, high = 0xBF;
	size_t n = p[0] >= 0xC2 && p[0] <= 0xDF ? 2 : (p[0] & 0xF0) == 0xE0 ? 3 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4 : 0;

	if (n == 0 || (size_t)(s->end - p) < n)
		return refuse(s, "not UTF-8");
	if (p[0] == 0xE0)
		low = 0xA0;
	else if (p[0] == 0xED)
		high = 0x9F;
	else if (p[0] == 0xF0)
		low = 0x90;
	else if (p[0] == 0xF4)
		high = 0x8F;
	for (size_t i = 1; i < n; i++) {
		if (p[i] < low || p[i] > high)
			return refuse(s, "not UTF-8");
		low = 0x80;
		high = 0xBF;
	}
	s->p += n;
	return true;
}

static bool scan_string(struct scan *s)
{
	if (!expect(s, '"'))
		return false;
	while (s->p < s->end && *s->p != '"') {
		if (*s->p == '\\') {
			s->p++;
			if (!scan_escape(s))
				return false;
		} else if (*s->p < 0x20) {
			return refuse(s, "control character in a string");
		} else if (*s->p < 0x80) {
			s->p++;
		} else if (!scan_utf8(s)) {
			return false;
		}
	}
	return expect(s, '"');
}

static size_t scan_digits(struct scan *s)
{
	const unsigned char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return (size_t)(s->p - from);
}

/* Whether the decimal integer, sign included, is a value of int64_t or uint64_t. */
static bool fits_64_bits(const unsigned char *text, size_t size)
{
	char copy[32];

	if (size >= sizeof(copy))
		return false;
	memcpy(copy, text, size);
	copy[size] = '\0';
	errno = 0;
	if (copy[0] == '-')
		(void)strtoll(copy, NULL, 10);
	else
		(void)strtoull(copy, NULL, 10);
	return errno == 0;
}

static bool scan_number(struct scan *s)
{
	const unsigned char *from = s->p;
	bool integer = true;
	size_t n;

	if (*s->p == '-')
		s->p++;
	if (s->p < s->end && *s->p == '0' && s->p + 1 < s->end && s->p[1] >= '0' && s->p[1] <= '9')
		return refuse(s, "number with a leading zero");
	n = scan_digits(s);
	if (n == 0)
		return refuse(s, "a value expected");
	if (s->p < s->end && *s->p == '.') {
		integer = false;
		s->p++;
		if (scan_digits(s) == 0)
			return refuse(s, "a digit expected");
	}
	if (s->p < s->end && (*s->p | 0x20) == 'e') {
		integer = false;
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		if (scan_digits(s) == 0)
			return refuse(s, "a digit expected");
	}
	if (integer && !fits_64_bits(from, (size_t)(s->p - from)))
		return refuse(s, "integer does not fit 64 bits");
	return (size_t)(s->p - from) < 64 ? true : refuse(s, "number is too long");
}

static bool scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return refuse(s, "a value expected");
	s->p += n;
	return true;
}

static bool scan_object(struct scan *s)
{
	if (!expect(s, '{'))
		return false;
	skip_space(s);
	if (s->p < s->end && *s->p == '}') {
		s->p++;
		return true;
	}
	for (;;) {
		skip_space(s);
		if (!scan_string(s))
			return false;
		skip_space(s);
		if (!expect(s, ':') || !scan_value(s))
			return false;
		s->members++;
		if (s->p >= s->end || *s->p != ',')
			return expect(s, '}');
		s->p++;
	}
}

static bool scan_array(struct scan *s)
{
	if (!expect(s, '['))
		return false;
	skip_space(s);
	if (s->p < s->end && *s->p == ']') {
		s->p++;
		return true;
	}
	for (;;) {
		if (!scan_value(s))
			return false;
		if (s->p >= s->end || *s->p != ',')
			return expect(s, ']');
		s->p++;
	}
}

/* A value and the white space around it. */
static bool scan_value(struct scan *s)
{
	bool ok;

	skip_space(s);
	if (s->p >= s->end)
		return refuse(s, "ends too early");
	if (s->depth >= DOCUMENT_DEPTH_MAX)
		return refuse(s, "nested too deeply");
	s->depth++;
	switch (*s->p) {
	case '{':
		ok = scan_object(s);
		break;
	case '[':
		ok = scan_array(s);
		break;
	case '"':
		ok = scan_string(s);
		break;
	case 't':
		ok = scan_word(s, "true");
		break;
	case 'f':
		ok = scan_word(s, "false");
		break;
	case 'n':
		ok = scan_word(s, "null");
		break;
	default:
		ok = scan_number(s);
	}
	s->depth--;
	if (ok)
		skip_space(s);
	return ok;
}

static size_t count_members(struct json_object *value)
{
	size_t n = 0;

	if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, key, member) {
			(void)key;
			n += 1 + count_members(member);
		}
	} else if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			n += count_members(json_object_array_get_idx(value, i));
	}
	return n;
}

int document_parse(const void *bytes, size_t size, struct json_object **ret, char *error, size_t error_size)
{
	struct scan s = {.start = bytes, .p = bytes, .error = error, .error_size = error_size};
	struct json_tokener *tokener;
	struct json_object *object;

	s.end = s.p + size;
	skip_space(&s);
	if (size > INT_MAX - 1 || s.p >= s.end || *s.p != '{') {
		refuse(&s, size == 0 ? "empty" : "not a JSON object");
		return -EBADMSG;
	}
	if (!scan_value(&s))
		return -EBADMSG;
	if (s.p != s.end) {
		refuse(&s, "bytes after the object");
		return -EBADMSG;
	}
	tokener = json_tokener_new_ex(DOCUMENT_DEPTH_MAX + 2);
	if (!tokener) {
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	/* Not JSON_TOKENER_STRICT: in json-c 0.18 it refuses every character beyond ASCII. The scan was strict. */
	object = json_tokener_parse_ex(tokener, bytes, (int)size);
	json_tokener_free(tokener);
	if (!object) {
		snprintf(error, error_size, "not a JSON object");
		return -EBADMSG;
	}
	if (count_members(object) != s.members) {
		snprintf(error, error_size, "a key occurs twice in one object");
		json_object_put(object);
		return -EBADMSG;
	}
	*ret = object;
	return 0;
}

int document_get(struct json_object *object, const char *path, struct json_object **ret)
{
	char name[128];

	for (;;) {
		size_t n = strcspn(path, ".");

		if (n == 0 || n >= sizeof(name) || !json_object_is_type(object, json_type_object))
			return 0;
		memcpy(name, path, n);
		name[n] = '\0';
		if (!json_object_object_get_ex(object, name, &object))
			return 0;
		if (!path[n]) {
			*ret = object;
			return 1;
		}
		path += n + 1;
	}
}
