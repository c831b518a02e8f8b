/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device-mapper devices by name, straight from the kernel: given a name alone, libcryptsetup reads, and may repair, the
 * header of the disk below it.
 */
#ifndef STAGES_LIB_DM_H
#define STAGES_LIB_DM_H

#include <stdbool.h>
#include <stddef.h>

/* Nothing of the library is printed from here on. */
void dm_be_quiet(void);

/* A task that needs no more than a name, such as DM_DEVICE_REMOVE. */
bool dm_do(int type, const char *name);

/* 1: the device exists and *ret is its UUID; 0: no such device; -EIO. */
int dm_find(const char *name, char *ret, size_t size);

#endif
