/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as an environment file: names that are names, values within the text, no name twice, or a reason. */
/* links: init/lib */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "init/launch/envfile.c"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct envfile file;
	char reason[128] = "", *text;

	if (size > ENVFILE_SIZE_MAX)
		return 0;
	text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, bytes, size);
	if (envfile_parse(text, size, &file, reason, sizeof(reason)) < 0) {
		if (reason[0] != ':')
			abort();
		file.n = 0;
	}
	for (size_t i = 0; i < file.n; i++) {
		const char *name = file.variables[i].name, *value = file.variables[i].value;

		if (!is_name(name, strlen(name)) || envfile_find(&file, name) != value || strchr(value, '\n') ||
		    value < text || value + strlen(value) > text + size)
			abort();
	}
	free(text);
	return 0;
}
