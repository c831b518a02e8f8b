/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements report.h on top of init/lib/report.h. */
#define _GNU_SOURCE
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <gantry/report.h>

#define FACT_VALUE_MAX 200

static char facts[NODE_FACTS_MAX];
static size_t facts_size;

/* The place of the fact with that key, or facts_size. */
static size_t find_fact(const char *key)
{
	size_t at = 0, n = strlen(key);

	while (at < facts_size && (strncmp(facts + at, key, n) != 0 || facts[at + n] != '='))
		at += strlen(facts + at) + 1;
	return at;
}

/* "key=value" NUL into fact, cut at a UTF-8 boundary; returns its size. */
static size_t format_fact(char *fact, size_t room, const char *key, const char *fmt, va_list ap)
{
	size_t n = (size_t)snprintf(fact, room, "%s=", key), end = n + FACT_VALUE_MAX;

	if (n >= room || vsnprintf(fact + n, room - n, fmt, ap) < 0)
		return 0;
	n += strlen(fact + n);
	if (n > end) {
		while (end > 0 && ((unsigned char)fact[end] & 0xC0) == 0x80)
			end--;
		n = end;
		fact[n] = '\0';
	}
	return n + 1;
}

/* PID 1 keeps one message, so each has all facts. */
void report_fact(const char *key, const char *fmt, ...)
{
	size_t at = find_fact(key), n;
	char fact[NODE_FACTS_MAX];
	va_list ap;

	if (at < facts_size) {
		size_t old = strlen(facts + at) + 1;

		memmove(facts + at, facts + at + old, facts_size - at - old);
		facts_size -= old;
	}
	va_start(ap, fmt);
	n = format_fact(fact, sizeof(fact), key, fmt, ap);
	va_end(ap);
	if (n == 0 || n > sizeof(facts) - facts_size)
		return;
	memcpy(facts + facts_size, fact, n);
	facts_size += n;
	(void)report_send(REPORT_FACTS, facts, facts_size);
}

void report_strings_end(struct report_strings *strings)
{
	_Static_assert(sizeof(strings->bytes) <= REPORT_BODY_MAX, "it is one message");
	if (!strings->size)
		return;
	(void)report_send(strings->kind, strings->bytes, strings->size);
	strings->size = 0;
}

/* One that is longer than a whole message is not sent: PID 1 would know no such name. */
void report_string(struct report_strings *strings, const char *text)
{
	size_t n = strlen(text) + 1;

	if (n > sizeof(strings->bytes))
		return;
	if (n > sizeof(strings->bytes) - strings->size)
		report_strings_end(strings);
	memcpy(strings->bytes + strings->size, text, n);
	strings->size += n;
}
