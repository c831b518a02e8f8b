/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The TPM's owner (role `tpm`, stages/tpm) and PID 1: over descriptor 5 it gets one datagram for each order, and
 * answers none. Each stage attempt whose type has `tpm` gets one end of a new socket pair as its descriptor 5, and the
 * owner the other end with TPM_CLIENT; no other process can reach it. The requests of stages: stages/lib/tpmwire.h.
 */
#ifndef GANTRY_TPM_H
#define GANTRY_TPM_H

#include <stdint.h>

#define TPM_ORDERS_FD 5	/* of the owner */
#define TPM_CLIENT_FD 5	/* of a stage */

enum tpm_order_kind {
	TPM_CLIENT,	/* a descriptor is attached: a stage's requests, which may be those of `use` */
	TPM_CLOSE,	/* extend PCR 15 now, or as soon as there is a TPM; `text` says why */
	TPM_ORDER_MAX,
};

struct tpm_order {
	uint16_t kind;
	uint16_t use;	/* enum stage_tpm */
	char text[60];	/* NUL-terminated */
};

/* The owner tells PID 1 by REPORT_FLAGS with this string that a stage has opened a disk: PCR 15 is to be extended. */
#define TPM_CLOSING "closing"

#endif
