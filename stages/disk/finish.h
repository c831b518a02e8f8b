/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The last steps of the stage `disk`: the TPM's seals closed, the file system checked, mounted and grown. */
#ifndef STAGES_DISK_FINISH_H
#define STAGES_DISK_FINISH_H

#include "work.h"

/*
 * Raises the version counter, removes the record of the formatting, and last closes the seals of the TPM for the rest
 * of this boot. luks: the volume with its key; NULL: an earlier attempt opened it, and its key is not known any more.
 * STAGE_DONE: go on; otherwise the stage has ended: with the volume closed where it can be opened again, else left
 * open.
 */
int disk_close_keys(const struct work *w, const struct luks *luks, const char *uuid);

/* Checks, mounts, grows and settles the active volume. STAGE_DONE: go on; otherwise the stage has ended. */
int disk_bring_up(struct work *w);

/* Ends the stage. how: "opened by tpm2". */
int disk_done(const struct work *w, const char *how);

#endif
