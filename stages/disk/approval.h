/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The signed policy of this image (docs/upgrade.md). The public key is a file of the measured image; the signed policy
 * lies on the boot disk, where the host can change it, and is not trusted before the TPM has verified its signature.
 */
#ifndef STAGES_DISK_APPROVAL_H
#define STAGES_DISK_APPROVAL_H

#include "stages/lib/tpm.h"

#define APPROVAL_WHY_MAX   192
#define APPROVAL_SIZE_MAX  (16u << 10)	/* bytes of the policy file */
#define APPROVAL_PARTITION "gantry-policy"

/* The key: a PEM file with an RSA 2048 public key. -EBADMSG or another errno with the reason. */
int approval_read_key(const char *path, struct tpm_approval *ret, char why[APPROVAL_WHY_MAX]);

/*
 * The signed part: looks for the partition and waits a moment for it. Another disk may have one of that name too, so
 * they are numbered, in the order of their names. ret->version is this image's, and a policy for another one is
 * refused. 0: ret->is_signed; -ENOENT: there is no partition of that number; -ENODATA: it is empty; -EBADMSG: it is
 * malformed or for another version.
 */
int approval_find(const char *sys, unsigned number, struct tpm_approval *ret, char why[APPROVAL_WHY_MAX]);

#define APPROVALS_MAX 8		/* partitions that are looked at */

/* The policy file's text (NUL-terminated), in the calling process; 0 or -EBADMSG. */
int approval_parse(const char *text, struct tpm_approval *ret, char why[APPROVAL_WHY_MAX]);

#endif
