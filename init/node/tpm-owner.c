/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements tpm-owner.h. PID 1 only writes to the channel: its own reading end is shut, so nothing can lie there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gantry/tpm.h>

#include "init/lib/fdpass.h"
#include "tpm-owner.h"

static const struct plan *plan;
static uint16_t *disks;		/* nodes whose stage opens a disk */
static size_t n_disks;
static int orders_fd = -1;
static const char *why;		/* PCR 15 is to be extended; NULL: not yet */
static bool told;		/* the present owner knows that */

static int order(enum tpm_order_kind kind, enum stage_tpm use, const char *text, int fd)
{
	struct tpm_order message = {.kind = (uint16_t)kind, .use = (uint16_t)use};
	struct iovec part = {&message, sizeof(message)};

	snprintf(message.text, sizeof(message.text), "%s", text);
	return fd_send(orders_fd, &part, 1, &fd, fd >= 0, MSG_DONTWAIT);
}

bool tpm_owner_wanted(const struct config *config)
{
	for (size_t i = 0; i < config->n_nodes; i++)
		if (config->nodes[i].stage && config->nodes[i].stage->tpm)
			return true;
	return false;
}

int tpm_owner_init(const struct plan *with)
{
	plan = with;
	disks = calloc(plan->n_nodes + 1, sizeof(*disks));
	if (!disks)
		return -ENOMEM;
	for (size_t i = 0; i < plan->n_nodes; i++) {
		const struct stage *stage = plan->nodes[i].config->stage;

		if (stage && stage->tpm == STAGE_TPM_DISK)
			disks[n_disks++] = (uint16_t)i;
	}
	return 0;
}

int tpm_owner_attach(int fd)
{
	if (orders_fd >= 0)
		close(orders_fd);
	(void)shutdown(fd, SHUT_RD);
	orders_fd = fd;
	told = false;
	tpm_owner_turn();
	return 0;
}

void tpm_owner_reported(struct child *child, enum report_kind kind, const char *strings, size_t size)
{
	(void)child;
	if (kind == REPORT_FLAGS && size == sizeof(TPM_CLOSING) && !strcmp(strings, TPM_CLOSING) && !why)
		why = "a disk is open";
}

static const char *reason(void)
{
	size_t over = 0;

	for (size_t i = 0; i < n_disks; i++) {
		enum node_state state = plan->nodes[disks[i]].state;

		if (state == NODE_DONE || state == NODE_SKIPPED)
			return "a disk is open";
		over += state == NODE_FAILED || state == NODE_BLOCKED;
	}
	if (plan->state == BOOT_HELD)
		return "the boot is held";
	return n_disks && over == n_disks ? "no disk will be opened" : NULL;
}

void tpm_owner_turn(void)
{
	if (told || !plan)
		return;
	if (!why)
		why = reason();
	if (why && orders_fd >= 0)
		told = order(TPM_CLOSE, STAGE_TPM_NONE, why, -1) == 0;
}

int tpm_owner_client(const struct stage *stage)
{
	int pair[2];

	if (!stage || !stage->tpm)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	if (orders_fd >= 0)
		(void)order(TPM_CLIENT, stage->tpm, "", pair[1]);
	close(pair[1]);
	return pair[0];
}
