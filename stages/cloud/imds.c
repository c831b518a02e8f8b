/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One POST. The Content-Type must be exactly application/json: with a charset behind it the service answers 415.
 */
#define _GNU_SOURCE
#include "imds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stages/lib/base64.h"
#include "stages/lib/document.h"
#include "stages/lib/http.h"

#define URL        "http://169.254.169.254/acc/tdquote"
#define TIMEOUT_MS 30000

static int parse_answer(const struct http_response *response, uint8_t **ret, size_t *ret_size, char *error,
			size_t error_size)
{
	struct json_object *document = NULL, *text = NULL;
	char *bytes = NULL;
	size_t size = 0;
	int r;

	r = document_parse(response->body, response->body_size, &document, error, error_size);
	if (r < 0)
		return r;
	r = -EBADMSG;
	snprintf(error, error_size, "the answer holds no quote");
	if (json_object_object_get_ex(document, "quote", &text) && json_object_is_type(text, json_type_string))
		r = base64_decode(json_object_get_string(text), (size_t)json_object_get_string_len(text), true, &bytes,
				  &size);
	json_object_put(document);
	if (r < 0)
		return r;
	if (!tdx_quote_valid(bytes, size)) {
		free(bytes);
		return -EBADMSG;
	}
	*ret = (uint8_t *)bytes;
	*ret_size = size;
	return 0;
}

int imds_get_quote(const uint8_t report[TDX_REPORT_SIZE], uint8_t **ret, size_t *ret_size, char *error,
		   size_t error_size)
{
	char body[BASE64_SIZE(TDX_REPORT_SIZE) + 32], text[BASE64_SIZE(TDX_REPORT_SIZE)];
	const char *headers[] = {"Metadata: true", "Content-Type: application/json", NULL};
	struct http_request request = {
		.method = "POST",
		.url = URL,
		.headers = headers,
		.body = body,
		.timeout_ms = TIMEOUT_MS,
		.maximum_bytes = 4 * TDX_QUOTE_MAX,
	};
	struct http_response response = {0};
	int r;

	(void)base64_encode(report, TDX_REPORT_SIZE, true, text);
	request.body_size = (size_t)snprintf(body, sizeof(body), "{\"report\":\"%s\"}", text);
	r = http_perform(&request, &response);
	if (r < 0) {
		snprintf(error, error_size, "%s", response.error);
	} else if (response.status != 200) {
		snprintf(error, error_size, "answered %ld", response.status);
		r = -EIO;
	} else {
		r = parse_answer(&response, ret, ret_size, error, error_size);
	}
	http_response_free(&response);
	if (r == 0 && memcmp(tdx_quote_reportdata(*ret), report + TDX_REPORTDATA_AT, TDX_REPORTDATA_SIZE) != 0) {
		snprintf(error, error_size, "the quote is not about this report");
		free(*ret);
		r = -EBADMSG;
	}
	return r;
}
