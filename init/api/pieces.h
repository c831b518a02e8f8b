/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A long answer that is produced piece by piece while it is sent: libmicrohttpd's block size and the size of our pieces
 * are independent, and only one piece is in memory.
 */
#ifndef INIT_API_PIECES_H
#define INIT_API_PIECES_H

#include <stdbool.h>
#include <stddef.h>

#include "init/lib/eventtext.h"

struct pieces {
	struct text text;	/* the piece under way; made by `next`, which finds it empty */
	size_t done;		/* of it */
	char bytes[EVENT_JSON_MAX + 128];
};

void pieces_init(struct pieces *p);

/* Fills out with as much as there is; next(with) makes a piece, or returns false if there is none now. */
size_t pieces_read(struct pieces *p, char *out, size_t room, bool (*next)(void *with), void *with);

#endif
