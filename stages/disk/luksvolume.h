/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What luks.h's `struct luks` is made of, for the parts that open, write and activate it: libcryptsetup's object over a
 * header in a memfd and the disk, or what stands for the disk.
 */
#ifndef STAGES_DISK_LUKSVOLUME_H
#define STAGES_DISK_LUKSVOLUME_H

#include <stdint.h>

#include <libcryptsetup.h>

#include "luks.h"
#include "luksform.h"

#define LUKSVOLUME_CIPHER_NAME "aes"
#define LUKSVOLUME_CIPHER_MODE "xts-plain64"
#define LUKSVOLUME_KEY_SIZE    64	/* bytes: two 256-bit keys */

extern const struct luks_expect luksvolume_expected;

struct luks {
	struct crypt_device *device;
	struct luks_header header;	/* zero in a new volume */
	uint8_t *copies;		/* both of them, as on the disk but mended; NULL in a new or changed volume */
	int header_fd;
	char path[64];			/* of the disk */
	uint64_t size;			/* of the disk, bytes */
	struct secret volume_key;	/* once unlocked, or new */
	char message[LUKS_WHY_MAX];	/* libcryptsetup's latest error */
};

/* Without a header and a device. 0 or -ENOMEM. */
int luksvolume_new(const char *path, uint64_t size, struct luks **ret);

/* libcryptsetup's object over luks->header_fd; path: of the disk, or of what stands for it. */
int luksvolume_attach(struct luks *luks, const char *path);

/* libcryptsetup's errors from now on are this volume's. */
void luksvolume_listen(struct luks *luks);

/* Writes into why what failed, and libcryptsetup's error or that of `r`, which it returns. */
int luksvolume_explain(struct luks *luks, const char *what, int r, char *why);

/* A memfd of that size, of zeros. */
int luksvolume_memory(uint64_t size, int *ret_fd);

/* Bytes of a file to the same place of another. */
int luksvolume_copy(int from, int to, uint64_t offset, uint64_t size);

#endif
