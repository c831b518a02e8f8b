/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Uevents: real messages are taken apart, everything else is refused. The socket itself is the kernel's; the boot
 * tests attach disks for it.
 */
/* links: disk stages/lib */
#include "stages/disk/uevent.h"
#include "test.h"

#define PARSE(text, ret) uevent_parse(text, sizeof(text), ret)	/* with the literal's NUL */

TEST(disk_that_was_added_is_read)
{
	struct uevent event;

	CHECK_INT(PARSE("add@/devices/pci0000:00/0000:00:03.0/virtio0/host0/target0:0:0/0:0:0:10/block/sda\0"
			"ACTION=add\0DEVPATH=/devices/pci0000:00/block/sda\0SUBSYSTEM=block\0MAJOR=8\0MINOR=0\0"
			"DEVNAME=sda\0DEVTYPE=disk\0SEQNUM=1234", &event), 0);
	CHECK_STR(event.action, "add");
	CHECK_STR(event.devpath, "/devices/pci0000:00/block/sda");
	CHECK_STR(event.subsystem, "block");
	CHECK_STR(event.devname, "sda");
	CHECK_STR(event.devtype, "disk");
}

TEST(event_without_a_device_has_no_name)
{
	struct uevent event;

	CHECK_INT(PARSE("change@/module/x\0ACTION=change\0DEVPATH=/module/x\0SUBSYSTEM=module", &event), 0);
	CHECK(!event.devname && !event.devtype);
}

TEST(anything_else_is_refused_and_leaves_the_result_alone)
{
	struct uevent event = {.action = "untouched"};

	CHECK_INT(uevent_parse("", 0, &event), -EBADMSG);
	CHECK_INT(uevent_parse("", 1, &event), -EBADMSG);
	CHECK_INT(uevent_parse("add@/x", 6, &event), -EBADMSG);		/* no NUL at the end */
	CHECK_INT(PARSE("libudev\0\xfe\xed\xca\xfe", &event), -EBADMSG);
	CHECK_INT(PARSE("@/devices/x\0ACTION=add\0DEVPATH=/x\0SUBSYSTEM=block", &event), -EBADMSG);
	CHECK_INT(PARSE("add@devices\0ACTION=add\0DEVPATH=/x\0SUBSYSTEM=block", &event), -EBADMSG);
	CHECK_INT(PARSE("add@/devices/x\0ACTION=add\0DEVPATH=/x", &event), -EBADMSG);
	CHECK_STR(event.action, "untouched");
}

TEST(subscription_works_and_is_silent_at_first)
{
	char buffer[UEVENT_SIZE_MAX];
	struct uevent event;
	int fd, r = uevent_open(&fd);

	if (r == -EPERM || r == -EPROTONOSUPPORT)
		SKIP("no uevent sockets here");
	CHECK_INT(r, 0);
	CHECK(uevent_receive(fd, buffer, &event) >= 0);
	close(fd);
}
