/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The answers that routes.c has rows for. Called when the request's body is complete, and again after each
 * request_resume().
 */
#ifndef INIT_API_ANSWERS_H
#define INIT_API_ANSWERS_H

#include "request.h"

/* page.c: the page, its parts and the boot chart. */
enum MHD_Result answer_root(struct request *request);
enum MHD_Result answer_page_script(struct request *request);
enum MHD_Result answer_page_style(struct request *request);
enum MHD_Result answer_page_icon(struct request *request);
enum MHD_Result answer_boot_chart(struct request *request);

/* listing.c: events as a JSON array or as lines. */
enum MHD_Result answer_events(struct request *request);
enum MHD_Result answer_logs(struct request *request);

/* stream.c: new events as they come. */
enum MHD_Result answer_stream(struct request *request);

/* bootlog.c: the last lines of a service's log. */
enum MHD_Result answer_service_log(struct request *request);

/* ask.c: answers of PID 1. */
enum MHD_Result answer_new_event(struct request *request);
enum MHD_Result answer_status(struct request *request);

/* metrics.c: the status for Prometheus. */
enum MHD_Result answer_metrics(struct request *request);

/* acts.c: requests that change the machine. */
enum MHD_Result answer_actions(struct request *request);
enum MHD_Result answer_action(struct request *request);
enum MHD_Result answer_upload(struct request *request);
enum MHD_Result answer_password(struct request *request);

#endif
