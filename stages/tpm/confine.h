/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Confinement of the TPM's owner, in two steps. Before the device is there it is already the user `gantry-tpm`, with
 * one capability, CAP_DAC_OVERRIDE, since the kernel makes the device for root alone, and opens files in one directory
 * only. With the device open it has no capability, opens nothing, and keeps the system calls that requests need.
 */
#ifndef STAGES_TPM_CONFINE_H
#define STAGES_TPM_CONFINE_H

#include <stdbool.h>

/*
 * directory: where the device will appear. sockets: the TPM is one behind a socket. 0, or negative errno, and *ret_what
 * says what failed; then the process must not go on.
 */
int tpmconfine_waiting(int directory, bool sockets, const char **ret_what);
int tpmconfine_open(const char **ret_what);

#endif
