/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device-mapper devices by name, straight from the kernel: what libcryptsetup does with a name alone reads, and may
 * repair, the header of the disk below it.
 */
#ifndef STAGES_LIB_DM_H
#define STAGES_LIB_DM_H

#include <stdbool.h>
#include <stddef.h>

/* Nothing of the library is printed from here on. */
void dm_be_quiet(void);

/* A task that needs no more than a name, such as DM_DEVICE_REMOVE. */
bool dm_do(int type, const char *name);

/* 1: the device is there and *ret its UUID, as its maker gave it; 0: there is no such device; -EIO. */
int dm_find(const char *name, char *ret, size_t size);

#endif
