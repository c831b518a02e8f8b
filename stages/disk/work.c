/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements work.h: facts, reasons and results of the stage, each in one form wherever the stage ends. */
#define _GNU_SOURCE
#include "work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "luksdevice.h"
#include "stages/lib/report.h"

void work_tell_found(const struct work *w)
{
	report_fact("device", "%s", w->disk.path);
	report_fact("size_bytes", "%" PRIu64, w->disk.size);
	report_fact("rule", "%s", w->rule_text);
	if (w->disk.model[0])
		report_fact("model", "%s", w->disk.model);
	if (w->disk.serial[0])
		report_fact("serial", "%s", w->disk.serial);
}

void work_tell_volume(const char *uuid, const char *opened_by, bool formatted)
{
	report_fact("luks_uuid", "%s", uuid);
	report_fact("opened_by", "%s", opened_by);
	report_fact("formatted", "%s", formatted ? "true" : "false");
}

const char *work_text(const struct work *w, char text[FIND_WHY_MAX + DISK_NAME_MAX + 4])
{
	snprintf(text, FIND_WHY_MAX + DISK_NAME_MAX + 4, "%s (%s)", w->disk.name, w->rule_text);
	return text;
}

void work_add_reason(struct work *w, const struct key_source *source, int error, const char *why)
{
	size_t used = strlen(w->reasons);

	snprintf(w->reasons + used, sizeof(w->reasons) - used, "%s%s: %s", used ? "; " : "", source->name, why);
	w->worth_retry |= key_error_may_pass(error);
	report_event(EVENT_WARNING, "key source %s: %s", source->name, why);
}

int work_leave(const struct work *w, const char *why)
{
	char text[FIND_WHY_MAX + DISK_NAME_MAX + 4];

	report_result("%s left untouched: %s", work_text(w, text), why);
	return w->worth_retry ? STAGE_AGAIN : STAGE_NEVER;
}

int work_give_up(const struct work *w, int result, const char *why)
{
	char text[FIND_WHY_MAX + DISK_NAME_MAX + 4];

	(void)luks_deactivate(w->name);
	report_result("%s: %s", work_text(w, text), why);
	return result;
}
