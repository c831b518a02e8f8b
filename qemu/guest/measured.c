/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Started by the kernel as PID 1 (rdinit=), it extends the TPM's PCRs as firmware and boot stub would do for an
 * image, and becomes /init: a boot test has the measurements of an image without the ten seconds of firmware. In the
 * test image only. The file /measured has one line for each event, PCR number and 64 hexadecimal digits, from
 * qemu/measure.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "pcr.h"

#define DEVICE "/measured-tpm"

static void die(const char *what)
{
	printf("measured: %s: %s\n", what, strerror(errno));
	exit(1);
}

/*
 * Without SeaBIOS the kernel starts the TPM itself, and its driver gives up where that takes a busy host too long. Then
 * the TPM is started, and the driver finds it so when it is bound again.
 */
static int open_tpm(void)
{
	int tpm = -1;

	mkdir("/sys", 0755);
	if (mknod(DEVICE, S_IFCHR | 0600, makedev(10, 224)) < 0 || mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
		die("/sys");
	for (int tries = 0; tries < 5 && (tpm = open(DEVICE, O_RDWR | O_CLOEXEC)) < 0; tries++) {
		int bind = open("/sys/bus/acpi/drivers/tpm_crb/bind", O_WRONLY | O_CLOEXEC);

		if (bind < 0 || write(bind, "MSFT0101:00", 11) < 0)
			printf("measured: the TPM's driver is not bound: %s\n", strerror(errno));
		if (bind >= 0)
			close(bind);
	}
	umount("/sys");
	unlink(DEVICE);
	return tpm;
}

static void extend(int tpm, unsigned int pcr, const char *hex)
{
	uint8_t digest[PCR_DIGEST_BYTES];
	int64_t r;

	for (size_t i = 0; i < PCR_DIGEST_BYTES; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &digest[i]) != 1)
			die("a line of " MEASURED_EVENTS " is not PCR and digest");
	r = pcr_extend(tpm, pcr, digest);
	if (r < 0)
		die("TPM");
	if (r > 0) {
		printf("measured: PCR %u: the TPM refuses: 0x%x\n", pcr, (unsigned int)r);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	FILE *events = fopen(MEASURED_EVENTS, "re");
	char hex[2 * PCR_DIGEST_BYTES + 1];
	unsigned int pcr;
	int tpm;

	if (!events)
		die(MEASURED_EVENTS);
	tpm = open_tpm();
	if (tpm < 0)
		die("TPM");
	while (fscanf(events, "%u %64s", &pcr, hex) == 2)
		extend(tpm, pcr, hex);
	fflush(stdout);
	(void)argc;
	argv[0] = "/init";
	execv("/init", argv);
	die("/init");
}
