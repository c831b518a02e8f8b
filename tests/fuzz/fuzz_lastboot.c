/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the persistent log in which the logger looks for the end of the boot before: whatever comes of it are
 * valid fields of an event, the same in PID 1, and they say that the boot ended in order only where a line says so.
 */
/* links: log show event init/lib */
/* libs: json-c */
#include <string.h>
#include <sys/mman.h>

#include "fake_loop.h"
#include "init/event/event.h"
#include "init/log/lastboot.h"
#include "target.h"

static size_t fields_of(int fd, size_t size, char *fields)
{
	static struct lastboot last;
	static struct log_lines lines;
	struct log_boot boot;
	const char *line;
	size_t n;

	last = (struct lastboot){.running = "running"};
	log_lines_begin(&lines, fd, (int64_t)size);
	while (log_lines_next(&lines, &line, &n) > 0) {
		if (log_line_boot(&boot, line, n) == 0)
			lastboot_boot(&last, &boot);
		else
			lastboot_line(&last, line, n);
	}
	return lastboot_fields(&last, fields, EVENT_FIELDS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static int fd = -1;
	char fields[EVENT_FIELDS_MAX], clean[EVENT_FIELDS_MAX];
	size_t n;

	if (fd < 0)
		fd = memfd_create("log", MFD_CLOEXEC);
	must(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size, "the log");
	n = fields_of(fd, size, fields);
	must(n <= sizeof(fields) && (!n || !fields[n - 1]), "fields end");
	for (size_t at = 0; at < n; at += strlen(fields + at) + 1)
		must(event_is_field(fields + at, strlen(fields + at)), "a field");
	must(event_clean_fields(clean, sizeof(clean), fields, n) == n && !memcmp(clean, fields, n), "PID 1 keeps them as they are");
	must(!n || !strcmp(fields, "in_order=true") || !strcmp(fields, "in_order=false"), "whether it ended in order comes first");
	if (n && !strcmp(fields, "in_order=true"))
		must(memmem(bytes, size, "\"text\":\"down\"", 13), "a line says so");
	return 0;
}
