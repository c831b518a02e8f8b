/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which disk is taken for the configured one, in made-up copies of /sys and /proc: by SCSI LUN, by NVMe namespace, and
 * never one that is the system's or in use.
 */
/* links: disk cloud stages/lib init/lib */
/* libs: json-c curl mbedtls tss2 tss2-tcti-device tss2-tcti-swtpm */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "stages/disk/find.h"
#include "shell.h"
#include "test.h"

#define HV "devices/LNXSYSTM:00/VMBUS:00/"
#define VMBUS_FIRST_CHANNEL  HV "f8b3781a-1e82-4818-a1c3-63d806ec15bb/"
#define VMBUS_SECOND_CHANNEL HV "f8b3781b-1e82-4818-a1c3-63d806ec15bb/"

static char root[64];

static void new_root(void)
{
	snprintf(root, sizeof(root), "/tmp/test-find-XXXXXX");
	CHECK(mkdtemp(root) != NULL);
	shell("mkdir -p %s/sys/block %s/proc/self", root, root);
	shell("echo '22 1 0:2 / / rw - rootfs rootfs rw' >%s/proc/self/mountinfo", root);
	shell("echo 'Filename Type Size Used Priority' >%s/proc/swaps", root);
}

static void remove_root(void)
{
	shell("rm -rf %s", root);
}

/* A SCSI disk below that device directory, with that address and number; links name their target, as in sysfs. */
static void add_scsi(const char *name, const char *parent, const char *address, const char *number)
{
	shell("cd %s/sys && mkdir -p %shost/%s/block/%s/holders && cd %shost/%s/block/%s && echo 2097152 >size && "
	      "echo %s >dev && ln -s ../../../%s device && echo 0 >../../type && "
	      "ln -s %s/sys/%shost/%s/block/%s %s/sys/block/%s",
	      root, parent, address, name, parent, address, name, number, address, root, parent, address, name, root,
	      name);
}

static void add_nvme(const char *name, unsigned nsid, const char *model)
{
	shell("cd %s/sys && mkdir -p devices/%s-ctrl devices/%s/holders && cd devices/%s && echo 2097152 >size && "
	      "echo 259:0 >dev && echo %u >nsid && ln -s ../%s-ctrl device && echo '%s' >device/model && "
	      "ln -s %s/sys/devices/%s %s/sys/block/%s",
	      root, name, name, name, nsid, name, model, root, name, root, name);
}

static const char *refused_name;

static const char *refuse(const struct disk *disk)
{
	return refused_name && strcmp(disk->name, refused_name) == 0 ? "the boot disk" : NULL;
}

static int find_by(struct find_rule rule, struct disk *disk, char *why)
{
	char sys[80], proc[80];
	struct find_roots roots = {sys, proc};

	snprintf(sys, sizeof(sys), "%s/sys", root);
	snprintf(proc, sizeof(proc), "%s/proc", root);
	return find_disk(&roots, &rule, refuse, disk, why);
}

static int find(unsigned lun, struct disk *disk, char *why)
{
	return find_by((struct find_rule){.by = FIND_LUN, .number = lun}, disk, why);
}

static void set_size(const char *name, unsigned sectors)
{
	shell("echo %u >%s/sys/block/%s/size", sectors, root, name);
}

/* Expects that no disk is taken, and that word in the reason. */
static void finds_none(unsigned lun, const char *word)
{
	char why[FIND_WHY_MAX] = "";
	struct disk disk;

	CHECK_INT(find(lun, &disk, why), 0);
	if (!strstr(why, word) || (!*word && *why))
		FAIL("the reason is \"%s\"", why);
	remove_root();
}

TEST(scsi_disk_is_found_by_its_lun)
{
	char why[FIND_WHY_MAX];
	struct disk disk;

	new_root();
	add_scsi("sda", "devices/pci/", "0:0:0:1", "8:0");
	add_scsi("sdb", "devices/pci/", "0:0:0:10", "8:16");
	add_scsi("sdc", "devices/pci/", "0:0:0:100", "8:32");
	CHECK_INT(find(10, &disk, why), 1);
	CHECK_STR(disk.name, "sdb");
	CHECK_STR(disk.path, "/dev/sdb");
	CHECK_INT(disk.size, 1 << 30);
	CHECK_INT(disk.number, makedev(8, 16));
	remove_root();
}

TEST(nvme_namespace_is_the_lun_plus_two)
{
	char why[FIND_WHY_MAX];
	struct disk disk;

	new_root();
	add_nvme("nvme0n1", 10, "MSFT NVMe Accelerator v1.0");
	add_nvme("nvme0n2", 12, "MSFT NVMe Accelerator v1.0");
	CHECK_INT(find(10, &disk, why), 1);
	CHECK_STR(disk.name, "nvme0n2");
	remove_root();
}

TEST(nothing_is_found_before_the_disk_is_there)
{
	new_root();
	add_scsi("sda", "devices/pci/", "0:0:0:1", "8:0");
	finds_none(10, "");
}

TEST(two_disks_with_one_lun_are_an_error_that_names_both)
{
	char why[FIND_WHY_MAX];
	struct disk disk;

	new_root();
	add_scsi("sda", "devices/one/", "0:0:0:10", "8:0");
	add_scsi("sdb", "devices/two/", "1:0:0:10", "8:16");
	CHECK_INT(find(10, &disk, why), -EEXIST);
	CHECK(strstr(why, "sda") && strstr(why, "sdb"));
	remove_root();
}

TEST(azure_os_and_temporary_disks_are_passed_over)
{
	char why[FIND_WHY_MAX];
	struct disk disk;

	new_root();
	add_scsi("sda", VMBUS_FIRST_CHANNEL, "0:0:0:0", "8:0");
	finds_none(0, "sda is the OS disk");
	new_root();
	add_scsi("sdb", VMBUS_FIRST_CHANNEL, "0:0:0:1", "8:16");
	finds_none(1, "sdb is the temporary disk");
	new_root();
	add_scsi("sda", HV "00000000-0000-8899-0000-000000000000/", "0:0:0:0", "8:0");
	finds_none(0, "OS disk");
	new_root();
	add_scsi("sda", HV "00000000-0001-8899-0000-000000000000/", "0:0:1:0", "8:0");
	finds_none(0, "temporary disk");
	new_root();
	add_nvme("nvme1n1", 2, "Microsoft NVMe Direct Disk v2");
	finds_none(0, "temporary disk");
	new_root();
	add_scsi("sda", VMBUS_FIRST_CHANNEL, "0:0:0:0", "8:0");
	add_scsi("sdc", VMBUS_SECOND_CHANNEL, "1:0:0:0", "8:32");
	CHECK_INT(find(0, &disk, why), 1);
	CHECK_STR(disk.name, "sdc");
	remove_root();
}

TEST(disk_in_use_is_passed_over)
{
	new_root();
	add_scsi("sda", "devices/pci/", "0:0:0:10", "8:0");
	shell("echo '30 22 8:0 / /mnt rw - ext4 /dev/sda rw' >>%s/proc/self/mountinfo", root);
	finds_none(10, "sda is mounted");
	new_root();
	add_scsi("sda", "devices/pci/", "0:0:0:10", "8:0");
	shell("mkdir %s/sys/block/sda/sda1 && cd %s/sys/block/sda/sda1 && echo 1 >partition && echo 8:1 >dev", root, root);
	shell("echo '30 22 8:1 / /mnt rw - ext4 /dev/sda1 rw' >>%s/proc/self/mountinfo", root);
	finds_none(10, "sda is mounted");
	new_root();
	add_scsi("sda", "devices/pci/", "0:0:0:10", "8:0");
	shell("echo '/dev/sda partition 1024 0 -2' >>%s/proc/swaps", root);
	finds_none(10, "sda is in use as swap");
	new_root();
	add_scsi("sda", "devices/pci/", "0:0:0:10", "8:0");
	shell("touch %s/sys/block/sda/holders/dm-0", root);
	finds_none(10, "held by another device");
}

TEST(disk_without_a_medium_and_what_is_no_disk_are_passed_over)
{
	new_root();
	add_scsi("sda", "devices/pci/", "0:0:0:10", "8:0");
	shell("echo 0 >%s/sys/block/sda/size", root);
	finds_none(10, "without a size yet");
	new_root();
	add_scsi("sr0", "devices/pci/", "0:0:0:10", "11:0");
	shell("echo 5 >%s/sys/block/sr0/device/type", root);
	finds_none(10, "");
	new_root();
	shell("mkdir -p %s/sys/block/loop10 && echo 7:10 >%s/sys/block/loop10/dev", root, root);
	finds_none(10, "");
}

TEST(serial_and_wwid_name_a_disk_whatever_its_address)
{
	char why[FIND_WHY_MAX];
	struct disk disk;

	new_root();
	add_scsi("sda", "devices/pci/", "0:0:0:1", "8:0");
	add_scsi("sdb", "devices/pci/", "0:0:0:7", "8:16");
	shell("cd %s/sys/block/sdb/device/ && printf '\\000\\200\\000\\010  S3R1AL ' >vpd_pg80 && echo naa.6002248 >wwid", root);
	add_nvme("nvme0n1", 3, "MSFT NVMe Accelerator v1.0");
	shell("cd %s/sys/block/nvme0n1 && echo 'N1   ' >device/serial && echo eui.0025 >wwid", root);
	CHECK_INT(find_by((struct find_rule){.by = FIND_SERIAL, .text = "S3R1AL"}, &disk, why), 1);
	CHECK_STR(disk.name, "sdb");
	CHECK_STR(disk.serial, "S3R1AL");
	CHECK_STR(disk.wwid, "naa.6002248");
	CHECK_INT(find_by((struct find_rule){.by = FIND_WWID, .text = "naa.6002248"}, &disk, why), 1);
	CHECK_STR(disk.name, "sdb");
	CHECK_INT(find_by((struct find_rule){.by = FIND_SERIAL, .text = "N1"}, &disk, why), 1);
	CHECK_STR(disk.name, "nvme0n1");
	CHECK_INT(find_by((struct find_rule){.by = FIND_WWID, .text = "eui.0025"}, &disk, why), 1);
	CHECK_INT(find_by((struct find_rule){.by = FIND_SERIAL, .text = "S3R1A"}, &disk, why), 0);
	CHECK_INT(find_by((struct find_rule){.by = FIND_NSID, .number = 3}, &disk, why), 1);
	CHECK_STR(disk.name, "nvme0n1");
	CHECK_INT(find_by((struct find_rule){.by = FIND_NSID, .number = 7}, &disk, why), 0);
	remove_root();
}

TEST(two_disks_of_one_serial_are_an_error_that_names_both)
{
	char why[FIND_WHY_MAX];
	struct disk disk;

	new_root();
	add_nvme("nvme0n1", 3, "one");
	add_nvme("nvme0n2", 4, "two");
	shell("cd %s/sys/block && echo same >nvme0n1/device/serial && echo same >nvme0n2/device/serial", root);
	CHECK_INT(find_by((struct find_rule){.by = FIND_SERIAL, .text = "same"}, &disk, why), -EEXIST);
	CHECK(strstr(why, "nvme0n1") && strstr(why, "nvme0n2"));
	remove_root();
}

TEST(largest_is_the_largest_that_may_be_taken)
{
	char why[FIND_WHY_MAX];
	struct disk disk;

	new_root();
	add_scsi("sda", VMBUS_FIRST_CHANNEL, "0:0:0:0", "8:0");
	set_size("sda", 900000000);
	add_scsi("sdb", "devices/pci/", "0:0:0:1", "8:16");
	set_size("sdb", 800000000);
	add_scsi("sdc", "devices/pci/", "0:0:0:2", "8:32");
	set_size("sdc", 5000);
	add_scsi("sdd", "devices/pci/", "0:0:0:3", "8:48");
	set_size("sdd", 6000);
	shell("mkdir -p %s/sys/block/loop0 && echo 7:0 >%s/sys/block/loop0/dev && echo 999999999 >%s/sys/block/loop0/size",
	      root, root, root);
	shell("echo '30 22 8:16 / /mnt rw - ext4 /dev/sdb rw' >>%s/proc/self/mountinfo", root);
	CHECK_INT(find_by((struct find_rule){.by = FIND_LARGEST}, &disk, why), 1);
	CHECK_STR(disk.name, "sdd");
	refused_name = "sdd";
	CHECK_INT(find_by((struct find_rule){.by = FIND_LARGEST}, &disk, why), 1);
	CHECK_STR(disk.name, "sdc");
	refused_name = NULL;
	set_size("sdc", 6000);
	CHECK_INT(find_by((struct find_rule){.by = FIND_LARGEST}, &disk, why), -EEXIST);
	CHECK(strstr(why, "sdc") && strstr(why, "sdd"));
	remove_root();
}

TEST(rule_is_told_in_words)
{
	char text[FIND_WHY_MAX];

	CHECK_STR(find_text(&(struct find_rule){.by = FIND_LUN, .number = 10}, text), "lun 10");
	CHECK_STR(find_text(&(struct find_rule){.by = FIND_SERIAL, .text = "abc"}, text), "serial abc");
	CHECK_STR(find_text(&(struct find_rule){.by = FIND_LARGEST}, text), "the largest");
}
