/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hub's document, or anybody's: what is taken must also be a tree that renders and decodes without harm.
 */
/* links: stages/lib stages/config init/lib */
/* libs: json-c */
/* libs: json-c mbedtls */
#include <stdlib.h>
#include <string.h>

#include <stdint.h>

#include "stages/config/decodeview.h"
#include "stages/lib/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct json_object *document = NULL, *view = NULL;
	char error[200] = "";

	if (document_parse(bytes, size, &document, error, sizeof(error)) < 0) {
		if (!error[0] || document)
			abort();
		return 0;
	}
	if (!json_object_is_type(document, json_type_object))
		abort();
	if (decode_view(document, &view, error, sizeof(error)) == 0)
		json_object_put(view);
	json_object_put(document);
	return 0;
}
