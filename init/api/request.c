/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements request.h. Every response goes through respond(), which adds the headers that all of them have. */
#include <stdlib.h>
#include <string.h>

#include "filter.h"
#include "request.h"

struct taking {
	struct filter *filter;
	struct text words;	/* the error message */
};

static bool resumed;

enum MHD_Result respond(struct request *request, unsigned code, const char *type, struct MHD_Response *response)
{
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	if (type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	r = MHD_queue_response(request->connection, code, response);
	MHD_destroy_response(response);
	return r;
}

enum MHD_Result respond_constant(struct request *request, unsigned code, const char *type, const char *body)
{
	return respond(request, code, type, MHD_create_response_from_buffer_static(strlen(body), body));
}

enum MHD_Result respond_error(struct request *request, unsigned code, const char *message)
{
	char body[256];
	struct text t = TEXT_FIXED(body);

	text_printf(&t, "{\"code\":%u,\"message\":\"%s\"}\n", code, message);
	return respond(request, code, TYPE_JSON, MHD_create_response_from_buffer_copy(t.size, body));
}

struct MHD_Response *response_of_text(struct request *request)
{
	struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(
		request->text.size, request->text.bytes, free);

	if (response)
		request->text = (struct text){0};
	return response;
}

enum MHD_Result respond_text(struct request *request, unsigned code, const char *type)
{
	return respond(request, code, type, response_of_text(request));
}

enum MHD_Result respond_too_many(struct request *request)
{
	return respond_error(request, MHD_HTTP_TOO_MANY_REQUESTS, "Too many operations, try again later");
}

enum MHD_Result respond_unavailable(struct request *request)
{
	return respond_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Gantry's PID 1 is busy, try again");
}

enum MHD_Result respond_too_many_uploads(struct request *request)
{
	return respond_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Too many uploads, try again");
}

enum MHD_Result respond_locked(struct request *request)
{
	return respond_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Not before the disk is open");
}

const char *request_argument(struct request *request, const char *name, size_t *ret_size)
{
	const char *value = NULL;

	*ret_size = 0;
	if (MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value,
					  ret_size) != MHD_YES || !value)
		return "";
	return value;
}

static enum MHD_Result take_argument(void *with, enum MHD_ValueKind kind, const char *name, size_t name_size,
				     const char *value, size_t size)
{
	struct taking *taking = with;

	(void)kind;
	if (filter_argument(taking->filter, name, name_size, value, size) == 0)
		return MHD_YES;
	text_put(&taking->words, "Malformed argument: ");
	text_add(&taking->words, name, name_size);	/* one of the names that filter.c knows */
	return MHD_NO;
}

const char *request_filter(struct request *request, struct filter *ret)
{
	static char words[64];
	struct taking taking = {.filter = ret, .words = {.bytes = words, .room = sizeof(words) - 1}};

	*ret = (struct filter){0};
	MHD_get_connection_values_n(request->connection, MHD_GET_ARGUMENT_KIND, take_argument, &taking);
	words[taking.words.size] = '\0';
	return taking.words.size > 0 ? words : NULL;
}

int connection_fd(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

enum MHD_Result request_suspend(struct request *request)
{
	request->asked = true;
	MHD_suspend_connection(request->connection);
	return MHD_YES;
}

void request_resume(struct request *request)
{
	MHD_resume_connection(request->connection);
	resumed = true;
}

bool requests_resumed(void)
{
	bool was = resumed;

	resumed = false;
	return was;
}
