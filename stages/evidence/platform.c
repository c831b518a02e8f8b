/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A half of the signs is not a platform: a chassis tag without a report is a plain virtual machine, and is told as
 * what it is.
 */
#define _GNU_SOURCE
#include "platform.h"

#include <stdio.h>
#include <unistd.h>

static bool detect_tdx(struct platform_found *f)
{
	if (access(TDX_DEVICE, F_OK) < 0)
		return false;
	if (access(TSM_REPORTS, F_OK) < 0) {
		snprintf(f->why, sizeof(f->why), "%s, but no configfs-tsm", TDX_DEVICE);
		return false;
	}
	snprintf(f->why, sizeof(f->why), "%s and configfs-tsm", TDX_DEVICE);
	return true;
}

void platform_detect(struct tpm *tpm, struct platform_found *ret)
{
	*ret = (struct platform_found){.name = "plain", .why = "neither Azure's signs nor TDX's"};
	for (size_t i = 0; clouds[i]; i++) {
		if (clouds[i]->find_report && clouds[i]->find_report(tpm, ret->report, ret->why)) {
			ret->cloud = clouds[i];
			ret->name = clouds[i]->name;
			return;
		}
	}
	ret->is_tdx = detect_tdx(ret);
	if (ret->is_tdx)
		ret->name = "tdx";
}
