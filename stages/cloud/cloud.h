/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The differences between clouds: where a machine's evidence comes from, which disks are the platform's own, which DHCP
 * option is for the platform. A cloud is one row, in a file of its own, and a line in table.c; a member that is NULL or
 * 0 means that this cloud has nothing of that kind.
 */
#ifndef STAGES_CLOUD_CLOUD_H
#define STAGES_CLOUD_CLOUD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stages/lib/tdx.h"
#include "stages/lib/tpm.h"

#define CLOUD_WHY_MAX 200

/* What dhcpcd's hook writes, as dhcpcd's user: the lease, and what /etc/resolv.conf is a link to. */
#define DHCP_FOLDER      "/run/dhcp"
#define DHCP_LEASE       DHCP_FOLDER "/lease"
#define DHCP_RESOLV_CONF DHCP_FOLDER "/resolv.conf"

struct cloud {
	const char *name;

	/*
	 * True: this is a TDX machine of that cloud and *ret its TDREPORT. False with one line in why (untouched where
	 * nothing hints at this cloud). tpm may be NULL.
	 */
	bool (*find_report)(struct tpm *tpm, uint8_t ret[TDX_REPORT_SIZE], char why[CLOUD_WHY_MAX]);
	/* A quote of that report: 0 with *ret, the caller's to free; or negative errno with one line in error. */
	int (*get_quote)(const uint8_t report[TDX_REPORT_SIZE], uint8_t **ret, size_t *ret_size, char *error,
			 size_t error_size);

	/* "the OS disk" and the like, for a disk that the platform keeps for itself; NULL: a data disk. */
	const char *(*scsi_use)(const char *device, unsigned lun);	/* device: its path in sysfs */
	const char *(*nvme_use)(const char *model);
	unsigned nsid_of_lun_0;			/* NVMe namespace of the data disk with LUN 0; the others follow */

	const char *lease_variable, *lease_key;	/* of an address: dhcpcd's variable, and its name in the lease file */
};

extern const struct cloud *const clouds[];	/* the last one is NULL */

#endif
