/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The last steps of the stage `disk`: the TPM's seals closed, the file system checked, mounted and grown. */
#ifndef STAGES_DISK_FINISH_H
#define STAGES_DISK_FINISH_H

#include "work.h"

/*
 * Closes the seals of the TPM for the rest of this boot. luks: the volume with its key; NULL: an earlier attempt opened
 * it, and its key is not known any more. 0, or negative errno with the reason.
 */
int disk_close_keys(const struct work *w, const struct luks *luks, const char *uuid, char why[DISK_WHY_MAX]);

/* Checks, mounts, grows and settles the active volume, and ends the stage. how: "opened by tpm2". */
int disk_finish(struct work *w, const char *how);

#endif
