/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements handover.h. */
#include <string.h>
#include <unistd.h>

#include "handover.h"
#include "init/control/control.h"
#include "init/lib/memfd.h"

static struct {
	const char *role;	/* NULL: nothing of this kind is kept */
	int fd;
} kept[HAND_MAX] = {
	[HAND_PEER] = {NULL, -1},
	[HAND_PASSWORD] = {"api", -1},
	[HAND_IDENTITY] = {"api-tls", -1},
};

static void hand(enum control_hand what)
{
	int copy = kept[what].fd >= 0 ? memfd_reopen(kept[what].fd) : -1;

	if (copy >= 0)
		control_hand(kept[what].role, what, copy);
}

void handover_keep(enum control_hand what, int fd)
{
	if (kept[what].fd >= 0)
		close(kept[what].fd);
	kept[what].fd = fd;
	hand(what);
}

int handover_kept(enum control_hand what)
{
	return kept[what].fd;
}

void handover_to(const char *role)
{
	for (enum control_hand what = 0; what < HAND_MAX; what++)
		if (kept[what].role && !strcmp(kept[what].role, role))
			hand(what);
}
