/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Implements pieces.h.
 */
#include <string.h>

#include "pieces.h"

void pieces_init(struct pieces *p)
{
	p->text = (struct text)TEXT_FIXED(p->bytes);
	p->done = 0;
}

size_t pieces_read(struct pieces *p, char *out, size_t room, bool (*next)(void *with), void *with)
{
	size_t used = 0;

	while (used < room) {
		size_t n = p->text.size - p->done;

		if (n == 0) {
			pieces_init(p);
			if (!next(with))
				break;
			continue;
		}
		n = n < room - used ? n : room - used;
		memcpy(out + used, p->bytes + p->done, n);
		p->done += n;
		used += n;
	}
	return used;
}
