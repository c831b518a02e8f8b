/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements fields.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fields.h"

void fields_add(struct fields *fields, const char *key, const char *fmt, ...)
{
	size_t key_size = strlen(key), left = sizeof(fields->bytes) - fields->size, size;
	char *at = fields->bytes + fields->size;
	va_list args;
	int n;

	if (left < key_size + 2)
		return;
	memcpy(at, key, key_size);
	at[key_size] = '=';
	va_start(args, fmt);
	n = vsnprintf(at + key_size + 1, left - key_size - 1, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	size = key_size + 1 + (size_t)n + 1;
	fields->size += size < left ? size : left;
}
