/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Closes what init/config/hardening.h lists. Only the machine's own PID 1 does so: in a PID namespace these settings
 * would be those of the machine around it, and two of them cannot be taken back.
 */
#ifndef INIT_PID1_HARDEN_H
#define INIT_PID1_HARDEN_H

#include "init/config/hardening.h"

/* Whether this is the machine's own PID 1: every kernel gives its first PID namespace the same number. */
bool harden_own_machine(void);

/*
 * Writes the rows of that time which the configuration does not keep, below root ("" for the machine's own). A refused
 * one is an event; those that this kernel lacks, with what is lost, are one event in all.
 */
void harden(const char *root, const struct config *config, enum hardening_when when);

#endif
