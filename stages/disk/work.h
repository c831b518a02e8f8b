/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One run of the stage `disk`: its options and what it has found out so far. disk.c decides, wait.c waits for the disk,
 * open.c opens a volume and gives it keyslots, format.c makes one, finish.c closes the keys and mounts, settle.c does
 * what a mounted volume needs. A function that ends the stage has reported the result and returns it.
 */
#ifndef STAGES_DISK_WORK_H
#define STAGES_DISK_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gantry/stage.h>

#include "blank.h"
#include "ext4.h"
#include "find.h"
#include "key.h"
#include "luks.h"

#define DISK_REASON_MAX 640
#define DISK_WHY_MAX    256

_Static_assert(DISK_WHY_MAX >= LUKS_WHY_MAX && DISK_WHY_MAX >= EXT4_WHY_MAX && DISK_WHY_MAX >= KEY_WHY_MAX &&
	       DISK_WHY_MAX >= BLANK_WHY_MAX && DISK_WHY_MAX >= FIND_WHY_MAX, "one buffer for all");

struct work {
	struct stage_context *context;
	struct find_rule rule;
	char rule_text[FIND_WHY_MAX];	/* "lun 10" */
	const char *name, *mount;	/* of the volume; where it goes */
	bool may_format, use_intent;
	const char *force_serial, *force_uuid;
	int64_t wait_ms;		/* 0: for ever */
	struct key_place place;
	const struct key_source *keys[KEY_SOURCES_MAX], *enroll[KEY_SOURCES_MAX];
	size_t n_keys, n_enroll;	/* without `enroll`: 0 */
	struct ext4_options ext4;

	char device[80];		/* /dev/mapper/NAME */
	struct disk disk;
	int fd;				/* of the disk, read-only; keeps its number from being used again */
	char reasons[DISK_REASON_MAX];	/* why each source could not help */
	bool worth_retry;		/* whether one of them may another time */
	int64_t started_ms;
};

void work_tell_found(const struct work *w);		/* facts of w->disk */
void work_tell_volume(const char *uuid, const char *opened_by, bool formatted);
const char *work_text(const struct work *w, char text[FIND_WHY_MAX + DISK_NAME_MAX + 4]);	/* "sda (lun 10)" */
void work_add_reason(struct work *w, const struct key_source *source, int error, const char *why);
int work_leave(const struct work *w, const char *why);			/* ends the stage with the disk as it is */
int work_give_up(const struct work *w, int result, const char *why);	/* closes the volume again */

#endif
