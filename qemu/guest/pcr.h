/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extends a PCR of the emulated TPM, for the programs that stand in for firmware. */
#ifndef QEMU_GUEST_PCR_H
#define QEMU_GUEST_PCR_H

#include <endian.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define PCR_DIGEST_BYTES 32
#define MEASURED_EVENTS  "/measured"	/* measured.c */

/* TPM2_PCR_Extend with an empty password, TPM 2.0 library part 3, 22.2; all numbers big-endian. */
struct pcr_extend {
	uint16_t tag;
	uint32_t size, command, pcr, authorization_size, session;
	uint16_t nonce_size;
	uint8_t attributes;
	uint16_t password_size;
	uint32_t digests;
	uint16_t algorithm;
	uint8_t digest[PCR_DIGEST_BYTES];
} __attribute__((packed));

struct pcr_response {
	uint16_t tag;
	uint32_t size, code;
} __attribute__((packed));

/* TPM: its device, open to read and write. Returns the TPM's response code, 0 for success; -1, errno: the device's. */
static inline int64_t pcr_extend(int tpm, uint32_t pcr, const uint8_t digest[PCR_DIGEST_BYTES])
{
	struct pcr_extend command = {
		.tag = htobe16(0x8002), .size = htobe32(sizeof(command)), .command = htobe32(0x182),
		.pcr = htobe32(pcr), .authorization_size = htobe32(9), .session = htobe32(0x40000009),
		.digests = htobe32(1), .algorithm = htobe16(0x000b),
	};
	union {
		struct pcr_response head;
		char bytes[4096];
	} response = { { 0 } };

	memcpy(command.digest, digest, PCR_DIGEST_BYTES);
	if (write(tpm, &command, sizeof(command)) != sizeof(command) ||
	    read(tpm, &response, sizeof(response)) < (ssize_t)sizeof(response.head))
		return -1;
	return be32toh(response.head.code);
}

#endif
