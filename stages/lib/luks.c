/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parameters: the key has full entropy, so pbkdf2 with its least iterations loses nothing and opens in
 * milliseconds; 4096-byte sectors and no work queues are what dm-crypt is fastest with. libcryptsetup sees a
 * detached header in a memfd by its /proc path, which needs no loop device and no locks.
 */
#define _GNU_SOURCE
#include "luks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libcryptsetup.h>

#include <gantry/cleanup.h>

#define CIPHER          "aes"
#define CIPHER_MODE     "xts-plain64"
#define KEY_SIZE        64			/* bytes: two 256-bit keys */
#define SECTOR_SIZE     4096
#define COPY_SIZE       (16u << 10)
#define DATA_OFFSET     (2u << 20)		/* room for 7 keyslots of 252 KiB; an eighth of the usual to wipe */
#define HASH            "sha512"		/* makes 64 bytes at once, so half as many calls as sha256 */
#define ITERATIONS      1000			/* libcryptsetup's least */

static const struct luks_expect expected = {
	.cipher = CIPHER "-" CIPHER_MODE, .key_size = KEY_SIZE, .sector_size = SECTOR_SIZE,
};

struct luks {
	struct crypt_device *device;
	struct luks_header header;
	int header_fd;
	char message[LUKS_WHY_MAX];	/* libcryptsetup's latest error */
};

static void log_message(int level, const char *text, void *context)
{
	struct luks *luks = context;

	if (level != CRYPT_LOG_ERROR || !luks)
		return;
	snprintf(luks->message, sizeof(luks->message), "%s", text);
	luks->message[strcspn(luks->message, "\n")] = '\0';
}

static int explain(struct luks *luks, const char *what, int r, char *why)
{
	if (luks->message[0])
		snprintf(why, LUKS_WHY_MAX, "%s: %.120s", what, luks->message);
	else
		snprintf(why, LUKS_WHY_MAX, "%s: %s", what, strerror(-r));
	return r;
}

static int read_at(int fd, void *bytes, size_t size, uint64_t offset)
{
	while (size) {
		ssize_t n = pread(fd, bytes, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		bytes = (char *)bytes + n;
		size -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int write_at(int fd, const void *bytes, size_t size, uint64_t offset)
{
	while (size) {
		ssize_t n = pwrite(fd, bytes, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		bytes = (const char *)bytes + n;
		size -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int copy_range(int from, int to, uint64_t offset, uint64_t size)
{
	_cleanup_(cleanup_free) char *bytes = malloc(size);
	int r;

	if (!bytes)
		return -ENOMEM;
	r = read_at(from, bytes, size, offset);
	return r < 0 ? r : write_at(to, bytes, size, offset);
}

static int header_file(uint64_t size, int *ret_fd)
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

static int new_luks(struct luks **ret)
{
	struct luks *luks = calloc(1, sizeof(*luks));

	if (!luks)
		return -ENOMEM;
	luks->header_fd = -1;
	*ret = luks;
	return 0;
}

struct luks *luks_close(struct luks *luks)
{
	if (!luks)
		return NULL;
	crypt_free(luks->device);
	luks_header_free(&luks->header);
	if (luks->header_fd >= 0)
		close(luks->header_fd);
	free(luks);
	return NULL;
}

static void close_luks(struct luks **luks)
{
	luks_close(*luks);
}

const struct luks_header *luks_header_of(const struct luks *luks)
{
	return &luks->header;
}

static int init_device(struct luks *luks, const char *path)
{
	char header_path[40];
	int r;

	snprintf(header_path, sizeof(header_path), "/proc/self/fd/%d", luks->header_fd);
	/* Nobody else knows this header, so there is nobody to lock it against. */
	(void)crypt_metadata_locking(NULL, 0);
	crypt_set_log_callback(NULL, log_message, luks);
	r = crypt_init_data_device(&luks->device, header_path, path);
	/* The default callback would print; and ours without a context must not outlive this object. */
	crypt_set_log_callback(NULL, log_message, NULL);
	if (r < 0)
		return r;
	crypt_set_log_callback(luks->device, log_message, luks);
	return 0;
}

/* Where a secondary copy may lie: after a primary of each size the specification allows. */
static bool has_secondary(int fd)
{
	for (uint64_t offset = 0x4000; offset <= 0x400000; offset *= 2) {
		char magic[6];

		if (read_at(fd, magic, sizeof(magic), offset) == 0 && memcmp(magic, "SKUL\xba\xbe", 6) == 0)
			return true;
	}
	return false;
}

/* The header copies and the keyslots they name, and nothing else, in a file that nobody can change any more. */
static int copy_header(int fd, uint64_t size, struct luks *luks, char *why)
{
	uint8_t first[LUKS_BINARY_SIZE];
	_cleanup_(cleanup_free) uint8_t *copies = NULL;
	int64_t copies_size;
	int r;

	r = read_at(fd, first, sizeof(first), 0);
	if (r < 0)
		return r;
	copies_size = luks_header_size(first, sizeof(first), why);
	if (copies_size < 0)
		return (int)copies_size;
	if (copies_size == 0) {
		if (!has_secondary(fd))
			return 0;
		snprintf(why, LUKS_WHY_MAX, "the primary copy is missing");
		return -EBADMSG;
	}
	copies = malloc((size_t)copies_size);
	if (!copies)
		return -ENOMEM;
	r = read_at(fd, copies, (size_t)copies_size, 0);
	if (r < 0)
		return r;
	r = luks_header_check(copies, (size_t)copies_size, size, &expected, &luks->header, why);
	if (r < 0)
		return r;
	r = header_file(luks->header.data_offset, &luks->header_fd);
	if (r == 0)
		r = write_at(luks->header_fd, copies, (size_t)copies_size, 0);
	for (unsigned i = 0; r == 0 && i < LUKS_KEYSLOTS_MAX; i++)
		if (luks->header.keyslots & 1u << i)
			r = copy_range(fd, luks->header_fd, luks->header.areas[i].offset, luks->header.areas[i].size);
	if (r < 0)
		return r;
	if (fcntl(luks->header_fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	return 1;
}

/* The check has passed on the same bytes; that libcryptsetup reads them alike is asked once more. */
static int check_loaded(struct luks *luks, char *why)
{
	const char *cipher = crypt_get_cipher(luks->device), *mode = crypt_get_cipher_mode(luks->device);

	if (!cipher || !mode || strcmp(cipher, CIPHER) != 0 || strcmp(mode, CIPHER_MODE) != 0) {
		snprintf(why, LUKS_WHY_MAX, "cipher \"%.40s-%.40s\"", cipher ? cipher : "", mode ? mode : "");
		return -EBADMSG;
	}
	if (crypt_get_volume_key_size(luks->device) != KEY_SIZE ||
	    crypt_get_sector_size(luks->device) != SECTOR_SIZE ||
	    crypt_get_data_offset(luks->device) != luks->header.data_offset / 512) {
		snprintf(why, LUKS_WHY_MAX, "libcryptsetup reads it differently");
		return -EBADMSG;
	}
	return 1;
}

int luks_open(int fd, const char *path, uint64_t size, struct luks **ret, char why[LUKS_WHY_MAX])
{
	_cleanup_(close_luks) struct luks *luks = NULL;
	int r;

	why[0] = '\0';
	r = new_luks(&luks);
	if (r < 0)
		return r;
	r = copy_header(fd, size, luks, why);
	if (r < 0 && !why[0])
		snprintf(why, LUKS_WHY_MAX, "cannot be read: %s", strerror(-r));
	if (r <= 0)
		return r;
	r = init_device(luks, path);
	if (r == 0)
		r = crypt_load(luks->device, CRYPT_LUKS2, NULL);
	if (r < 0) {
		explain(luks, "libcryptsetup", r, why);
		return r == -ENOMEM ? r : -EBADMSG;
	}
	r = check_loaded(luks, why);
	if (r > 0) {
		*ret = luks;
		luks = NULL;
	}
	return r;
}

static int format_header(struct luks *luks, const char *path, const struct secret *key, const char *token)
{
	const struct crypt_pbkdf_type pbkdf = {
		.type = CRYPT_KDF_PBKDF2, .hash = HASH, .iterations = ITERATIONS, .flags = CRYPT_PBKDF_NO_BENCHMARK,
	};
	struct crypt_params_luks2 parameters = {
		.pbkdf = &pbkdf, .data_device = path, .sector_size = SECTOR_SIZE,
	};
	int r;

	r = crypt_set_metadata_size(luks->device, COPY_SIZE, DATA_OFFSET - 2 * COPY_SIZE);
	if (r == 0)
		r = crypt_set_data_offset(luks->device, DATA_OFFSET / 512);
	if (r == 0)
		r = crypt_format(luks->device, CRYPT_LUKS2, CIPHER, CIPHER_MODE, NULL, NULL, KEY_SIZE, &parameters);
	if (r >= 0)
		r = crypt_keyslot_add_by_volume_key(luks->device, 0, NULL, 0, (const char *)key->bytes, key->size);
	if (r >= 0 && token)
		r = crypt_token_json_set(luks->device, CRYPT_ANY_TOKEN, token);
	return r < 0 ? r : 0;
}

int luks_format(const char *path, const struct secret *key, const char *token, struct luks **ret,
		char why[LUKS_WHY_MAX])
{
	_cleanup_(close_luks) struct luks *luks = NULL;
	int r;

	r = new_luks(&luks);
	if (r == 0)
		r = header_file(DATA_OFFSET, &luks->header_fd);
	if (r < 0) {
		snprintf(why, LUKS_WHY_MAX, "memory for a header: %s", strerror(-r));
		return r;
	}
	r = init_device(luks, path);
	if (r == 0)
		r = format_header(luks, path, key, token);
	if (r < 0)
		return explain(luks, "format", r, why);
	*ret = luks;
	luks = NULL;
	return 0;
}

int luks_activate(struct luks *luks, const char *name, int keyslot, const struct secret *key,
		  char why[LUKS_WHY_MAX])
{
	const uint32_t flags = CRYPT_ACTIVATE_NO_READ_WORKQUEUE | CRYPT_ACTIVATE_NO_WRITE_WORKQUEUE;
	int r;

	luks->message[0] = '\0';
	if (!key)
		r = crypt_activate_by_volume_key(luks->device, name, NULL, 0, flags);
	else
		r = crypt_activate_by_passphrase(luks->device, name, keyslot < 0 ? CRYPT_ANY_SLOT : keyslot,
						 (const char *)key->bytes, key->size, flags);
	if (r == -ENOENT)	/* all keyslots were tried */
		r = -EPERM;
	if (r == -EPERM)
		snprintf(why, LUKS_WHY_MAX, "wrong key");
	else if (r < 0)
		return explain(luks, "activate", r, why);
	return r < 0 ? r : 0;
}

int luks_commit(struct luks *luks, int fd)
{
	_cleanup_(cleanup_free) uint8_t *bytes = malloc(DATA_OFFSET);
	static const struct {
		size_t from, to;
	} parts[] = {{2 * COPY_SIZE, DATA_OFFSET}, {COPY_SIZE, 2 * COPY_SIZE}, {0, COPY_SIZE}};
	sigset_t all, before;
	int r;

	if (!bytes)
		return -ENOMEM;
	r = read_at(luks->header_fd, bytes, DATA_OFFSET, 0);
	/* A shutdown that begins just now waits for these few milliseconds. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	for (size_t i = 0; r == 0 && i < sizeof(parts) / sizeof(*parts); i++) {
		r = write_at(fd, bytes + parts[i].from, parts[i].to - parts[i].from, parts[i].from);
		if (r == 0 && fdatasync(fd) < 0)
			r = -errno;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

int luks_deactivate(const char *name)
{
	int r;

	crypt_set_log_callback(NULL, log_message, NULL);
	r = crypt_deactivate(NULL, name);
	return r == -ENODEV ? 0 : r;
}
