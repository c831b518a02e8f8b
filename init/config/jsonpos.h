/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The position of each value in a JSON text, so that an error found later in the parsed objects can name its line.
 * Comments are allowed and replaced by blanks: the text is plain JSON afterwards.
 */
#ifndef INIT_CONFIG_JSONPOS_H
#define INIT_CONFIG_JSONPOS_H

#include <stddef.h>
#include <stdint.h>

#include "init/lib/json.h"

#define JSONPOS_DEPTH_MAX  16
#define JSONPOS_VALUES_MAX 16384

struct jsonpos_value {
	uint32_t parent;	/* index of the object or array it is in; the first value is its own */
	uint32_t key;		/* member: offset of its key behind the quote */
	uint32_t key_size;	/* member: bytes of the key; array item: UINT32_MAX */
	uint32_t index;		/* position among the values of its parent */
	uint32_t line;		/* first line is 1; of a member: the line of its key */
};

struct jsonpos {
	const char *text;
	struct jsonpos_value *values;	/* in the order of the text; a parent is before its members */
	size_t n_values;
	uint32_t error_line;		/* after a failed scan: its line, the value around it, the reason */
	uint32_t error_value;
	char error[JSON_ERROR_MAX];
};

/*
 * Scans size bytes of text, blanking its comments, and fills *pos, which keeps pointing into text. 0, -EINVAL with the
 * three error fields set, or -ENOMEM. Refused in addition to the errors of json_scan(): duplicate keys, escapes in
 * keys, numbers with an exponent or more than 18 digits, and values beyond the limits above. jsonpos_deinit() is needed
 * in every case.
 */
int jsonpos_scan(struct jsonpos *pos, char *text, size_t size);
void jsonpos_deinit(struct jsonpos *pos);

/* The index of value `parent`'s member `key`, or of its item `index` if key is NULL; parent if there is none. */
uint32_t jsonpos_find(const struct jsonpos *pos, uint32_t parent, const char *key, uint32_t index);

#endif
