/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements luksread.h. The question is memory; the child has no descriptor at all. */
#define _GNU_SOURCE
#include "luksread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <gantry/cleanup.h>

#include "luksform.h"
#include "luksheader.h"
#include "reader.h"

struct question {
	const uint8_t *bytes;		/* LUKS_HEADS_SIZE */
	uint64_t device_size;
	const struct luks_expect *expect;
};

struct answer {
	int32_t result;			/* as luks_header_check(), or 1: no LUKS header */
	char why[LUKS_WHY_MAX];
	struct luks_header header;
};

/* In the child. */
static void read_header(int fd, const void *asked, void *ret)
{
	const struct question *question = asked;
	struct answer *answer = ret;
	int64_t size = luks_header_size(question->bytes, LUKS_HEAD_SIZE, answer->why);

	(void)fd;
	if (size <= 0)
		answer->result = size < 0 ? (int32_t)size : 1;
	else
		answer->result = luks_header_check(question->bytes, (size_t)size, question->device_size,
						   question->expect, &answer->header, answer->why);
}

int luks_read(const uint8_t *bytes, uint64_t device_size, const struct luks_expect *expect, struct luks_header *ret,
	      char why[LUKS_WHY_MAX])
{
	const struct question question = {bytes, device_size, expect};
	_cleanup_(cleanup_free) struct answer *answer = malloc(sizeof(*answer));
	char trouble[READER_WHY_MAX];
	int r;

	if (!answer)
		return -ENOMEM;
	r = reader_ask(&(struct reader_task){read_header, -1, &question, answer, sizeof(*answer)}, trouble);
	if (r < 0) {
		snprintf(why, LUKS_WHY_MAX, "%s", trouble);
		return r;
	}
	if (answer->result == 1 || answer->result == -ENOMEM)
		return answer->result == 1 ? 0 : -ENOMEM;
	if (answer->result != 0) {
		answer->why[sizeof(answer->why) - 1] = '\0';
		return luks_refuse(why, "%s", answer->why);
	}
	r = luks_form_check(&answer->header, expect, device_size, why);
	if (r < 0)
		return r;
	*ret = answer->header;
	return 1;
}
