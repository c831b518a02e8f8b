/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a uevent: what is accepted has its three obligatory strings, each inside the message.
 */
/* links: disk stages/lib */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stages/disk/uevent.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void inside(const char *text, const char *message, size_t size)
{
	if (text && (text < message || text + strlen(text) >= message + size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct uevent event = {0};
	char *message = malloc(size ? size : 1);

	if (!message)
		return 0;
	memcpy(message, bytes, size);
	if (uevent_parse(message, size, &event) == 0) {
		if (!event.action || !event.devpath || !event.subsystem)
			abort();
		inside(event.action, message, size);
		inside(event.devpath, message, size);
		inside(event.subsystem, message, size);
		inside(event.devtype, message, size);
		inside(event.devname, message, size);
	}
	free(message);
	return 0;
}
