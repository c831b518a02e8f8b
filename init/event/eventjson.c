/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements eventjson.h. A decoded string is never longer than its JSON form, and key=value NUL is never longer than
 * "key":value with its comma: so the two buffers, each as large as the largest input, need no check for room. A name is
 * decoded behind the fields read so far, and stays there only if it is a field.
 */
#include <stdint.h>
#include <string.h>

#include "eventjson.h"
#include "init/lib/utf8.h"

#define KEY_MAX 32

struct input {
	const char *at, *end;
	struct eventjson *ret;
	unsigned members;	/* a bit for each that was read */
	unsigned n_fields;
};

static const char *const level_names[] = EVENT_LEVEL_NAMES;

static void skip_space(struct input *in)
{
	while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
		in->at++;
}

static bool next_is(struct input *in, char c)
{
	skip_space(in);
	return in->at < in->end && *in->at == c;
}

static bool take(struct input *in, char c)
{
	if (!next_is(in, c))
		return false;
	in->at++;
	return true;
}

static bool take_word(struct input *in, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(in->end - in->at) < n || memcmp(in->at, word, n) != 0)
		return false;
	in->at += n;
	return true;
}

/* ---- strings -------------------------------------------------------------------------------------------------- */

/* The value of four hex digits, or -1. */
static int32_t read_hex(struct input *in)
{
	int32_t value = 0;

	if (in->end - in->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = *in->at++;
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/* The character after "\u", with the second half of a surrogate pair; 0: not a character, or NUL. */
static uint32_t read_unicode(struct input *in)
{
	int32_t c = read_hex(in), low;

	if (c < 0 || (c >= 0xdc00 && c <= 0xdfff))
		return 0;
	if (c < 0xd800 || c > 0xdbff)
		return (uint32_t)c;
	if (!take_word(in, "\\u"))
		return 0;
	low = read_hex(in);
	return low >= 0xdc00 && low <= 0xdfff ? 0x10000u + (uint32_t)((c - 0xd800) << 10 | (low - 0xdc00)) : 0;
}

/* The character after a backslash; 0: no such escape. */
static uint32_t read_escape(struct input *in)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (in->at == in->end)
		return 0;
	if (*in->at == 'u') {
		in->at++;
		return read_unicode(in);
	}
	found = memchr(names, *in->at++, sizeof(names) - 1);
	return found ? (unsigned char)values[found - names] : 0;
}

/* Decodes a string to out. */
static bool read_string(struct input *in, char *out, size_t *ret_size)
{
	size_t used = 0;

	if (!take(in, '"'))
		return false;
	while (in->at < in->end && *in->at != '"') {
		uint32_t c;
		size_t n;

		if (*in->at >= 0x20 && *in->at < 0x7f && *in->at != '\\') {	/* nearly always */
			out[used++] = *in->at++;
			continue;
		}
		n = utf8_decode(in->at, (size_t)(in->end - in->at), &c);
		if (n == 0 || c < 0x20)
			return false;
		if (c != '\\') {
			memcpy(out + used, in->at, n);
			used += n;
			in->at += n;
			continue;
		}
		in->at++;
		c = read_escape(in);
		if (c == 0)
			return false;
		used += utf8_encode(out + used, c);
	}
	*ret_size = used;
	return take(in, '"');
}

/* ---- values --------------------------------------------------------------------------------------------------- */

static bool skip_digits(struct input *in)
{
	const char *from = in->at;

	while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
		in->at++;
	return in->at > from;
}

static bool skip_number(struct input *in)
{
	(void)take_word(in, "-");
	if (!take_word(in, "0") && !skip_digits(in))
		return false;
	if (take_word(in, ".") && !skip_digits(in))
		return false;
	if (!take_word(in, "e") && !take_word(in, "E"))
		return true;
	if (!take_word(in, "+"))
		(void)take_word(in, "-");
	return skip_digits(in);
}

/* A value as text at out. What comes behind a number or a word is the caller's: it takes a comma or a brace only. */
static bool read_value(struct input *in, char *out, size_t *ret_size)
{
	const char *from;

	if (next_is(in, '"'))
		return read_string(in, out, ret_size);
	from = in->at;
	if (!take_word(in, "true") && !take_word(in, "false") && !skip_number(in))
		return false;
	*ret_size = (size_t)(in->at - from);
	memcpy(out, from, *ret_size);
	return true;
}

static bool read_object(struct input *in, bool (*member)(struct input *in))
{
	if (!take(in, '{'))
		return false;
	if (take(in, '}'))
		return true;
	do
		if (!member(in))
			return false;
	while (take(in, ','));
	return take(in, '}');
}

/* ---- fields --------------------------------------------------------------------------------------------------- */

/* As event.c wants them. */
static bool good_key(const char *key, size_t size)
{
	if (size == 0 || size > KEY_MAX || key[0] < 'a' || key[0] > 'z')
		return false;
	for (size_t i = 1; i < size; i++)
		if (!(key[i] >= 'a' && key[i] <= 'z') && !(key[i] >= '0' && key[i] <= '9') && key[i] != '_')
			return false;
	return true;
}

/* key ends with '='. */
static bool is_there(const struct eventjson *e, const char *key, size_t size)
{
	for (const char *f = e->fields; f < e->fields + e->fields_size; f += strlen(f) + 1)
		if (strncmp(f, key, size) == 0)
			return true;
	return false;
}

static bool read_field(struct input *in)
{
	struct eventjson *e = in->ret;
	char *field = e->fields + e->fields_size;
	size_t key, value;

	if (in->n_fields++ == EVENTJSON_FIELDS_MAX)	/* the search for duplicates takes quadratic time */
		return false;
	if (!read_string(in, field, &key) || !good_key(field, key) || !take(in, ':'))
		return false;
	field[key++] = '=';
	if (is_there(e, field, key) || !read_value(in, field + key, &value))
		return false;
	field[key + value] = '\0';
	e->fields_size += key + value + 1;
	return true;
}

/* ---- the object ----------------------------------------------------------------------------------------------- */

static bool read_message(struct input *in)
{
	return read_string(in, in->ret->text, &in->ret->text_size);
}

static bool read_level(struct input *in)
{
	char *name = in->ret->fields + in->ret->fields_size;
	size_t n;

	if (!read_string(in, name, &n))
		return false;
	for (unsigned i = 0; i < EVENT_LEVEL_MAX; i++) {
		if (strlen(level_names[i]) == n && memcmp(level_names[i], name, n) == 0) {
			in->ret->level = (enum event_level)i;
			return true;
		}
	}
	return false;
}

static bool read_fields(struct input *in)
{
	return read_object(in, read_field);
}

static const struct {
	const char *name;
	bool (*read)(struct input *in);
} members[] = {
	{"message", read_message},	/* bit 0 */
	{"level", read_level},
	{"fields", read_fields},
};

static bool read_member(struct input *in)
{
	char *name = in->ret->fields + in->ret->fields_size;
	size_t n;

	if (!read_string(in, name, &n) || !take(in, ':'))
		return false;
	for (unsigned i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (strlen(members[i].name) != n || memcmp(members[i].name, name, n) != 0)
			continue;
		if (in->members & 1u << i)
			return false;
		in->members |= 1u << i;
		return members[i].read(in);
	}
	return false;
}

bool eventjson_read(struct eventjson *ret, const char *bytes, size_t size)
{
	struct input in = {.at = bytes, .end = bytes + size, .ret = ret};

	if (size > EVENTJSON_MAX)
		return false;
	ret->level = EVENT_INFO;
	ret->text_size = ret->fields_size = 0;
	if (!read_object(&in, read_member) || !(in.members & 1))
		return false;
	skip_space(&in);
	return in.at == in.end;
}
