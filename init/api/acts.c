/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements acts.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mbedtls/platform_util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gantry/control.h>

#include "access.h"
#include "acts.h"
#include "answers.h"
#include "init/lib/eventtext.h"
#include "pid1.h"

#define SOURCE        "system-api"
#define WAITING_MAX   64
#define ENDED_MAX     64
#define ERROR_MAX     256
#define UNKNOWN_UPLOAD_MAX 65536	/* bytes that are read and thrown away */
#define SEALS         (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* A request that PID 1 has and that is not answered yet. The row stays if the client disconnects. */
struct waiting {
	bool used;
	struct request *request;	/* NULL: the client disconnected */
	int64_t id;			/* 0: PID 1 has not answered yet */
	int64_t result;			/* PID 1's negative errno */
	bool async;			/* answered when the act has begun, not when it has ended */
	bool ended, good;
	char error[ERROR_MAX];
};

/* How the latest acts ended: an act may be over before PID 1's answer to its request is read. */
struct ended {
	int64_t id;
	bool good;
	char error[ERROR_MAX];
};

static const struct api_options *options;
static struct waiting waitings[WAITING_MAX];
static struct ended ended[ENDED_MAX];
static size_t n_ended;

/* The client disconnected. */
static void forget(void *with)
{
	struct waiting *w = with;

	w->request = NULL;
	w->used = w->id == 0 && w->result == 0;	/* begun() will still come */
}

/* A row, kept by the request from now on; NULL: all are in use. */
static struct waiting *wait_for(struct request *request)
{
	for (size_t i = 0; i < WAITING_MAX; i++) {
		struct waiting *w = &waitings[i];

		if (w->used)
			continue;
		*w = (struct waiting){.used = true, .request = request};
		request->kept = w;
		request->release = forget;
		return w;
	}
	return NULL;
}

static void end(struct waiting *w, bool good, const char *error)
{
	w->ended = true;
	w->good = good;
	snprintf(w->error, sizeof(w->error), "%s", error);
	request_resume(w->request);
}

/* PID 1 has begun the act, or not. */
static void begun(void *with, int64_t result)
{
	struct waiting *w = with;

	if (!w->request) {
		w->used = false;
		return;
	}
	if (result <= 0) {
		w->result = result < 0 ? result : -EIO;
		request_resume(w->request);
		return;
	}
	w->id = result;
	if (w->async) {
		request_resume(w->request);
		return;
	}
	for (size_t i = 0; i < ENDED_MAX; i++)
		if (ended[i].id == w->id)
			end(w, ended[i].good, ended[i].error);
}

/* Called for each event. */
static void see(const struct event_view *e)
{
	const char *id = event_field(e, "id"), *result = event_field(e, "result"), *error = event_field(e, "error");
	struct ended *row;

	if (e->head.source_size != strlen(SOURCE) || memcmp(e->source, SOURCE, strlen(SOURCE)) ||
	    !id || !*id || !result || !*result)
		return;
	row = &ended[n_ended++ % ENDED_MAX];
	row->id = strtoll(id, NULL, 10);
	row->good = !strcmp(result, "success");
	snprintf(row->error, sizeof(row->error), "%s", error ? error : "");
	for (size_t i = 0; i < WAITING_MAX; i++) {
		struct waiting *w = &waitings[i];

		if (w->used && w->request && w->id == row->id && !w->async && !w->ended)
			end(w, row->good, row->error);
	}
}

/* Passes the request on to PID 1; the answer function is called again when the outcome is known. */
static enum MHD_Result begin(struct request *request, enum control_kind kind, const char *name, int fd, bool async)
{
	struct waiting *w = wait_for(request);

	if (!w)
		return respond_unavailable(request);
	w->async = async;
	if (pid1_act(kind, name, strlen(name), fd, begun, w) < 0) {
		w->result = -EBUSY;
		return respond_unavailable(request);
	}
	return request_suspend(request);
}

/* PID 1 has refused. `absent`: the message for a name that boot.json does not have. */
static enum MHD_Result respond_not_begun(struct request *request, int64_t result, const char *absent)
{
	if (result == -ENOENT)
		return respond_error(request, MHD_HTTP_BAD_REQUEST, absent);
	if (result == -ESHUTDOWN)
		return respond_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "The machine is stopping");
	if (result == -EDQUOT)
		return respond_too_many(request);
	return respond_unavailable(request);
}

static enum MHD_Result respond_accepted(struct request *request, int64_t id)
{
	request->text = (struct text)TEXT_GROWING(256);
	text_printf(&request->text, "{\"id\":\"%" PRId64 "\",\"message\":\"Action accepted\"}\n", id);
	return respond_text(request, MHD_HTTP_ACCEPTED, TYPE_JSON);
}

/* {"code":500,"message":"BEFORE: NAME - error: ERROR"} */
static enum MHD_Result respond_failed(struct request *request, const char *before, const char *name, const char *error)
{
	char message[512];
	struct text t = TEXT_FIXED(message);

	text_printf(&t, "%s%s%s%s%.*s", before, name ? ": " : "", name ? name : "", name ? " - error: " : "",
		    name ? ERROR_MAX : 0, error);
	free(request->text.bytes);	/* a password's */
	request->text = (struct text)TEXT_GROWING(4096);
	text_put(&request->text, "{\"code\":500,\"message\":");
	text_json(&request->text, message, t.size);
	text_put(&request->text, "}\n");
	return respond_text(request, MHD_HTTP_INTERNAL_SERVER_ERROR, TYPE_JSON);
}

/* ---- the routes ----------------------------------------------------------------------------------------------- */

static void put_names(struct text *t, const char *title, const char *first, size_t n, size_t stride)
{
	text_printf(t, "\"%s\":[", title);
	for (size_t i = 0; i < n; i++) {
		text_put(t, i > 0 ? ",{\"name\":" : "{\"name\":");
		text_json(t, first + i * stride, strlen(first + i * stride));
		text_put(t, "}");
	}
	text_put(t, "]");
}

enum MHD_Result answer_actions(struct request *request)
{
	request->text = (struct text)TEXT_GROWING(65536);
	text_put(&request->text, "{");
	put_names(&request->text, "actions", options->actions[0], options->n_actions, sizeof(options->actions[0]));
	text_put(&request->text, ",");
	put_names(&request->text, "file_uploads", options->uploads[0].name, options->n_uploads,
		  sizeof(options->uploads[0]));
	text_put(&request->text, "}\n");
	return respond_text(request, MHD_HTTP_OK, TYPE_JSON);
}

static bool is_async(struct request *request)
{
	size_t size;
	const char *value = request_argument(request, "async", &size);

	return size > 0 && !(size == 1 && value[0] == '0');
}

enum MHD_Result answer_action(struct request *request)
{
	struct waiting *w = request->kept;

	if (!w)
		return begin(request, CONTROL_ACTION, request->name, -1, is_async(request));
	if (w->result < 0)
		return respond_not_begun(request, w->result, "Specified action not configured");
	if (w->async)
		return respond_accepted(request, w->id);
	if (!w->good)
		return respond_failed(request, "Failed to execute action", request->name, w->error);
	return respond_constant(request, MHD_HTTP_OK, TYPE_JSON, "{\"message\":\"Action executed successfully\"}\n");
}

static const struct api_upload *upload_of(const char *name)
{
	for (size_t i = 0; i < options->n_uploads; i++)
		if (!strcmp(options->uploads[i].name, name))
			return &options->uploads[i];
	return NULL;
}

/* The body of an unknown upload is read as well, so that the client gets the error message. */
size_t upload_max(const char *name)
{
	const struct api_upload *upload = upload_of(name);

	return upload ? upload->max_bytes : UNKNOWN_UPLOAD_MAX;
}

enum MHD_Result answer_upload(struct request *request)
{
	const struct api_upload *upload = upload_of(request->name);
	struct waiting *w = request->kept;

	if (!upload)
		return respond_error(request, MHD_HTTP_BAD_REQUEST, "Specified file upload not configured");
	if (request->body_error == -EBUSY)
		return respond_too_many_uploads(request);
	if (request->body_error)
		return respond_failed(request, "Failed to read content from payload", NULL, "");
	if (!w) {
		if (fcntl(request->body_fd, F_ADD_SEALS, SEALS) < 0)
			return respond_unavailable(request);
		return begin(request, CONTROL_UPLOAD, request->name, request->body_fd, false);
	}
	if (w->result < 0)
		return respond_not_begun(request, w->result, "Specified file upload not configured");
	if (!w->good)
		return respond_failed(request, "Failed to write content to file", NULL, "");
	request->text = (struct text)TEXT_GROWING(32768);	/* of a path, each byte may become six */
	text_put(&request->text, "{\"message\":\"File uploaded successfully\",\"file\":");
	text_json(&request->text, upload->path, strlen(upload->path));
	text_printf(&request->text, ",\"size_bytes\":\"%zu\"}\n", request->body_size);
	return respond_text(request, MHD_HTTP_OK, TYPE_JSON);
}

/* The hash of the new password is there. If another one was stored meanwhile, it is not this client's to change. */
static void store(void *with, const char *stored)
{
	struct waiting *w = with;

	if (!w->request) {
		w->used = false;
		return;
	}
	if (w->request->admitted != access_generation() ||
	    pid1_act(CONTROL_PASSWORD, stored, strlen(stored), -1, begun, w) < 0) {
		w->result = -EBUSY;
		request_resume(w->request);
	}
}

static enum MHD_Result begin_password(struct request *request)
{
	struct waiting *w = wait_for(request);
	enum MHD_Result r = w ? request_suspend(request) : MHD_YES;
	const char *password = request->text.bytes ? request->text.bytes : "";
	int begun_r = w ? access_new_password(password, request->text.size, store, w) : -EBUSY;

	if (request->text.bytes)
		mbedtls_platform_zeroize(request->text.bytes, request->text.size);
	if (begun_r == 0)
		return r;
	if (w) {
		w->result = begun_r;
		request_resume(request);
		return r;
	}
	return respond_unavailable(request);
}

enum MHD_Result answer_password(struct request *request)
{
	struct waiting *w = request->kept;

	if (!options->password_file[0])
		return respond_error(request, MHD_HTTP_NOT_IMPLEMENTED, "Basic auth secret path is not configured");
	if (request->body_error)
		return respond_failed(request, "Failed to read content from payload", NULL, "");
	if (!w)
		return begin_password(request);
	if (w->result < 0)
		return respond_not_begun(request, w->result, "Basic auth secret path is not configured");
	if (!w->good)
		return respond_failed(request, "Failed to update basic auth secret", NULL, "");
	return respond_constant(request, MHD_HTTP_OK, TYPE_JSON, "{\"message\":\"Basic auth secret updated\"}\n");
}

void acts_init(const struct api_options *with)
{
	options = with;
	pid1_on_event(see);
}
