/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk in a file with our LUKS2 volume on it, and what may happen to its header. /dev/mapper is not needed. */
#ifndef TESTS_LUKS_DISK_H
#define TESTS_LUKS_DISK_H

#include <fcntl.h>
#include <sys/stat.h>

#include <mbedtls/sha256.h>

#include "address_space.h"
#include "stages/disk/lukswrite.h"
#include "test.h"

#define DISK_SIZE (64u << 20)
#define COPY      16384
#define KEY       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TOKEN     "{\"type\":\"gantry-tpm2\",\"keyslots\":[\"0\"],\"tpm2-blob\":\"AAEC\"}"
#define CRYPTSETUP "cryptsetup -q luksFormat --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "

UNUSED static char path[64];
UNUSED static char why[LUKS_WHY_MAX];

UNUSED static int new_disk(void)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/test-luks-XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0 && ftruncate(fd, DISK_SIZE) == 0);
	setenv("DISK", path, 1);
	setenv("KEY", KEY, 1);
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	return fd;
}

UNUSED static void remove_disk(int fd)
{
	close(fd);
	unlink(path);
}

UNUSED static void format(int fd)
{
	_cleanup_secret_ struct secret key = {0};
	const struct luks_slot slot = {.key = &key, .token = TOKEN};
	struct luks *luks = NULL;
	int r;

	CHECK_INT(secret_copy(KEY, strlen(KEY), &key), 0);
	r = luks_format(path, DISK_SIZE, NULL, &slot, 1, &luks, why);
	if (r < 0)
		FAIL("format: %d %s", r, why);
	CHECK_INT(luks_commit(luks, fd), 0);
	luks_close(luks);
}

UNUSED static int try_key(int fd, const char *text)
{
	_cleanup_secret_ struct secret key = {0};
	struct luks *luks = NULL;
	int keyslot = -1, r;

	CHECK_INT(secret_copy(text, strlen(text), &key), 0);
	r = luks_open(fd, path, DISK_SIZE, &luks, why);
	if (r != 1)
		FAIL("open: %d %s", r, why);
	r = luks_unlock(luks, -1, &key, &keyslot, why);
	CHECK((keyslot >= 0) == (r == 0));
	luks_close(luks);
	return r;
}

UNUSED static void shell(const char *command)
{
	CHECK_INT(system(command), 0);
}

UNUSED static void seal_copy(uint8_t *copy)
{
	memset(copy + 448, 0, 64);
	CHECK_INT(mbedtls_sha256(copy, COPY, copy + 448, 0), 0);
}

/* Replaces words of the metadata in both copies and makes the checksums right. */
UNUSED static void edit(int fd, const char *from, const char *to)
{
	uint8_t copies[2 * COPY];

	CHECK_INT(pread(fd, copies, sizeof(copies), 0), sizeof(copies));
	for (int i = 0; i < 2; i++) {
		char *json = (char *)copies + i * COPY + 4096, *at = strstr(json, from);
		size_t rest;

		if (!at)
			FAIL("%s is not in %s", from, json);
		rest = strlen(at + strlen(from)) + 1;
		memmove(at + strlen(to), at + strlen(from), rest);
		memcpy(at, to, strlen(to));
		memset(json + strlen(json), 0, COPY - 4096 - strlen(json));
		seal_copy(copies + i * COPY);
	}
	CHECK_INT(pwrite(fd, copies, sizeof(copies), 0), sizeof(copies));
}

UNUSED static void damage(int fd, off_t offset)
{
	uint8_t byte;

	CHECK_INT(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x40;
	CHECK_INT(pwrite(fd, &byte, 1, offset), 1);
}

#endif
