/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements dm.h with libdevmapper; libdevmapper makes the nodes below /dev/mapper, since there is no udev. */
#define _GNU_SOURCE
#include "dm.h"

#include <errno.h>
#include <stdio.h>

#include <libdevmapper.h>

static void ignore(int level, const char *file, int line, int error, const char *fmt, ...)
{
	(void)level, (void)file, (void)line, (void)error, (void)fmt;
}

void dm_be_quiet(void)
{
	dm_log_with_errno_init(ignore);
}

bool dm_do(int type, const char *name)
{
	struct dm_task *task = dm_task_create(type);
	bool done = task && dm_task_set_name(task, name) && dm_task_run(task);

	if (task)
		dm_task_destroy(task);
	dm_task_update_nodes();
	return done;
}

int dm_find(const char *name, char *ret, size_t size)
{
	struct dm_task *task = dm_task_create(DM_DEVICE_INFO);
	struct dm_info info;
	const char *uuid;
	int r = -EIO;

	if (task && dm_task_set_name(task, name) && dm_task_run(task) && dm_task_get_info(task, &info)) {
		uuid = dm_task_get_uuid(task);
		r = info.exists;
		if (info.exists)
			snprintf(ret, size, "%s", uuid ? uuid : "");
	}
	if (task)
		dm_task_destroy(task);
	return r;
}
