/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A recursive-descent scan over the text, of bounded depth and with a bounded number of values; it builds
 * nothing but the table of positions. Stricter than the JSON library behind it, because boot.json is written
 * by hand: what can only be a slip (a key given twice, bytes after the end) is an error, never a guess.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jsonpos.h"

#define MEMBERS_MAX 1024	/* of one object: bounds the search for duplicate keys */

struct scan {
	struct jsonpos *pos;
	char *text;
	size_t size, at;
	uint32_t line;
	uint32_t value;		/* what is being scanned; its parent once it is complete */
	unsigned depth;
};

static int scan_value(struct scan *scan);

static int fail(struct scan *scan, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int fail(struct scan *scan, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(scan->pos->error, sizeof(scan->pos->error), fmt, args);
	va_end(args);
	scan->pos->error_line = scan->line;
	scan->pos->error_value = scan->value;
	return -EINVAL;
}

static int peek(const struct scan *scan)
{
	return scan->at < scan->size ? (unsigned char)scan->text[scan->at] : -1;
}

static int unexpected(struct scan *scan, const char *wanted)
{
	int c = peek(scan);

	if (c < 0)
		return fail(scan, "the text ends where %s must follow", wanted);
	if (c < 0x20 || c > 0x7e)
		return fail(scan, "byte 0x%02x where %s must follow", (unsigned)c, wanted);
	return fail(scan, "'%c' where %s must follow", c, wanted);
}

static int skip_comment(struct scan *scan)
{
	char *text = scan->text;
	uint32_t line = scan->line;

	if (scan->at + 1 < scan->size && text[scan->at + 1] == '/') {
		while (scan->at < scan->size && text[scan->at] != '\n')
			text[scan->at++] = ' ';
		return 0;
	}
	if (scan->at + 1 >= scan->size || text[scan->at + 1] != '*')
		return fail(scan, "'/' begins no comment: they are // to the end of the line, or /* to */");
	text[scan->at] = text[scan->at + 1] = ' ';
	for (scan->at += 2; scan->at + 1 < scan->size; scan->at++) {
		bool end = text[scan->at] == '*' && text[scan->at + 1] == '/';

		if (text[scan->at] == '\n')
			scan->line++;
		else
			text[scan->at] = ' ';
		if (end) {
			text[++scan->at] = ' ';
			scan->at++;
			return 0;
		}
	}
	scan->line = line;
	return fail(scan, "comment without an end");
}

static int skip_blank(struct scan *scan)
{
	for (;;) {
		switch (peek(scan)) {
		case '\n':
			scan->line++;
			/* fall through */
		case ' ':
		case '\t':
		case '\r':
			scan->at++;
			break;
		case '/': {
			int r = skip_comment(scan);

			if (r < 0)
				return r;
			break;
		}
		default:
			return 0;
		}
	}
}

/* The size of the UTF-8 sequence at the start of s, 0 if it is none. Unicode 15, table 3-7. */
static size_t utf8_size(const unsigned char *s, size_t size)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (n > size)
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return n;
}

/* Four hex digits at `at`; -1 if there are none. */
static long hex4(const struct scan *scan, size_t at)
{
	long value = 0;

	if (at + 4 > scan->size)
		return -1;
	for (size_t i = at; i < at + 4; i++) {
		unsigned char c = (unsigned char)scan->text[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = value * 16 + ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

static int scan_escape(struct scan *scan)
{
	long unit, second;

	scan->at++;
	if (scan->at < scan->size && scan->text[scan->at] && strchr("\"\\/bfnrt", scan->text[scan->at])) {
		scan->at++;
		return 0;
	}
	if (peek(scan) != 'u')
		return fail(scan, "unknown escape in a string");
	unit = hex4(scan, scan->at + 1);
	if (unit < 0)
		return fail(scan, "\\u without four hex digits in a string");
	if (unit == 0)
		return fail(scan, "\\u0000 in a string");
	scan->at += 5;
	if (unit < 0xd800 || unit > 0xdfff)
		return 0;
	if (unit > 0xdbff || scan->at + 2 > scan->size || memcmp(scan->text + scan->at, "\\u", 2))
		return fail(scan, "half of a surrogate pair in a string");
	second = hex4(scan, scan->at + 2);
	if (second < 0xdc00 || second > 0xdfff)
		return fail(scan, "half of a surrogate pair in a string");
	scan->at += 6;
	return 0;
}

static int scan_string(struct scan *scan, bool key)
{
	scan->at++;
	for (;;) {
		int c = peek(scan);
		size_t n;

		if (c == '"') {
			scan->at++;
			return 0;
		}
		if (c < 0 || c == '\n')
			return fail(scan, "string without an end");
		if (c < 0x20)
			return fail(scan, "control byte 0x%02x in a string", (unsigned)c);
		if (c == '\\') {
			int r = key ? fail(scan, "escape in a key") : scan_escape(scan);

			if (r < 0)
				return r;
			continue;
		}
		n = utf8_size((const unsigned char *)scan->text + scan->at, scan->size - scan->at);
		if (!n)
			return fail(scan, "invalid UTF-8 in a string");
		scan->at += n;
	}
}

static int scan_number(struct scan *scan)
{
	size_t digits = 0;
	size_t start;

	if (peek(scan) == '-')
		scan->at++;
	start = scan->at;
	while (peek(scan) >= '0' && peek(scan) <= '9')
		scan->at++, digits++;
	if (!digits)
		return unexpected(scan, "a digit");
	if (digits > 1 && scan->text[start] == '0')
		return fail(scan, "number with a leading zero");
	if (peek(scan) == '.') {
		size_t point = scan->at++;

		while (peek(scan) >= '0' && peek(scan) <= '9')
			scan->at++, digits++;
		if (scan->at == point + 1)
			return unexpected(scan, "a digit");
	}
	if (peek(scan) == 'e' || peek(scan) == 'E')
		return fail(scan, "number with an exponent");
	if (digits > 18)
		return fail(scan, "number of more than 18 digits");
	return 0;
}

static int scan_word(struct scan *scan)
{
	static const char *const words[] = {"true", "false", "null"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i]);

		if (scan->size - scan->at >= n && !memcmp(scan->text + scan->at, words[i], n)) {
			scan->at += n;
			return 0;
		}
	}
	return unexpected(scan, "a value");
}

static int add_value(struct scan *scan, struct jsonpos_value value)
{
	struct jsonpos *pos = scan->pos;

	if (pos->n_values == JSONPOS_VALUES_MAX)
		return fail(scan, "more than %d values", JSONPOS_VALUES_MAX);
	if (pos->n_values % 256 == 0) {
		void *more = reallocarray(pos->values, pos->n_values + 256, sizeof(*pos->values));

		if (!more)
			return -ENOMEM;
		pos->values = more;
	}
	value.parent = scan->value;
	pos->values[pos->n_values++] = value;
	return 0;
}

static bool is_duplicate(const struct scan *scan, const struct jsonpos_value *member)
{
	const struct jsonpos *pos = scan->pos;

	for (size_t i = scan->value + 1; i < pos->n_values; i++) {
		const struct jsonpos_value *other = &pos->values[i];

		if (other->parent == scan->value && other->key_size == member->key_size &&
		    !memcmp(pos->text + other->key, pos->text + member->key, member->key_size))
			return true;
	}
	return false;
}

/* "key" and colon; the value's entry is added with the line of its key. */
static int scan_key(struct scan *scan, uint32_t index)
{
	struct jsonpos_value member = {.key = (uint32_t)scan->at + 1, .index = index, .line = scan->line};
	int r;

	if (peek(scan) != '"')
		return unexpected(scan, "a key in quotes");
	if (index == MEMBERS_MAX)
		return fail(scan, "object with more than %d keys", MEMBERS_MAX);
	r = scan_string(scan, true);
	if (r < 0)
		return r;
	member.key_size = (uint32_t)scan->at - 1 - member.key;
	if (is_duplicate(scan, &member)) {
		int shown = member.key_size > 64 ? 64 : (int)member.key_size;

		return fail(scan, "key \"%.*s\" is there twice", shown, scan->text + member.key);
	}
	r = add_value(scan, member);
	if (r < 0)
		return r;
	r = skip_blank(scan);
	if (r < 0)
		return r;
	if (peek(scan) != ':')
		return unexpected(scan, "':'");
	scan->at++;
	return skip_blank(scan);
}

static int scan_item(struct scan *scan, uint32_t index)
{
	struct jsonpos_value item = {.key_size = UINT32_MAX, .index = index, .line = scan->line};

	return add_value(scan, item);
}

static int scan_members(struct scan *scan, bool object)
{
	char end = object ? '}' : ']';
	const char *wanted = object ? "',' or '}'" : "',' or ']'";
	int r;

	for (uint32_t index = 0;; index++) {
		r = skip_blank(scan);
		if (r < 0)
			return r;
		if (peek(scan) == end) {
			if (index)
				return fail(scan, "comma before '%c'", end);
			break;
		}
		r = object ? scan_key(scan, index) : scan_item(scan, index);
		if (r < 0)
			return r;
		r = scan_value(scan);
		if (r < 0)
			return r;
		r = skip_blank(scan);
		if (r < 0)
			return r;
		if (peek(scan) == end)
			break;
		if (peek(scan) != ',')
			return unexpected(scan, wanted);
		scan->at++;
	}
	scan->at++;
	return 0;
}

/* The value whose entry was added last. */
static int scan_value(struct scan *scan)
{
	uint32_t outer = scan->value;
	int c = peek(scan);
	int r;

	scan->value = (uint32_t)scan->pos->n_values - 1;
	if (c == '{' || c == '[') {
		if (++scan->depth > JSONPOS_DEPTH_MAX)
			return fail(scan, "more than %d levels of objects and arrays", JSONPOS_DEPTH_MAX);
		scan->at++;
		r = scan_members(scan, c == '{');
		scan->depth--;
	} else if (c == '"') {
		r = scan_string(scan, false);
	} else if (c == '-' || (c >= '0' && c <= '9')) {
		r = scan_number(scan);
	} else {
		r = scan_word(scan);
	}
	if (r == 0)
		scan->value = outer;
	return r;
}

int jsonpos_scan(struct jsonpos *pos, char *text, size_t size)
{
	struct scan scan = {.pos = pos, .text = text, .size = size, .line = 1};
	int r;

	*pos = (struct jsonpos){.text = text};
	if (size >= UINT32_MAX)
		return -EFBIG;
	r = skip_blank(&scan);
	if (r < 0)
		return r;
	r = scan_item(&scan, 0);
	if (r < 0)
		return r;
	r = scan_value(&scan);
	if (r < 0)
		return r;
	r = skip_blank(&scan);
	if (r < 0)
		return r;
	return scan.at == size ? 0 : unexpected(&scan, "the end of the file");
}

void jsonpos_deinit(struct jsonpos *pos)
{
	free(pos->values);
	*pos = (struct jsonpos){0};
}

uint32_t jsonpos_find(const struct jsonpos *pos, uint32_t parent, const char *key, uint32_t index)
{
	size_t key_size = key ? strlen(key) : 0;

	for (uint32_t i = parent + 1; i < pos->n_values; i++) {
		const struct jsonpos_value *value = &pos->values[i];

		if (value->parent != parent)
			continue;
		if (key ? value->key_size == key_size && !memcmp(pos->text + value->key, key, key_size)
			: value->key_size == UINT32_MAX && value->index == index)
			return i;
	}
	return parent;
}
