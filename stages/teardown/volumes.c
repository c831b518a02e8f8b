/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device-mapper half of the teardown. A suspended device is resumed first, since everything above it would wait
 * for it for ever; in the end all are removed, newest first, and one that cannot be gets a table of errors in place of
 * its cipher: the key goes with the old table.
 */
#define _GNU_SOURCE
#include "volumes.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <libdevmapper.h>

#include "stages/lib/backoff.h"
#include "stages/lib/dm.h"
#include "stages/lib/report.h"
#include "within.h"

#define DEVICES_MAX 128
#define CALL_MS     1500	/* for one call on one device */
#define NAME_SIZE   132		/* DM_NAME_LEN and its end */

struct names {
	char list[DEVICES_MAX][NAME_SIZE];	/* oldest first */
	size_t n;
};

static void list_names(struct names *ret)
{
	struct dm_task *task = dm_task_create(DM_DEVICE_LIST);
	struct dm_names *names;

	ret->n = 0;
	if (task && dm_task_run(task) && (names = dm_task_get_names(task)) && names->dev) {
		for (;;) {
			if (ret->n < DEVICES_MAX)
				snprintf(ret->list[ret->n++], NAME_SIZE, "%s", names->name);
			if (!names->next)
				break;
			names = (struct dm_names *)((char *)names + names->next);
		}
	}
	if (task)
		dm_task_destroy(task);
}

static bool present(void)
{
	if (access("/dev/mapper/control", F_OK) < 0)
		return false;
	dm_be_quiet();
	return true;
}

/* -EALREADY: it was not suspended. */
static int resume(const void *name)
{
	struct dm_task *task = dm_task_create(DM_DEVICE_INFO);
	struct dm_info info = {0};
	bool suspended = task && dm_task_set_name(task, name) && dm_task_run(task) && dm_task_get_info(task, &info) &&
			 info.exists && info.suspended;

	if (task)
		dm_task_destroy(task);
	if (!suspended)
		return -EALREADY;
	return dm_do(DM_DEVICE_RESUME, name) ? 0 : -EIO;
}

void volumes_resume(void)
{
	static struct names names;

	if (!present())
		return;
	list_names(&names);
	for (size_t i = 0; i < names.n && within_left_ms() > 0; i++) {
		int r = within(resume, names.list[i], CALL_MS);

		if (r == 0)
			report_event(EVENT_WARNING, "volume %s was suspended: resumed", names.list[i]);
		else if (r != -EALREADY)
			report_event(EVENT_ERROR, "volume %s is suspended and cannot be resumed", names.list[i]);
	}
}

/* An open device cannot be removed, but its table can be replaced; the old one, with the key, is then destroyed. */
static int replace_by_errors(const void *name)
{
	struct dm_task *info = dm_task_create(DM_DEVICE_TABLE), *load = dm_task_create(DM_DEVICE_RELOAD);
	uint64_t start = 0, length = 0, size = 0;
	char *target = NULL, *parameters = NULL;
	void *next = NULL;
	bool done = false;

	if (info && load && dm_task_set_name(info, name) && dm_task_run(info)) {
		do {
			next = dm_get_next_target(info, next, &start, &length, &target, &parameters);
			size = start + length;
		} while (next);
		/* Without flushing: a dead disk accepts no more writes. */
		done = size && dm_task_set_name(load, name) && dm_task_add_target(load, 0, size, "error", "") &&
		       dm_task_no_flush(load) && dm_task_skip_lockfs(load) && dm_task_run(load) &&
		       dm_do(DM_DEVICE_RESUME, name);
	}
	if (info)
		dm_task_destroy(info);
	if (load)
		dm_task_destroy(load);
	return done ? 0 : -EIO;
}

static int remove_device(const void *name)
{
	return dm_do(DM_DEVICE_REMOVE, name) ? 0 : -EBUSY;
}

static bool close_device(const char *name)
{
	int64_t until = time_now_ms() + WITHIN_BUSY_MS;
	int r;

	while ((r = within(remove_device, name, CALL_MS)) == -EBUSY && time_now_ms() < until && within_left_ms() > 0)
		time_wait_ms(WITHIN_AGAIN_MS);
	if (r == 0) {
		report_event(EVENT_INFO, "closed volume %s", name);
		return true;
	}
	if (within(replace_by_errors, name, CALL_MS) == 0)
		report_event(EVENT_WARNING, "volume %s is still busy: its key was removed", name);
	else
		report_event(EVENT_ERROR, "volume %s cannot be closed", name);
	return false;
}

bool volumes_close(void)
{
	static struct names names;
	bool all = true;

	if (!present())
		return true;
	list_names(&names);
	while (names.n--)	/* a volume made on top of another comes later in the list */
		all &= close_device(names.list[names.n]);
	return all;
}
