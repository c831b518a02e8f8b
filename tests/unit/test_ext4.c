/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making and checking a file system with the real mke2fs and e2fsck, on files: what counts as clean, what is repaired,
 * and what is left to a person.
 */
/* links: disk init/lib stages/lib */
/* libs: libseccomp */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>

#include "address_space.h"
#include "stages/disk/ext4.h"
#include "stages/lib/report.h"
#include "test.h"

#define DISK_SIZE (32u << 20)

static char path[64];
static char why[EXT4_WHY_MAX];
static unsigned events;

void report_event(enum event_level level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
	events++;
}

static void new_disk(void)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/test-ext4-XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0 && ftruncate(fd, DISK_SIZE) == 0);
	close(fd);
}

static void make(void)
{
	int r;

	new_disk();
	r = ext4_make(path, DISK_SIZE - (1u << 20), "persistent", why);
	if (r < 0)
		FAIL("%d %s", r, why);
}

/* Changes a superblock's field with its checksum, as the kernel would. */
static void set_field(const char *field, const char *value)
{
	char command[160];

	snprintf(command, sizeof(command), "PATH=$PATH:/sbin:/usr/sbin debugfs -w -R 'ssv %s %s' %s 2>/dev/null", field, value,
		 path);
	CHECK_INT(system(command), 0);
}

static void put(off_t offset, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && pwrite(fd, bytes, size, offset) == (ssize_t)size);
	close(fd);
}

TEST(new_file_system_is_clean_and_keeps_off_the_end)
{
	static const char zeros[1u << 20];
	static char end[1u << 20];
	int fd;

	make();
	CHECK(ext4_is_clean(path));
	CHECK_INT(ext4_check(path, why), 0);
	CHECK(events > 0);
	fd = open(path, O_RDONLY);
	CHECK_INT(pread(fd, end, sizeof(end), DISK_SIZE - sizeof(end)), sizeof(end));
	CHECK(memcmp(end, zeros, sizeof(end)) == 0);
	close(fd);
	unlink(path);
}

TEST(file_system_that_was_not_unmounted_is_not_clean_and_is_repaired)
{
	make();
	set_field("state", "0");
	CHECK(!ext4_is_clean(path));
	CHECK(ext4_check(path, why) >= 0);
	CHECK(ext4_is_clean(path));
	unlink(path);
}

TEST(file_system_with_errors_is_not_clean)
{
	make();
	set_field("state", "3");
	CHECK(!ext4_is_clean(path));
	CHECK(ext4_check(path, why) >= 0);
	CHECK(ext4_is_clean(path));
	unlink(path);
}

TEST(what_is_no_file_system_needs_a_person)
{
	new_disk();
	CHECK(!ext4_is_clean(path));
	CHECK_INT(ext4_check(path, why), -EUCLEAN);
	CHECK(strstr(why, "holds no ext4 file system") != NULL);
	unlink(path);
}

TEST(broken_file_system_needs_a_person)
{
	static char noise[1u << 20];

	make();
	memset(noise, 0xa5, sizeof(noise));
	put(4096, noise, sizeof(noise));	/* the group descriptors and what follows */
	CHECK_INT(ext4_check(path, why), -EUCLEAN);
	CHECK(strncmp(why, "e2fsck exited with status 4: ", 29) == 0 || strncmp(why, "e2fsck exited with status 5: ", 29) == 0 ||
	      strncmp(why, "e2fsck exited with status 12: ", 30) == 0);
	unlink(path);
}

TEST(superblock_with_a_wrong_checksum_is_not_mounted)
{
	make();
	put(1024 + 0x3a, "\0\0", 2);
	CHECK(!ext4_is_clean(path));
	CHECK(ext4_check(path, why) < 0);
	unlink(path);
}

TEST(failure_to_make_one_tells_the_program_s_words)
{
	CHECK_INT(ext4_make("/tmp/no-such-folder/device", DISK_SIZE, "persistent", why), -EIO);
	CHECK(strncmp(why, "mke2fs exited with status 1: ", 29) == 0);
}
