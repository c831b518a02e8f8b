/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names in /dev that udev makes elsewhere, in made-up copies of /sys and /dev. */
/* links: init/pid1/links.c event init/lib */
#include <sys/stat.h>
#include <unistd.h>

#include "init/pid1/links.h"
#include "shell.h"
#include "test.h"

#define VMBUS "../../devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0004:00/VMBUS:00/"
#define OS    VMBUS "f8b3781a-1e82-4818-a1c3-63d806ec15bb/host0/target0:0:0/"
#define DATA  VMBUS "f8b3781b-1e82-4818-a1c3-63d806ec15bb/host1/target1:0:0/"

static char sys[64], dev[64];

static void new_root(void)
{
	char root[] = "/tmp/test-links-XXXXXX";

	CHECK(mkdtemp(root) != NULL);
	snprintf(sys, sizeof(sys), "%s/sys", root);
	snprintf(dev, sizeof(dev), "%s/dev", root);
	shell("mkdir -p %s/class/ptp %s/class/block %s", sys, sys, dev);
}

static void remove_root(void)
{
	shell("rm -rf %.*s", (int)strlen(sys) - 4, sys);
}

static void add_clock(const char *name, const char *clock)
{
	shell("mkdir %s/class/ptp/%s && echo '%s' > %s/class/ptp/%s/clock_name && : > %s/%s", sys, name, clock, sys, name,
	      dev, name);
}

/* A disk at that place below /sys/class/block, and its first partition. */
static void add_disk(const char *place, const char *name, const char *part, const char *attributes)
{
	shell("cd %s/class/block && mkdir -p %s/block/%s/%s && ln -s %s/block/%s %s && ln -s %s/block/%s/%s %s && "
	      "echo 1 > %s/partition && mkdir %s/device && cd %s/device && %s", sys, place, name, part, place, name, name,
	      place, name, part, part, part, name, name, attributes);
	shell(": > %s/%s && : > %s/%s", dev, name, dev, part);
}

#define MSFT "echo 'Msft    ' > vendor && echo 'Virtual Disk    ' > model"

static void check_link(const char *name, const char *target)
{
	char path[128], text[128] = "";

	snprintf(path, sizeof(path), "%s/%s", dev, name);
	CHECK(readlink(path, text, sizeof(text) - 1) < (ssize_t)sizeof(text));
	CHECK_STR(text, target);
	CHECK_INT(access(path, F_OK), *target ? 0 : -1);
}

TEST(a_host_s_clock_has_the_name_that_chronyd_is_told)
{
	new_root();
	add_clock("ptp0", "mlx5_ptp");
	add_clock("ptp1", "hyperv");
	add_clock("ptp2", "KVM virtual PTP");
	for (int i = 0; i < 3; i++)
		links_make(sys, dev, (const char *[]){"ptp0", "ptp1", "ptp2"}[i]);
	check_link("ptp_hyperv", "ptp1");
	check_link("ptp_kvm", "ptp2");
	links_make(sys, dev, "ptp1");		/* once more changes nothing */
	check_link("ptp_hyperv", "ptp1");
	remove_root();
}

TEST(a_link_goes_with_its_device_and_comes_again_for_another)
{
	new_root();
	add_clock("ptp1", "hyperv");
	links_make(sys, dev, "ptp1");
	shell("rm %s/ptp1", dev);
	links_remove(dev, "ptp1");
	check_link("ptp_hyperv", "");
	add_clock("ptp4", "hyperv");
	links_make(sys, dev, "ptp4");
	check_link("ptp_hyperv", "ptp4");
	links_remove(dev, "ptp1");		/* of another one */
	check_link("ptp_hyperv", "ptp4");
	remove_root();
}

TEST(the_first_of_two_keeps_the_name_and_a_link_to_nothing_does_not)
{
	new_root();
	add_clock("ptp1", "hyperv");
	add_clock("ptp2", "hyperv");
	links_make(sys, dev, "ptp1");
	links_make(sys, dev, "ptp2");
	check_link("ptp_hyperv", "ptp1");
	shell("rm %s/ptp1", dev);		/* and nobody has said so */
	links_make(sys, dev, "ptp2");
	check_link("ptp_hyperv", "ptp2");
	remove_root();
}

TEST(azure_s_scsi_disks_have_their_numbers)
{
	new_root();
	add_disk(OS "0:0:0:0", "sda", "sda1", MSFT);
	add_disk(OS "0:0:0:1", "sdb", "sdb1", MSFT);
	add_disk(DATA "1:0:0:10", "sdc", "sdc1", MSFT);
	add_disk("../../devices/pci0000:00/host2/target2:0:0/2:0:0:3", "sdd", "sdd1",
		 "echo QEMU > vendor && echo 'QEMU HARDDISK' > model");
	add_disk(DATA "1:0:0:11", "sde", "sde1", "echo 'Msft' > vendor && echo 'Virtual DVD-ROM' > model");
	for (int i = 0; i < 10; i++)
		links_make(sys, dev, (const char *[]){"sda", "sda1", "sdb", "sdb1", "sdc", "sdc1", "sdd", "sdd1", "sde",
						      "sde1"}[i]);
	check_link("disk/azure/os", "../../sda");
	check_link("disk/azure/os-part1", "../../sda1");
	check_link("disk/azure/resource", "../../sdb");
	check_link("disk/azure/data/by-lun/10", "../../../../sdc");
	check_link("disk/azure/data/by-lun/10-part1", "../../../../sdc1");
	check_link("disk/azure/data/by-lun/3", "");
	check_link("disk/azure/data/by-lun/11", "");
	shell("rm %s/sdc %s/sdc1", dev, dev);
	links_remove(dev, "sdc");
	links_remove(dev, "sdc1");
	check_link("disk/azure/data/by-lun/10", "");
	check_link("disk/azure/data/by-lun/10-part1", "");
	check_link("disk/azure/os", "../../sda");
	remove_root();
}

TEST(and_so_have_its_nvme_namespaces)
{
#define NVME "echo 'MSFT NVMe Accelerator v1.0              ' > model && echo %d > ../nsid"
	char attributes[200];

	new_root();
	for (int nsid = 1; nsid <= 12; nsid += 11) {
		char name[24], part[24];

		snprintf(name, sizeof(name), "nvme0n%d", nsid);
		snprintf(part, sizeof(part), "nvme0n%dp1", nsid);
		snprintf(attributes, sizeof(attributes), NVME, nsid);
		add_disk("../../devices/pci0001:00/nvme/nvme0", name, part, attributes);
		links_make(sys, dev, name);
		links_make(sys, dev, part);
	}
	add_disk("../../devices/pci0002:00/nvme/nvme1", "nvme1n2", "nvme1n2p1", "echo other > model && echo 2 > ../nsid");
	links_make(sys, dev, "nvme1n2");
	check_link("disk/azure/os", "../../nvme0n1");
	check_link("disk/azure/os-part1", "../../nvme0n1p1");
	check_link("disk/azure/data/by-lun/10", "../../../../nvme0n12");
	check_link("disk/azure/data/by-lun/10-part1", "../../../../nvme0n12p1");
	check_link("disk/azure/data/by-lun/0", "");
	remove_root();
}

TEST(names_of_no_device_and_what_others_put_there_are_left_alone)
{
	new_root();
	add_clock("ptp1", "hyperv");
	shell("echo mine > %s/ptp_hyperv", dev);
	links_make(sys, dev, "ptp1");
	links_make(sys, dev, "ptp9");
	links_make(sys, dev, "sdz");
	links_make(sys, dev, "nvme0");
	links_make(sys, dev, "tty1");
	links_remove(dev, "ptp1");
	shell("grep -q mine %s/ptp_hyperv && [ $(ls %s | wc -l) = 2 ]", dev, dev);
	remove_root();
}
