/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Formatting: the LUKS2 volume and its file system, made in an order that a power cut cannot break. */
#ifndef STAGES_DISK_FORMAT_H
#define STAGES_DISK_FORMAT_H

#include "work.h"

/* Formats the disk and ends the stage. state: "blank", "partly formatted", or why it is overwritten. */
int disk_format(struct work *w, const char *state, bool forced);

/* 1: a power cut interrupted our formatting of this disk; 0: it did not; negative errno with the reason. */
int disk_is_unfinished(struct work *w, bool *ret_has_mark, char why[DISK_WHY_MAX]);

#endif
