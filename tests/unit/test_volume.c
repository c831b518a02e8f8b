/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file system that the kernel makes read-only after the boot: a real ext4 on a loop device, with PID 1's loop and plan. */
/* links: init/pid1/volume.c plan init/lib */
#define _GNU_SOURCE
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>

#include <gantry/stage.h>

#include "init/event/event.h"
#include "init/pid1/volume.h"
#include "loop_until.h"
#include "plan_fixture.h"

static char said[400];

void event_say(enum event_level level, const char *source, const char *fmt, ...)
{
	va_list arguments;

	(void)level, (void)source;
	va_start(arguments, fmt);
	vsnprintf(said, sizeof(said), fmt, arguments);
	va_end(arguments);
}

static const struct stage_option options[] = {
	{"name", OPTION_STRING, .required = false},
	{"mount", OPTION_STRING, .names = OPTION_NAMES_MOUNT, .fallback = "/persistent"},
	{0},
};
static const struct stage with_mount = {.type = "disk", .options = options}, without = {.type = "net", .options = options + 2};
static char folder[] = "/tmp/test-volume-XXXXXX", mount_point[64], device[32], *points[1] = {mount_point};
static struct fixture *f;

static void shell(const char *command)
{
	char line[500];

	snprintf(line, sizeof(line), "PATH=$PATH:/sbin:/usr/sbin; cd %s; D=%s; { %s; } >/dev/null 2>&1", folder, device, command);
	CHECK_INT(system(line), 0);
}

static void end_stage(size_t index)
{
	const struct process_exit how = {.status = STAGE_DONE};

	plan_step(&f->plan, f->now);
	plan_ended(&f->plan, index, &how, f->now);
	volume_done(index);
}

/* Node 0 is another stage, node 1 has mounted the file system, node 2 is a service that needs it and is ready. */
static void boot(void)
{
	FILE *file;
	char name[64];

	if (geteuid() != 0)
		SKIP("needs root");
	CHECK_INT(unshare(CLONE_NEWNS), 0);
	CHECK_INT(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	CHECK(mkdtemp(folder) != NULL);
	snprintf(mount_point, sizeof(mount_point), "%s/mount", folder);
	shell("truncate -s 32M file; mke2fs -q -F -t ext4 file; mkdir mount; losetup -f --show file >device || true");
	snprintf(name, sizeof(name), "%s/device", folder);
	file = fopen(name, "re");
	if (!file || !fgets(device, sizeof(device), file))
		SKIP("needs a loop device");
	fclose(file);
	device[strcspn(device, "\n")] = '\0';
	shell("mount -o errors=remount-ro $D mount && losetup -d $D");	/* it goes with the mount, also if this process is killed */
	f = make();
	add(f, "net", NODE_STAGE)->stage = &without;
	add(f, "disk", NODE_STAGE)->stage = &with_mount;
	needs(add(f, "reth", NODE_SERVICE), 1);
	f->config.mounts = points;
	f->config.n_mounts = 1;
	CHECK_INT(plan_init(&f->plan, &f->config), 0);
	CHECK_INT(loop_init(), 0);
	CHECK_INT(volume_init(&f->config, &f->plan), 0);
	end_stage(0);
	end_stage(1);
	plan_step(&f->plan, f->now);
	plan_ready(&f->plan, 2, f->now);
	plan_step(&f->plan, f->now);
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	CHECK_STR(said, "");
}

static void put_away(void)
{
	shell("umount -l mount; rm -rf file device mount");
	rmdir(folder);
}

static bool is_lost(void)
{
	return f->plan.nodes[1].state == NODE_FAILED;
}

TEST(errors_that_the_kernel_finds_after_the_boot_fail_the_stage_and_hold_the_boot)
{
	boot();
	CHECK(!loop_until_ms(is_lost, 100));
	shell("echo broken >/sys/fs/ext4/${D##*/}/trigger_fs_error");
	CHECK(loop_until(is_lost));
	CHECK(strstr(f->plan.nodes[1].reason, "/mount: the kernel found an error in the file system (structure needs "
					      "cleaning) and made it read-only; start the machine again"));
	plan_step(&f->plan, f->now);
	CHECK_INT(f->plan.state, BOOT_HELD);
	CHECK(strncmp(f->plan.reason, "disk: /tmp/", 11) == 0);
	CHECK_INT(f->plan.nodes[2].state, NODE_READY);
	/* Told once. */
	shell("echo broken >/sys/fs/ext4/${D##*/}/trigger_fs_error");
	CHECK(!loop_until_ms(NULL, 100));
	put_away();
}

TEST(file_system_that_is_unmounted_is_no_longer_watched)
{
	boot();
	shell("umount mount");
	CHECK(!loop_until_ms(is_lost, 300));
	CHECK_INT(f->plan.state, BOOT_BOOTED);
	put_away();
}

TEST(mount_point_without_a_mount_is_told)
{
	boot();
	shell("umount mount");
	volume_done(1);
	CHECK(strstr(said, "/mount: errors of its file system are not watched: "));
	CHECK(!is_lost());
	put_away();
}
