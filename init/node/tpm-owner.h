/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PID 1's side of the TPM's owner, role `tpm` (gantry/tpm.h): hands it the other end of each stage's socket pair, and
 * tells it when PCR 15 is to be extended: a stage has opened a disk, the boot is held, or no stage will open one any
 * more. That holds for the rest of the boot, and is told again to an owner that was started anew.
 */
#ifndef INIT_NODE_TPM_OWNER_H
#define INIT_NODE_TPM_OWNER_H

#include <stddef.h>

#include <gantry/report.h>
#include <gantry/stage.h>

#include "init/plan/plan.h"

struct child;

/* plan must stay valid. 0 or negative errno. */
int tpm_owner_init(const struct plan *plan);

/* Whether the configuration has a stage that uses the TPM. */
bool tpm_owner_wanted(const struct config *config);

/* A newly started owner: takes over PID 1's end of its orders. Always 0. */
int tpm_owner_attach(int fd);

/* What the owner reports: a stage has opened a disk. */
void tpm_owner_reported(struct child *child, enum report_kind kind, const char *strings, size_t size);

/* Call in each turn of the loop, after the plan. */
void tpm_owner_turn(void);

/*
 * Descriptor 5 for a stage of this type, the caller's to close; 0: it uses no TPM. Also without an owner: then the
 * stage learns that it has no answer.
 */
int tpm_owner_client(const struct stage *stage);

#endif
