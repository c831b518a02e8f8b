/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An Azure machine from inside. Its chassis tag identifies it; its paravisor owns the processor's interface, so the
 * TDREPORT lies in the vTPM and the instance metadata service makes the quote. OS and temporary disk are identified by
 * the VMBus channel that they are attached to, as in Azure's own udev rules (azure-vm-utils, 80-azure-disk.rules).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gantry/cleanup.h>

#include "cloud.h"
#include "hcl.h"
#include "imds.h"
#include "stages/lib/file.h"
#include "stages/lib/tpm.h"

#define ASSET_TAG      "7783-7084-3265-9085-8269-3286-77"
#define ASSET_TAG_FILE "/sys/class/dmi/id/chassis_asset_tag"
#define NVME_TEMPORARY "Microsoft NVMe Direct Disk"

/* Generation 1 machines: OS and temporary disk have channels of their own. Generation 2: LUN 0 and 1 of this one. */
#define VMBUS_OS        "/00000000-0000-"
#define VMBUS_TEMPORARY "/00000000-0001-"
#define VMBUS_FIRST     "/f8b3781a-1e82-4818-a1c3-63d806ec15bb/"

static bool has_tag(void)
{
	char tag[128];

	return file_read_line(ASSET_TAG_FILE, tag, sizeof(tag)) == 0 && strcmp(tag, ASSET_TAG) == 0;
}

static bool find_report(struct tpm *tpm, uint8_t ret[TDX_REPORT_SIZE], char why[CLOUD_WHY_MAX])
{
	_cleanup_(cleanup_free) uint8_t *bytes = NULL;
	struct hcl_report hcl;
	char error[120];
	size_t size = 0;
	int r;

	if (!has_tag())
		return false;
	r = tpm ? tpm_report_read(tpm, &bytes, &size) : -ENODEV;
	if (r < 0) {
		snprintf(why, CLOUD_WHY_MAX, "Azure's chassis tag, but no HCL report: %s",
			 r == -ENODEV ? "no TPM" : r == -ENOENT ? "no such NV index" : strerror(-r));
		return false;
	}
	if (hcl_parse(bytes, size, &hcl, error, sizeof(error)) < 0) {
		snprintf(why, CLOUD_WHY_MAX, "Azure's chassis tag, HCL report refused: %s", error);
		return false;
	}
	if (hcl.type != HCL_TDX) {
		snprintf(why, CLOUD_WHY_MAX, "Azure's chassis tag, HCL report of type %d, not TDX", (int)hcl.type);
		return false;
	}
	snprintf(why, CLOUD_WHY_MAX, "Azure's chassis tag, HCL report of type TDX");
	memcpy(ret, hcl.tdreport, TDX_REPORT_SIZE);
	return true;
}

static const char *scsi_use(const char *device, unsigned lun)
{
	if (strstr(device, VMBUS_OS) || (strstr(device, VMBUS_FIRST) && lun == 0))
		return "the OS disk";
	if (strstr(device, VMBUS_TEMPORARY) || (strstr(device, VMBUS_FIRST) && lun == 1))
		return "the temporary disk";
	return NULL;
}

static const char *nvme_use(const char *model)
{
	return strncmp(model, NVME_TEMPORARY, strlen(NVME_TEMPORARY)) == 0 ? "a temporary disk" : NULL;
}

const struct cloud cloud_azure = {
	.name = "azure",
	.find_report = find_report,
	.get_quote = imds_get_quote,
	.scsi_use = scsi_use,
	.nvme_use = nvme_use,
	.nsid_of_lun_0 = 2,			/* namespace 1 is the OS disk */
	.lease_variable = "new_azureendpoint",	/* dhcpcd's own name for option 245 */
	.lease_key = "wireserver",
};
