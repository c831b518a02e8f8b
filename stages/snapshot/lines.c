/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements lines.h; without sscanf() and strtoull(), which take signs, spaces and leading zeros. */
#include <errno.h>
#include <string.h>

#include "lines.h"

bool lines_next(struct lines *in, char *ret, size_t room)
{
	const char *newline = memchr(in->at, '\n', (size_t)(in->end - in->at));
	size_t size;

	if (!newline)
		return false;
	size = (size_t)(newline - in->at);
	if (size >= room || memchr(in->at, '\0', size))
		return false;
	memcpy(ret, in->at, size);
	ret[size] = '\0';
	in->at = newline + 1;
	return true;
}

int lines_number(const char *text, char ends_with, uint64_t *ret, const char **ret_rest)
{
	uint64_t value = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (p - text >= 19)
			return -EBADMSG;
		value = value * 10 + (uint64_t)(*p - '0');
	}
	if (p == text || *p != ends_with || (*text == '0' && p - text > 1))
		return -EBADMSG;
	*ret = value;
	if (ret_rest)
		*ret_rest = ends_with ? p + 1 : p;
	return 0;
}
