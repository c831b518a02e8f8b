/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of routes: path, methods, when a client may have the answer, the treatment of the request's body, and the
 * function that answers. http.c applies all of it, so an answer is only called for a request that its row admits. The
 * routes of the older System API behave as they did there (docs/system-api.md).
 */
#include "access.h"
#include "acts.h"
#include "answers.h"
#include "routes.h"

static enum MHD_Result answer_alive(struct request *request)
{
	return respond_constant(request, MHD_HTTP_OK, TYPE_JSON, ALIVE);
}

const struct route routes[] = {
	{"/livez", "GET", ACCESS_ALIVE, .answer = answer_alive},
	{"/", "GET", ACCESS_READ, .answer = answer_root},
	{"/assets/page.js", "GET", ACCESS_READ, .answer = answer_page_script},
	{"/assets/page.css", "GET", ACCESS_READ, .answer = answer_page_style},
	{"/assets/page.svg", "GET", ACCESS_READ, .answer = answer_page_icon},
	{"/logs", "GET", ACCESS_READ, .answer = answer_logs},
	{"/metrics", "GET", ACCESS_READ, .answer = answer_metrics},
	{"/api/v1/events", "GET", ACCESS_READ, .answer = answer_events},
	{"/api/v1/events/stream", "GET", ACCESS_READ, .answer = answer_stream},
	{"/api/v1/new_event", "GET", ACCESS_READ, .answer = answer_new_event},
	{"/api/v1/status", "GET", ACCESS_READ, .answer = answer_status},
	{"/api/v1/boot.svg", "GET", ACCESS_READ, .answer = answer_boot_chart},
	{"/api/v1/actions", "GET", ACCESS_READ, .answer = answer_actions},
	{"/api/v1/actions/", "GET, POST", ACCESS_ACT, .answer = answer_action},
	{"/api/v1/file-upload/", "POST", ACCESS_ACT, BODY_FILE, .body_max_of = upload_max, .answer = answer_upload},
	{"/api/v1/set-basic-auth", "POST", ACCESS_ACT, BODY_TEXT, ACCESS_PASSWORD_MAX, .answer = answer_password},
	{"/api/v1/logs/", "GET", ACCESS_ACT, .answer = answer_service_log},	/* the logs lie on the disk */
};

const size_t n_routes = sizeof(routes) / sizeof(*routes);
