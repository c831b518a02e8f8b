/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Started by the kernel as PID 1 (rdinit=), it extends the TPM's PCRs as firmware and boot stub would do for an
 * image, and becomes /init: a boot test has the measurements of an image without the ten seconds of firmware. In the
 * test image only. The file /measured has one line for each event, PCR number and 64 hexadecimal digits, from
 * qemu/measure.py.
 */
#include <endian.h>
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

#define EVENTS "/measured"
#define DEVICE "/measured-tpm"
#define DIGEST_BYTES 32

/* TPM2_PCR_Extend with an empty password, TPM 2.0 library part 3, 22.2; all numbers big-endian. */
struct extend {
	uint16_t tag;
	uint32_t size, command, pcr, authorization_size, session;
	uint16_t nonce_size;
	uint8_t attributes;
	uint16_t password_size;
	uint32_t digests;
	uint16_t algorithm;
	uint8_t digest[DIGEST_BYTES];
} __attribute__((packed));

struct response {
	uint16_t tag;
	uint32_t size, code;
} __attribute__((packed));

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
	struct extend command = {
		.tag = htobe16(0x8002), .size = htobe32(sizeof(command)), .command = htobe32(0x182),
		.pcr = htobe32(pcr), .authorization_size = htobe32(9), .session = htobe32(0x40000009),
		.digests = htobe32(1), .algorithm = htobe16(0x000b),
	};
	union {
		struct response head;
		char bytes[4096];
	} response = { { 0 } };

	for (size_t i = 0; i < DIGEST_BYTES; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &command.digest[i]) != 1)
			die("a line of " EVENTS " is not PCR and digest");
	if (write(tpm, &command, sizeof(command)) != sizeof(command) ||
	    read(tpm, &response, sizeof(response)) < (ssize_t)sizeof(response.head))
		die("TPM");
	if (response.head.code) {
		printf("measured: PCR %u: the TPM refuses: 0x%x\n", pcr, be32toh(response.head.code));
		exit(1);
	}
}

int main(int argc, char **argv)
{
	FILE *events = fopen(EVENTS, "re");
	char hex[2 * DIGEST_BYTES + 1];
	unsigned int pcr;
	int tpm;

	if (!events)
		die(EVENTS);
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
