/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In which of the states that an earlier boot can leave it a directory is. */
#ifndef STAGES_SNAPSHOT_STANDING_H
#define STAGES_SNAPSHOT_STANDING_H

#include "directory.h"

enum standing {
	STANDING_EMPTY,		/* nothing in it but node-local files */
	STANDING_PARTIAL,	/* a partial snapshot, which progress_load() reads */
	STANDING_COMPLETE,	/* d->reason holds the snapshot's name */
	STANDING_LOST,		/* it was complete, and is no longer; d->reason says what is wrong */
	STANDING_POPULATED,	/* a database, but no state folder; d->reason names an entry */
	STANDING_HALF,		/* files that are no whole database, and no state folder; d->reason says why not */
	STANDING_DAMAGED,	/* files, and an invalid state folder; d->reason names a file */
};

int standing_look(struct directory *d, enum standing *ret);

#endif
