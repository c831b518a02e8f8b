/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel TDX as a guest sees it: the TDREPORT by ioctl of /dev/tdx_guest, quotes by configfs-tsm, RTMR extension by
 * sysfs where the kernel has it, and the offsets of the fields that are used. Only the form of a quote is checked
 * here; a remote verifier checks that it is genuine.
 */
#ifndef STAGES_LIB_TDX_H
#define STAGES_LIB_TDX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TDX_REPORT_SIZE     1024
#define TDX_REPORTDATA_AT   128
#define TDX_REPORTDATA_SIZE 64
#define TDX_MRTD_AT         528
#define TDX_MRTD_SIZE       48
#define TDX_RTMR_AT         720	/* RTMR 0; the other three follow */
#define TDX_RTMR_SIZE       48
#define TDX_QUOTE_MAX       32768

#define TDX_DEVICE          "/dev/tdx_guest"
#define TSM_REPORTS         "/sys/kernel/config/tsm/report"
#define TDX_RTMR3           "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384"

/* Type byte and size. */
bool tdx_report_valid(const void *bytes, size_t size);

/* Version 4, TEE type TDX, sizes that fit; zeros behind the used bytes are let pass (Azure pads). */
bool tdx_quote_valid(const void *bytes, size_t size);
const uint8_t *tdx_quote_reportdata(const void *quote);

/* What root opens for a user without rights; each a descriptor or a negative errno. */
struct tdx {
	int device;
	int rtmr3;
	int request;		/* a directory of configfs-tsm, whose input belongs to that user */
};

/*
 * As root. `name`: a request of that name from earlier is removed; this one stays until then, since only root can
 * remove it. NULL: no request.
 */
void tdx_open(struct tdx *ret, const char *name, uid_t user);
void tdx_close(struct tdx *tdx);

/* The processor's report about this machine. 0; -ENODEV: no such device; -EIO: the module refused. */
int tdx_get_report(const struct tdx *tdx, const uint8_t reportdata[TDX_REPORTDATA_SIZE],
		   uint8_t ret[TDX_REPORT_SIZE]);

/*
 * A quote from configfs-tsm. *ret is the caller's to free. -ENOENT: the kernel has no configfs-tsm or no provider;
 * -EBUSY: another process kept writing to our request; -EPROTO: another provider's.
 * The host has 30 s to answer, and the call lasts as long; transient failures are retried, three times in all.
 */
int tdx_get_quote(const struct tdx *tdx, const uint8_t reportdata[TDX_REPORTDATA_SIZE], uint8_t **ret,
		  size_t *ret_size);

/* Extends RTMR 3. -ENOENT: this kernel does not offer it (mainline does from 6.16 on). */
int tdx_extend_rtmr3(const struct tdx *tdx, const uint8_t digest[TDX_RTMR_SIZE]);

#endif
