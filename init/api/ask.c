/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements ask.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gantry/event.h>

#include "answers.h"
#include "ask.h"
#include "init/show/status.h"
#include "pid1.h"

static void posted(void *with, int result)
{
	struct request *request = with;

	request->result = result;
	request_resume(request);
}

enum MHD_Result answer_new_event(struct request *request)
{
	size_t size;
	const char *message;

	if (request->asked)
		return request->result == -EDQUOT ? respond_error(request, MHD_HTTP_TOO_MANY_REQUESTS,
								  "Too many new events, try again later") :
		       request->result < 0 ? respond_unavailable(request) :
		       respond(request, MHD_HTTP_OK, NULL, MHD_create_response_empty(MHD_RF_NONE));
	message = request_argument(request, "message", &size);
	if (pid1_post(EVENT_INFO, true, message, size, posted, request) < 0)
		return respond_unavailable(request);
	return request_suspend(request);
}

static void collected(void *with, const struct status *status)
{
	struct request *request = with;

	request->result = -EIO;
	if (status) {
		request->text = (struct text)TEXT_GROWING(request->status_room);
		request->status_write(&request->text, status);
		request->result = request->text.cut ? -ENOMEM : 0;
	}
	request_resume(request);
}

bool ask_status(struct request *request, size_t room, void (*write)(struct text *t, const struct status *status),
		enum MHD_Result *ret)
{
	if (request->asked && request->result >= 0)
		return true;
	request->status_room = room;
	request->status_write = write;
	*ret = request->asked || pid1_status(collected, request) < 0 ? respond_unavailable(request) :
	       request_suspend(request);
	return false;
}

enum MHD_Result answer_status(struct request *request)
{
	enum MHD_Result result;

	if (!ask_status(request, STATUS_JSON_MAX, status_json, &result))
		return result;
	return respond_text(request, MHD_HTTP_OK, TYPE_JSON);
}
