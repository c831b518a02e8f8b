/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The TPM itself, for its owner alone: open it, read and extend PCRs; nv.h has its NV memory, seal.h sealed keys. Every
 * call blocks for as long as the TPM takes (milliseconds; a second when it makes its storage root key). TPM and TSS
 * codes become a negative errno and one line of text in esys.c and nowhere else.
 */
#ifndef STAGES_TPM_CHIP_H
#define STAGES_TPM_CHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stages/lib/tpm.h"

#define TPM_TCTI_DEFAULT "device:/dev/tpmrm0"

struct chip;

/*
 * tcti: "device:/dev/tpmrm0" or "swtpm:path=...", "swtpm:host=...,port=...". -ENOENT: no such device; -EINVAL: not one
 * of these; -EIO: it does not answer.
 */
int chip_open(const char *tcti, struct chip **ret);
struct chip *chip_close(struct chip *chip);	/* takes NULL, returns NULL */

static inline void cleanup_chip(struct chip **chip)	/* for _cleanup_() */
{
	chip_close(*chip);
}

/* Which command failed last and how, in one line: `TPM2_Unseal: policy not met (0x99d)`. Empty at first. */
const char *chip_reason(const struct chip *chip);
void chip_forget_reason(struct chip *chip);

/* A command was sent and not answered: every later one fails as well, until the TPM is opened anew. */
bool chip_is_broken(const struct chip *chip);

/* pcr: 0..23. */
int chip_pcr_read(struct chip *chip, unsigned pcr, uint8_t ret_digest[TPM_DIGEST_SIZE]);
int chip_pcr_extend(struct chip *chip, unsigned pcr, const uint8_t digest[TPM_DIGEST_SIZE]);

/*
 * The storage root key as systemd's tokens name it: the ESYS serialisation of its handle, the caller's to free.
 * *ret_is_rsa: of which kind it is.
 */
int chip_srk_serialize(struct chip *chip, uint8_t **ret_bytes, size_t *ret_size, bool *ret_is_rsa);

/* TPM2_Shutdown(CLEAR), TCG Library part 3, 9.4: the TPM's next start is an orderly one, not one to be wary of. */
int chip_shutdown(struct chip *chip);

#endif
