/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements requests.h: one function for each request, which passes it to the module that performs it. */
#include <errno.h>
#include <string.h>

#include "act.h"
#include "clock.h"
#include "init/control/boot.h"
#include "init/event/event.h"
#include "init/node/refresh-run.h"
#include "requests.h"
#include "shutdown.h"

static int64_t start(const struct control_request *request)
{
	return boot_start(request->body);
}

static int64_t stop(const struct control_request *request)
{
	return boot_stop(request->body);
}

static int64_t restart(const struct control_request *request)
{
	return boot_restart(request->body);
}

static int64_t end(const struct control_request *request, enum shutdown_kind kind)
{
	shutdown_begin(kind, control_requester(request), request->body);
	return 0;
}

static int64_t poweroff(const struct control_request *request)
{
	return end(request, SHUTDOWN_POWEROFF);
}

static int64_t restart_machine(const struct control_request *request)
{
	return end(request, SHUTDOWN_REBOOT);
}

static int64_t halt(const struct control_request *request)
{
	return end(request, SHUTDOWN_HALT);
}

static int64_t refresh(const struct control_request *request)
{
	int64_t first = (int64_t)event_last() + 1;
	int r = refresh_run_begin();

	(void)request;
	return r < 0 ? r : first;
}

static int64_t certificate(const struct control_request *request)
{
	struct control_certificate c;
	char sha256[sizeof(c.sha256) + 1] = "";

	if (request->head->size != sizeof(c))
		return -EBADMSG;
	memcpy(&c, request->body, sizeof(c));
	memcpy(sha256, c.sha256, sizeof(c.sha256));
	if (strspn(sha256, "0123456789abcdef") != sizeof(c.sha256))
		return -EBADMSG;
	boot_certificate(sha256, c.end_s);
	return 0;
}

static int64_t last_shutdown(const struct control_request *request)
{
	boot_last_shutdown(request->body, request->head->size);
	clock_previous_end(request->body, request->head->size);
	return 0;
}

static int64_t action(const struct control_request *request)
{
	return act_action(request->body);
}

static int64_t upload(const struct control_request *request)
{
	return act_upload(request->body, request->fd);
}

static int64_t password(const struct control_request *request)
{
	return act_password(request->body, request->head->size);
}

static int64_t boot_log(const struct control_request *request)
{
	return act_boot_log(request->fd);
}

static int64_t service_log(const struct control_request *request)
{
	return act_service_log(request->body, request->fd);
}

static const struct control_row rows[] = {
	{CONTROL_START, CONTROL_MAY_CONTROL, .perform = start},
	{CONTROL_STOP, CONTROL_MAY_CONTROL, .perform = stop},
	{CONTROL_RESTART, CONTROL_MAY_CONTROL, .perform = restart},
	{CONTROL_POWEROFF, CONTROL_MAY_CONTROL, .perform = poweroff},
	{CONTROL_REBOOT, CONTROL_MAY_CONTROL, .perform = restart_machine},
	{CONTROL_HALT, CONTROL_MAY_CONTROL, .perform = halt},
	{CONTROL_REFRESH, CONTROL_MAY_CONTROL, .perform = refresh},
	{CONTROL_CERTIFICATE, CONTROL_MAY_POST, .bytes = true, .perform = certificate},
	{CONTROL_LAST_SHUTDOWN, CONTROL_MAY_LAST_SHUTDOWN, .bytes = true, .perform = last_shutdown},
	{CONTROL_ACTION, CONTROL_MAY_ACT, .perform = action},
	{CONTROL_UPLOAD, CONTROL_MAY_ACT, .fd = true, .perform = upload},
	{CONTROL_PASSWORD, CONTROL_MAY_ACT, .bytes = true, .perform = password},
	{CONTROL_BOOT_LOG, CONTROL_MAY_ACT, .fd = true, .perform = boot_log},
	{CONTROL_SERVICE_LOG, CONTROL_MAY_ACT, .fd = true, .perform = service_log},
};

const struct control_table requests = {rows, sizeof(rows) / sizeof(*rows)};
