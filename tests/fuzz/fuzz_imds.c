/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the answer of Azure's metadata service, with this file in place of the transfer. The first byte chooses:
 * 'q', the rest is a quote, which is put into a well-formed answer; otherwise the rest is the answer's body. What is taken
 * is a quote of this report, and the one that json-c finds in the answer.
 */
/* links: cloud stages/lib init/lib */
/* libs: json-c expat */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "init/lib/base64.h"
#include "stages/cloud/imds.h"
#include "stages/lib/http.h"
#include "target.h"

static char *body;
static size_t body_size;

int http_perform(const struct http_request *request, struct http_response *ret)
{
	must(!strncmp(request->url, "http://169.254.169.254/", 23) && request->maximum_bytes > 0, "a bounded request");
	must(body_size <= request->maximum_bytes, "the body's size");
	*ret = (struct http_response){.status = 200, .body = malloc(body_size + 1), .body_size = body_size};
	memcpy(ret->body, body, body_size + 1);
	return 0;
}

void http_response_free(struct http_response *response)
{
	free(response->body);
	*response = (struct http_response){0};
}

static void make_body(const uint8_t *bytes, size_t size, bool quote)
{
	body = malloc(quote ? BASE64_SIZE(size) + 16 : size + 1);
	if (!quote) {
		memcpy(body, bytes, size);
		body[size] = '\0';
		body_size = size;
		return;
	}
	strcpy(body, "{\"quote\":\"");
	(void)base64_encode(bytes, size, true, body + strlen(body));
	strcat(body, "\"}");
	body_size = strlen(body);
}

static bool matches(const uint8_t *quote, size_t size, const uint8_t *report)
{
	return tdx_quote_valid(quote, size) &&
	       !memcmp(tdx_quote_reportdata(quote), report + TDX_REPORTDATA_AT, TDX_REPORTDATA_SIZE);
}

static void check_same(const uint8_t *quote, size_t size)
{
	struct json_object *answer = json_tokener_parse(body), *text = json_object_object_get(answer, "quote");
	char *again = malloc(BASE64_SIZE(size));
	size_t n;

	(void)base64_encode(quote, size, true, again);
	n = strlen(again);
	must(json_object_is_type(text, json_type_string), "json-c finds a quote");
	must(!strncmp(json_object_get_string(text), again, n) &&
	     strspn(json_object_get_string(text) + n, "=") == strlen(json_object_get_string(text) + n), "the same quote");
	free(again);
	json_object_put(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const uint8_t report[TDX_REPORT_SIZE];
	struct input input = {bytes, size};
	bool quote = input_byte(&input) == 'q';
	uint8_t *got = NULL;
	size_t n = 0;
	char error[200] = "";
	int r;

	make_body(input.bytes, input.size, quote);
	r = imds_get_quote(report, &got, &n, error, sizeof(error));
	if (r == 0) {
		must(n <= TDX_QUOTE_MAX && matches(got, n, report), "a quote of this report");
		check_same(got, n);
		must(!quote || (n == input.size && !memcmp(got, input.bytes, n)), "every byte of it");
		free(got);
	} else {
		must(error[0] && memchr(error, 0, sizeof(error)), "a reason");
		must(!quote || !matches(input.bytes, input.size, report), "a good quote is taken");
	}
	free(body);
	return 0;
}
