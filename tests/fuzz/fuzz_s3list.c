/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as an answer to a list, and as an error document: what is handed over keeps its bounds, and a manifest
 * made of it comes back from its own text.
 */
/* links: snapshot stages/lib */
/* libs: expat mbedtls */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stages/snapshot/manifest.h"
#include "stages/snapshot/s3xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char reason[S3_ERROR_MAX];

static int each(void *context, const struct s3_object *object)
{
	if (strncmp(object->key, "p/", 2) || strlen(object->key) > S3_KEY_MAX || object->size > S3_SIZE_MAX)
		abort();
	if (strlen(object->etag) < 3 || strlen(object->etag) > S3_ETAG_MAX || strpbrk(object->etag, "\r\n "))
		abort();
	(void)manifest_add(context, object->key + 2, object->etag, object->size, reason);
	return 0;
}

static void check_round(struct manifest *m)
{
	struct manifest again;
	char *text;
	size_t size;

	if (manifest_format(m, &text, &size))
		abort();
	if (manifest_parse(text, size, &again, reason) || memcmp(again.hash, m->hash, MANIFEST_HASH_SIZE))
		abort();
	for (size_t i = 0; i < again.count; i++)
		if (again.files[i].path[0] == '/' || strstr(again.files[i].path, "//"))
			abort();
	manifest_free(&again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char code[64], message[160];
	struct s3xml_page page;
	struct manifest m;

	if (manifest_init(&m, "n", "p/"))
		abort();
	if (!s3xml_page(bytes, size, "p/", each, &m, &page, reason) && page.truncated != (page.token[0] != '\0'))
		abort();
	if (!manifest_seal(&m, reason))
		check_round(&m);
	manifest_free(&m);
	if (s3xml_error(bytes, size, code, message))
		for (const char *p = message; *p; p++)
			if (*p < ' ' || *p > '~')
				abort();
	return 0;
}
