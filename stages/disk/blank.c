/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two independent looks, because each misses something. libblkid knows the magic of every format, wherever it lies
 * (also with a wrong checksum, which it would pass over by default). What has no magic, or has lost it, is found by
 * its bytes: a megabyte at each end, where headers and their copies are; the places where file systems keep spare
 * superblocks, for one whose beginning was wiped; and BLANK_SAMPLES places over the whole disk. A volume of random
 * bytes (encrypted without a header) fails at the first of them; of any other content a share p of the disk is missed
 * with a chance of (1-p)^BLANK_SAMPLES, a tenth of the disk once in 500 billion. What is not found is less than that
 * and lies where no known format has anything: no file system that could be mounted. libblkid runs in a child
 * (reader.h), and the host's bytes may make that say anything; so the bytes are looked at in the stage itself, and
 * neither look alone makes a disk blank.
 */
#define _GNU_SOURCE
#include "blank.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <blkid/blkid.h>

#include <gantry/cleanup.h>

#include "reader.h"
#include "stages/lib/printable.h"

#define ERRNO_MAX 4095

/* UEFI specification 2.10, table 5.7; 0xef is the same in an MBR. */
#define ESP_GUID "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"

static void free_probe(blkid_probe *probe)
{
	if (*probe)
		blkid_free_probe(*probe);
}

static int probe_new(int fd, blkid_probe *ret)
{
	blkid_probe probe = blkid_new_probe();

	if (!probe)
		return -ENOMEM;
	errno = 0;
	if (blkid_probe_set_device(probe, fd, 0, 0) < 0) {
		int r = errno ? -errno : -EIO;

		blkid_free_probe(probe);
		return r;
	}
	blkid_probe_enable_superblocks(probe, 0);
	*ret = probe;
	return 0;
}

/* What the child answers. */
struct found {
	int32_t result;		/* 1 found, 0 none, negative errno */
	char name[BLANK_NAME_MAX];
};

static int look_for_signature(blkid_probe probe, char ret_name[BLANK_NAME_MAX])
{
	const char *name;
	int r;

	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_MAGIC | BLKID_SUBLKS_BADCSUM);
	blkid_probe_enable_partitions(probe, 1);
	blkid_probe_set_partitions_flags(probe, BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT);
	errno = 0;
	r = blkid_do_probe(probe);
	if (r < 0)
		return errno ? -errno : -EIO;
	if (r > 0)
		return 0;
	if (blkid_probe_lookup_value(probe, "TYPE", &name, NULL) == 0)
		snprintf(ret_name, BLANK_NAME_MAX, "%.40s signature", name);
	else if (blkid_probe_lookup_value(probe, "PTTYPE", &name, NULL) == 0)
		snprintf(ret_name, BLANK_NAME_MAX, "%.40s partition table", name);
	else
		snprintf(ret_name, BLANK_NAME_MAX, "a signature");
	return 1;
}

static int look_for_boot_partition(blkid_probe probe, char ret_name[BLANK_NAME_MAX])
{
	blkid_partlist list;

	(void)ret_name;
	blkid_probe_enable_partitions(probe, 1);
	blkid_probe_set_partitions_flags(probe, BLKID_PARTS_ENTRY_DETAILS);
	list = blkid_probe_get_partitions(probe);
	if (!list)
		return 0;
	for (int i = 0; i < blkid_partlist_numof_partitions(list); i++) {
		blkid_partition partition = blkid_partlist_get_partition(list, i);
		const char *type = blkid_partition_get_type_string(partition);

		if ((type && strcasecmp(type, ESP_GUID) == 0) ||
		    (!type && blkid_partition_get_type(partition) == 0xef))
			return 1;
	}
	return 0;
}

struct look {
	int (*with)(blkid_probe probe, char ret_name[BLANK_NAME_MAX]);
};

/* In the child. */
static void look(int fd, const void *question, void *answer)
{
	const struct look *how = question;
	struct found *found = answer;
	_cleanup_(free_probe) blkid_probe probe = NULL;
	int r = probe_new(fd, &probe);

	found->result = r < 0 ? r : how->with(probe, found->name);
}

/* Asks a child, and makes of its answer no more than a number and a printable name. */
static int ask(int fd, const struct look *how, char ret_name[BLANK_NAME_MAX])
{
	struct found found = {0};
	const struct reader_task task = {look, fd, how, &found, sizeof(found)};
	int r = reader_ask(&task, ret_name);

	if (r < 0)
		return r;
	if (found.result > 1 || found.result < -ERRNO_MAX) {
		snprintf(ret_name, BLANK_NAME_MAX, "its reader's answer is malformed");
		return -EBADMSG;
	}
	found.name[sizeof(found.name) - 1] = '\0';
	printable_copy(found.name, ret_name, BLANK_NAME_MAX);
	return found.result;
}

int blank_signature(int fd, char ret_name[BLANK_NAME_MAX])
{
	return ask(fd, &(struct look){look_for_signature}, ret_name);
}

int blank_is_boot_disk(int fd)
{
	char name[BLANK_NAME_MAX];

	return ask(fd, &(struct look){look_for_boot_partition}, name);
}

/* 1: all zero. 0: *ret_at is the first byte that is not. */
static int zero_between(int fd, uint64_t from, uint64_t to, uint64_t *ret_at)
{
	_cleanup_(cleanup_free) unsigned char *bytes = malloc(BLANK_EDGE);

	if (!bytes)
		return -ENOMEM;
	while (from < to) {
		size_t want = to - from < BLANK_EDGE ? (size_t)(to - from) : BLANK_EDGE;
		ssize_t n = pread(fd, bytes, want, (off_t)from);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			return -EIO;
		for (ssize_t i = 0; i < n; i++) {
			if (bytes[i]) {
				*ret_at = from + (uint64_t)i;
				return 0;
			}
		}
		from += (uint64_t)n;
	}
	return 1;
}

/* Where file systems keep copies of their superblock. */
static const uint64_t spare_places[] = {
	(8u << 20) + 1024,		/* ext2-4, group 1 with blocks of 1, 2 and 4 KiB */
	32u << 20, 128u << 20,
	3 * (128ull << 20), 5 * (128ull << 20), 7 * (128ull << 20), 9 * (128ull << 20),
	64u << 20, 256ull << 30,	/* btrfs */
	16u << 20,			/* LUKS2's data, by cryptsetup's default */
	2u << 20,
};

/* 1: all of it is zero. 0: *ret_at is the first byte found that is not. */
static int samples_are_zero(int fd, uint64_t size, uint64_t *ret_at)
{
	int r = 1;

	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (size_t i = 0; r > 0 && i < sizeof(spare_places) / sizeof(*spare_places); i++) {
		uint64_t at = spare_places[i] / BLANK_SAMPLE * BLANK_SAMPLE;

		if (at + BLANK_SAMPLE <= size)
			r = zero_between(fd, at, at + BLANK_SAMPLE, ret_at);
	}
	for (uint64_t i = 1; r > 0 && i < BLANK_SAMPLES; i++) {
		uint64_t at = size / BLANK_SAMPLES * i / BLANK_SAMPLE * BLANK_SAMPLE;

		if (at + BLANK_SAMPLE <= size)
			r = zero_between(fd, at, at + BLANK_SAMPLE, ret_at);
	}
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL);
	return r;
}

int blank_check(int fd, uint64_t size, char why[BLANK_WHY_MAX])
{
	uint64_t edge = size < BLANK_EDGE ? size : BLANK_EDGE, at = 0;
	int r;

	if (size == 0) {
		snprintf(why, BLANK_WHY_MAX, "size 0");
		return 0;
	}
	r = blank_signature(fd, why);
	if (r != 0)
		return r < 0 && r != -EBADMSG ? r : 0;
	r = zero_between(fd, 0, edge, &at);
	if (r > 0)
		r = zero_between(fd, size - edge, size, &at);
	if (r > 0)
		r = samples_are_zero(fd, size, &at);
	if (r == 0)
		snprintf(why, BLANK_WHY_MAX, "byte %llu is not zero", (unsigned long long)at);
	return r;
}
