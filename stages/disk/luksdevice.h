/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device of a volume, /dev/mapper/NAME. */
#ifndef STAGES_DISK_LUKSDEVICE_H
#define STAGES_DISK_LUKSDEVICE_H

#include <stdbool.h>

#include "luks.h"

/* Makes /dev/mapper/NAME of a new volume (lukswrite.h) or an unlocked one: of all whole sectors of the disk. */
int luks_activate(struct luks *luks, const char *name, bool discards, char why[LUKS_WHY_MAX]);

/* Closes /dev/mapper/NAME. 0 also if there is none; -EBUSY. */
int luks_deactivate(const char *name);

/* Whether /dev/mapper/NAME is active and is the volume with that UUID. */
bool luks_is_active(const char *name, const char *uuid);

#endif
