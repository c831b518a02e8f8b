/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which disks count as blank: zeros, and nothing that any of Debian's tools has written to. Disks are files here.
 */
/* links: disk stages/lib init/lib */
/* libs: blkid libseccomp */
#define _GNU_SOURCE
#include <blkid/blkid.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "address_space.h"
#include "stages/disk/blank.h"
#include "test.h"

#define DISK_SIZE (64u << 20)

static char path[64];

static int new_disk(void)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/test-blank-XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0 && ftruncate(fd, DISK_SIZE) == 0);
	return fd;
}

static void remove_disk(int fd)
{
	close(fd);
	unlink(path);
}

static void shell(const char *command)
{
	setenv("DISK", path, 1);
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	CHECK_INT(system(command), 0);
}

/* Runs the command on a blank disk and expects that word in the reason. */
static void is_not_blank_after(const char *command, const char *word)
{
	char why[BLANK_WHY_MAX] = "";
	int fd = new_disk(), r;

	shell(command);
	r = blank_check(fd, DISK_SIZE, why);
	remove_disk(fd);
	if (r != 0 || !strstr(why, word))
		FAIL("after `%s`: %d, %s", command, r, why);
}

/* Writes one byte there and expects that it is found. */
static void is_not_blank_with_byte_at(uint64_t offset)
{
	char why[BLANK_WHY_MAX] = "", expected[BLANK_WHY_MAX];
	int fd = new_disk(), r;

	CHECK_INT(pwrite(fd, "\1", 1, (off_t)offset), 1);
	r = blank_check(fd, DISK_SIZE, why);
	remove_disk(fd);
	snprintf(expected, sizeof(expected), "byte %llu is not zero", (unsigned long long)offset);
	CHECK_INT(r, 0);
	CHECK_STR(why, expected);
}

TEST(zeros_are_blank)
{
	char why[BLANK_WHY_MAX] = "";
	int fd = new_disk();

	CHECK_INT(blank_check(fd, DISK_SIZE, why), 1);
	remove_disk(fd);
}

TEST(one_byte_at_either_end_is_not_blank)
{
	is_not_blank_with_byte_at(0);
	is_not_blank_with_byte_at(511);
	is_not_blank_with_byte_at(BLANK_EDGE - 1);
	is_not_blank_with_byte_at(DISK_SIZE - BLANK_EDGE);
	is_not_blank_with_byte_at(DISK_SIZE - 1);
}

TEST(one_byte_at_a_sampled_place_is_not_blank)
{
	is_not_blank_with_byte_at(DISK_SIZE / 2);
	is_not_blank_with_byte_at(DISK_SIZE / BLANK_SAMPLES * 77 + 100);
	is_not_blank_with_byte_at(8193 * 1024);
	is_not_blank_with_byte_at((16u << 20) + 7);
}

TEST(file_system_whose_beginning_and_end_were_wiped_is_not_blank)
{
	is_not_blank_after("mke2fs -q -F -t ext4 -b 1024 $DISK && "
			   "dd if=/dev/zero of=$DISK bs=1M count=1 conv=notrunc status=none && "
			   "dd if=/dev/zero of=$DISK bs=1M count=1 seek=63 conv=notrunc status=none", "not zero");
	is_not_blank_after("dd if=/dev/urandom of=$DISK bs=1M seek=1 count=62 conv=notrunc status=none", "not zero");
}

TEST(file_systems_swap_and_partition_tables_are_not_blank)
{
	is_not_blank_after("mke2fs -q -F -t ext2 $DISK", "ext2");
	is_not_blank_after("mke2fs -q -F -t ext4 $DISK", "ext4");
	is_not_blank_after("mkfs.vfat $DISK >/dev/null", "vfat");
	is_not_blank_after("mkswap -q $DISK", "swap");
	is_not_blank_after("echo label: gpt | sfdisk -q $DISK", "gpt");
	is_not_blank_after("echo label: dos | sfdisk -q $DISK", "dos");
	is_not_blank_after("cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 $DISK /etc/hostname",
			   "crypto_LUKS");
	is_not_blank_after("cryptsetup -q luksFormat --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "
			   "--sector-size 512 $DISK /etc/hostname", "crypto_LUKS");
	is_not_blank_after("dd if=/dev/urandom of=$DISK bs=1M count=1 conv=notrunc status=none", "not zero");
}

TEST(file_system_with_a_wrong_checksum_is_not_blank)
{
	is_not_blank_after("mke2fs -q -F -t ext4 $DISK && printf '\\001\\002\\003\\004' | "
			   "dd of=$DISK bs=1 seek=2044 conv=notrunc status=none", "ext4");
}

TEST(second_luks_header_alone_is_not_blank)
{
	is_not_blank_after("cryptsetup -q luksFormat --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "
			   "--sector-size 512 $DISK /etc/hostname && "
			   "dd if=/dev/zero of=$DISK bs=16k count=1 conv=notrunc status=none", "");
}

TEST(backup_partition_table_alone_is_not_blank)
{
	is_not_blank_after("echo label: gpt | sfdisk -q $DISK && "
			   "dd if=/dev/zero of=$DISK bs=1M count=1 conv=notrunc status=none", "");
}

static int fault;	/* the signal that libblkid ends by; 0: it works */

int blkid_do_probe(blkid_probe probe)
{
	int (*real)(blkid_probe probe) = dlsym(RTLD_NEXT, "blkid_do_probe");

	if (fault) {
		signal(fault, SIG_DFL);
		syscall(SYS_tgkill, getpid(), getpid(), fault);
	}
	return real(probe);
}

TEST(disk_that_makes_libblkid_crash_is_not_blank_and_the_stage_lives)
{
	char why[BLANK_WHY_MAX] = "";
	int fd = new_disk();

	fault = SIGSEGV;
	CHECK_INT(blank_check(fd, DISK_SIZE, why), 0);
	CHECK(strncmp(why, "its reader was ended by signal 11", 33) == 0);
	fault = SIGKILL;
	CHECK_INT(blank_check(fd, DISK_SIZE, why), -EAGAIN);
	CHECK(strncmp(why, "its reader was ended by signal 9", 32) == 0);
	remove_disk(fd);
}

TEST(disk_that_cannot_be_read_is_not_blank)
{
	char why[BLANK_WHY_MAX] = "";
	int fd = new_disk();

	CHECK(blank_check(fd, 2 * DISK_SIZE, why) < 0);
	remove_disk(fd);
}

TEST(the_check_writes_nothing)
{
	char why[BLANK_WHY_MAX] = "";
	int fd = new_disk(), only_read = open(path, O_RDONLY);
	struct stat before, after;

	CHECK_INT(fstat(fd, &before), 0);
	CHECK_INT(blank_check(only_read, DISK_SIZE, why), 1);
	CHECK_INT(fstat(fd, &after), 0);
	CHECK_INT(before.st_blocks, after.st_blocks);
	CHECK_INT(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	close(only_read);
	remove_disk(fd);
}

TEST(disk_with_an_efi_system_partition_is_the_boot_disk)
{
	int fd = new_disk();

	CHECK_INT(blank_is_boot_disk(fd), 0);
	shell("printf 'label: gpt\\n,,L\\n' | sfdisk -q $DISK");
	CHECK_INT(blank_is_boot_disk(fd), 0);
	shell("printf 'label: gpt\\n,8M,L\\n,,U\\n' | sfdisk -q $DISK");
	CHECK_INT(blank_is_boot_disk(fd), 1);
	shell("printf 'label: dos\\n,,ef\\n' | sfdisk -q $DISK");
	CHECK_INT(blank_is_boot_disk(fd), 1);
	remove_disk(fd);
}
