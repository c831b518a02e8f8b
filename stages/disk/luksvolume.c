/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements luksvolume.h. libcryptsetup sees a header in a memfd by its /proc path: no loop device and no locks. */
#define _GNU_SOURCE
#include "luksvolume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "stages/lib/file.h"

const struct luks_expect luksvolume_expected = {
	.cipher = LUKSVOLUME_CIPHER_NAME "-" LUKSVOLUME_CIPHER_MODE,
	.key_size = LUKSVOLUME_KEY_SIZE,
};

static void log_message(int level, const char *text, void *context)
{
	struct luks *luks = context;

	if (level != CRYPT_LOG_ERROR || !luks)
		return;
	snprintf(luks->message, sizeof(luks->message), "%s", text);
	luks->message[strcspn(luks->message, "\n")] = '\0';
}

int luksvolume_explain(struct luks *luks, const char *what, int r, char *why)
{
	if (luks->message[0])
		snprintf(why, LUKS_WHY_MAX, "%s: %.120s", what, luks->message);
	else
		snprintf(why, LUKS_WHY_MAX, "%s: %s", what, strerror(-r));
	return r;
}

int luksvolume_copy(int from, int to, uint64_t offset, uint64_t size)
{
	_cleanup_(cleanup_free) char *bytes = malloc(size);
	int r;

	if (!bytes)
		return -ENOMEM;
	r = file_read_at(from, bytes, size, offset);
	return r < 0 ? r : file_write_at(to, bytes, size, offset);
}

int luksvolume_memory(uint64_t size, int *ret_fd)
{
	int fd = memfd_create("luks-header", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int luksvolume_new(const char *path, uint64_t size, struct luks **ret)
{
	struct luks *luks = calloc(1, sizeof(*luks));

	if (!luks)
		return -ENOMEM;
	snprintf(luks->path, sizeof(luks->path), "%s", path);
	luks->size = size;
	luks->header_fd = -1;
	*ret = luks;
	return 0;
}

void luksvolume_listen(struct luks *luks)
{
	crypt_set_log_callback(luks->device, log_message, luks);
}

int luksvolume_attach(struct luks *luks, const char *path)
{
	char header_path[40];
	int r;

	snprintf(header_path, sizeof(header_path), "/proc/self/fd/%d", luks->header_fd);
	/* No other process has this header, so it needs no lock. */
	(void)crypt_metadata_locking(NULL, 0);
	crypt_set_log_callback(NULL, log_message, luks);
	r = crypt_init_data_device(&luks->device, header_path, path);
	/* The default callback would print; and ours without a context must not outlive this object. */
	crypt_set_log_callback(NULL, log_message, NULL);
	if (r < 0)
		return r;
	luksvolume_listen(luks);
	return 0;
}
