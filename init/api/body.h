/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the body of a request goes while it comes: nowhere, into the request's text, or into a memfd. Of the latter
 * there are few at once, since each may be large: one more takes the place of the slowest, if that is slow.
 */
#ifndef INIT_API_BODY_H
#define INIT_API_BODY_H

#include "request.h"

/* Before the first piece. 0; -EBUSY: as many uploads as there may be are in transfer; or another negative errno. */
int body_begin(struct request *request);

/* request->body_error says whether it could be kept; -EBUSY: it was slow, and another upload has its place. */
void body_add(struct request *request, const char *bytes, size_t size);

/* Whatever was begun is over. */
void body_end(struct request *request);

#endif
