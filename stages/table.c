/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All stage types. A new stage is a file in a room of its own and a line here.
 */
#include <stddef.h>

#include <gantry/stage.h>

extern const struct stage stage_azure, stage_clock, stage_config, stage_disk, stage_exec, stage_measure,
	stage_network, stage_render, stage_snapshot;

const struct stage *const stage_table[] = {
	&stage_network,
	&stage_azure,
	&stage_clock,
	&stage_config,
	&stage_measure,
	&stage_disk,
	&stage_render,
	&stage_snapshot,
	&stage_exec,
	NULL,
};
