/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A template, then a NUL, then the document it is rendered with. A partial of any name is the template itself.
 */
/* links: stages/config stages/lib init/lib */
/* libs: json-c */
#include <stdlib.h>
#include <string.h>

#include <stdint.h>

#include "stages/lib/document.h"
#include "stages/config/template.h"

static int partial(void *context, const char *name, char **ret_text, size_t *ret_size)
{
	const struct template_request *request = context;

	if (name[0] != 'p')
		return 0;
	*ret_text = malloc(request->size + 1);
	if (!*ret_text)
		return -12;
	memcpy(*ret_text, request->text, request->size);
	*ret_size = request->size;
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const uint8_t *nul = size ? memchr(bytes, 0, size) : NULL;
	struct template_request request = {.name = "t", .text = (const char *)bytes, .partial = partial};
	struct template_output out = {0};
	struct template_error error = {0};
	char text[512];

	if (size > 4096)
		return 0;
	request.size = nul ? (size_t)(nul - bytes) : size;
	request.context = &request;
	request.values = TEMPLATE_PRINTABLE;
	if (nul)
		(void)document_parse(nul + 1, size - request.size - 1, &request.document, text, sizeof(text));
	if (template_render(&request, &out, &error) < 0) {
		template_error_format(&error, text, sizeof(text));
		if (!error.reason[0] || !error.template[0])
			abort();
	}
	template_release(&out);
	json_object_put(request.document);
	return 0;
}
