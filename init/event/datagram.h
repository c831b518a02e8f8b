/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A datagram on the event socket or from gantryctl: text, text with a syslog level in front ("<4>the disk is slow"), or
 * a JSON object (eventjson.h). A malformed object counts as text, so that no message of a program is lost.
 */
#ifndef INIT_EVENT_DATAGRAM_H
#define INIT_EVENT_DATAGRAM_H

#include "eventjson.h"

#define DATAGRAM_MAX EVENTJSON_MAX	/* longer datagrams are cut and count as text */

struct datagram {
	enum event_level level;
	const char *text, *fields;	/* into the bytes, or into json */
	size_t text_size, fields_size;
	struct eventjson json;
};

/* The bytes must live as long as *ret is used. Nothing is allocated. */
void datagram_read(struct datagram *ret, const char *bytes, size_t size);

#endif
