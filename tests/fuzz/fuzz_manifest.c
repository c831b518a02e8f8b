/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the text of a manifest: what is accepted is exactly what would be written again, and its paths stay
 * inside the directory. The same bytes as the name of the newest snapshot: one word without a slash.
 */
/* links: snapshot stages/lib */
/* libs: mbedtls */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stages/snapshot/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char reason[S3_ERROR_MAX], name[MANIFEST_NAME_MAX + 1], *text;
	struct manifest m;
	size_t text_size;
	const char *why;

	if (!manifest_parse_latest((const char *)bytes, size, name) && (!*name || strpbrk(name, "/ \\%") || *name == '.'))
		abort();
	if (manifest_parse(bytes, size, &m, reason))
		return 0;
	if (manifest_format(&m, &text, &text_size) || text_size != size || memcmp(text, bytes, size))
		abort();
	for (size_t i = 0; i < m.count; i++)
		if (manifest_judge_path(m.files[i].path, &why) != MANIFEST_WANTED || strstr(m.files[i].path, "/../") ||
		    !strncmp(m.files[i].path, "../", 3))
			abort();
	free(text);
	manifest_free(&m);
	return 0;
}
