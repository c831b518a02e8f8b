/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A half of the signs is not a platform: a chassis tag without a report is a plain virtual machine, and is told as
 * what it is.
 */
#define _GNU_SOURCE
#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "stages/lib/tpmnv.h"
#include "tdx.h"

#define ASSET_TAG_FILE "/sys/class/dmi/id/chassis_asset_tag"

static bool has_azure_tag(void)
{
	_cleanup_(cleanup_close) int fd = open(ASSET_TAG_FILE, O_RDONLY | O_CLOEXEC);
	char text[128];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, AZURE_ASSET_TAG) == 0;
}

static bool detect_azure(struct tpm *tpm, struct platform_found *f)
{
	char error[120];
	int r;

	if (!has_azure_tag())
		return false;
	r = tpm ? tpm_nv_read(tpm, HCL_NV_INDEX, &f->hcl_bytes, &f->hcl_size) : -ENODEV;
	if (r < 0) {
		snprintf(f->why, sizeof(f->why), "Azure's chassis tag, but no HCL report: %s",
			 r == -ENODEV ? "no TPM" : r == -ENOENT ? "no such NV index" : strerror(-r));
		return false;
	}
	if (hcl_parse(f->hcl_bytes, f->hcl_size, &f->hcl, error, sizeof(error)) < 0) {
		snprintf(f->why, sizeof(f->why), "Azure's chassis tag, HCL report refused: %s", error);
		return false;
	}
	if (f->hcl.type != HCL_TDX) {
		snprintf(f->why, sizeof(f->why), "Azure's chassis tag, HCL report of type %d, not TDX",
			 (int)f->hcl.type);
		return false;
	}
	snprintf(f->why, sizeof(f->why), "Azure's chassis tag, HCL report of type TDX");
	return true;
}

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
	*ret = (struct platform_found){.why = "neither Azure's signs nor TDX's"};
	if (detect_azure(tpm, ret))
		ret->platform = PLATFORM_AZURE;
	else if (detect_tdx(ret))
		ret->platform = PLATFORM_TDX;
}

void platform_release(struct platform_found *f)
{
	free(f->hcl_bytes);
	*f = (struct platform_found){0};
}
