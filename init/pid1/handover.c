/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements handover.h. */
#include <string.h>
#include <unistd.h>

#include "handover.h"
#include "init/control/control.h"
#include "init/lib/memfd.h"

static struct {
	const char *role;	/* NULL: this kind is not kept */
	int fd;
} kept[HAND_MAX] = {
	[HAND_PEER] = {NULL, -1},
	[HAND_PASSWORD] = {"api", -1},
	[HAND_IDENTITY] = {"api-tls", -1},
};

static void hand(enum control_hand kind)
{
	int copy = kept[kind].fd >= 0 ? memfd_reopen(kept[kind].fd) : -1;

	if (copy >= 0)
		control_hand(kept[kind].role, kind, copy);
}

void handover_keep(enum control_hand kind, int fd)
{
	if (kept[kind].fd >= 0)
		close(kept[kind].fd);
	kept[kind].fd = fd;
	hand(kind);
}

int handover_kept(enum control_hand kind)
{
	return kept[kind].fd;
}

void handover_to(const char *role)
{
	for (enum control_hand kind = 0; kind < HAND_MAX; kind++)
		if (kept[kind].role && !strcmp(kept[kind].role, role))
			hand(kind);
}
