/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The TPM's own memory: small records that survive a power cut and that no disk can roll back. Two kinds are made
 * here: ordinary ones, and counters, which only ever rise. All by the owner's empty authorisation, so code that runs
 * later on this machine can remove or raise them too: what is kept here protects against the disk and against
 * accidents, and callers fail closed.
 */
#ifndef STAGES_TPM_NV_H
#define STAGES_TPM_NV_H

#include "chip.h"

#define TPM_REPORT_NV  0x01400001u	/* Azure's attestation report */
#define TPM_SHELL_NV   0x01500016u	/* where the shell init stored its key: letters and digits, in the clear */
#define TPM_RECORD_NV  0x01801601u	/* the record of a formatting that has begun */
#define TPM_VERSION_NV 0x01801602u	/* the counter of the highest version that ran */

/*
 * The whole content of an index, in chunks as large as the TPM gives. -ENOENT: no such index; -ENODATA: it was never
 * written. *ret_bytes is the caller's to free. The second kind goes through an encrypted session into locked memory.
 */
int chip_nv_read(struct chip *chip, uint32_t index, uint8_t **ret_bytes, size_t *ret_size);
int chip_nv_read_secret(struct chip *chip, uint32_t index, struct secret *ret);

/* Defines the index (anew, if it has another size or kind) and writes it whole. -ENOSPC: the TPM's memory is full. */
int chip_nv_write(struct chip *chip, uint32_t index, const void *bytes, size_t size);

/* Removes the index. 0 also if there is none. */
int chip_nv_remove(struct chip *chip, uint32_t index);

/* A counter's value; -ENOENT: there is none yet. */
int chip_counter_read(struct chip *chip, uint32_t index, uint64_t *ret);

/*
 * Makes the counter if missing and raises it to at least that value, one by one. -ERANGE: it would take more than
 * TPM_COUNTER_STEPS_MAX steps.
 */
#define TPM_COUNTER_STEPS_MAX 1000
int chip_counter_raise(struct chip *chip, uint32_t index, uint64_t value);

#endif
