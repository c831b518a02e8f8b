/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Performs one request of a stage: checks that its type may ask it, and its size, and asks the TPM. The table of
 * requests is in serve.c; the bytes are in stages/lib/tpmwire.h.
 */
#ifndef STAGES_TPM_SERVE_H
#define STAGES_TPM_SERVE_H

#include <gantry/stage.h>

#include "chip.h"
#include "closing.h"
#include "stages/lib/tpmwire.h"

#define SERVE_UNSEALS_MAX 128	/* of one attempt of a stage: each key of a header twice, and each that it enrolls */

/* One attempt of a stage; zero at first. */
struct serve_client {
	enum stage_tpm use;
	unsigned unseals;
};

struct serve {
	struct chip *chip;		/* NULL: there is none yet */
	struct closing closing;
	void (*wanted)(void);		/* a stage wants PCR 15 to be extended */
	bool (*look)(void);		/* looks for the TPM once more: whether `chip` is there now */
};

struct serve_answer {
	struct tpm_answer head;
	_Alignas(8) uint8_t body[TPM_ANSWER_SIZE_MAX];
};

/* request: `size` bytes as they came. *ret is whole but for bytes beyond its body; the caller wipes it. */
void serve_request(struct serve *serve, struct serve_client *client, const void *request, size_t size,
		   struct serve_answer *ret);

/* Extends PCR 15 if that is due. 0 also if it is not; otherwise negative errno, and chip_reason() says why. */
int serve_close(struct serve *serve);

#endif
