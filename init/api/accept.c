/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements accept.h in one pass over the list. Malformed elements do not count. */
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "accept.h"

#define SPACE " \t"

static size_t trimmed(const char *start, size_t size)
{
	while (size > 0 && strchr(SPACE, start[size - 1]))
		size--;
	return size;
}

static bool is(const char *start, size_t size, const char *word)
{
	return size == strlen(word) && strncasecmp(start, word, size) == 0;
}

/* "1", "0.5", "1.000": above 0 (RFC 9110 12.4.2). */
static bool above_zero(const char *start, size_t size)
{
	bool digit = false;

	if (size == 0 || size > 5 || (size > 1 && start[1] != '.') || !strchr("01", start[0]))
		return false;
	for (size_t i = 0; i < size; i++) {
		if (i != 1 && (start[i] < '0' || start[i] > '9'))
			return false;
		digit |= start[i] > '0';
	}
	return digit;
}

/* One element of the list, with its parameters. */
static bool element_is_html(const char *at, const char *end)
{
	bool html = false, weight = true;

	for (bool first = true; at <= end; first = false) {
		const char *semicolon = memchr(at, ';', (size_t)(end - at));
		const char *stop = semicolon ? semicolon : end;
		size_t size;

		at += strspn(at, SPACE);
		size = at < stop ? trimmed(at, (size_t)(stop - at)) : 0;
		if (first)
			html = is(at, size, "text/html");
		else if (size >= 2 && is(at, 2, "q="))
			weight = above_zero(at + 2, size - 2);
		at = stop + 1;
	}
	return html && weight;
}

bool accept_html(const char *accept)
{
	for (const char *at = accept; at;) {
		const char *comma = strchr(at, ',');

		if (element_is_html(at, comma ? comma : at + strlen(at)))
			return true;
		at = comma ? comma + 1 : NULL;
	}
	return false;
}
