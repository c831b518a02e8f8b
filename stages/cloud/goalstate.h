/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two XML documents of Azure's wireserver: the goal state that it hands out, of which three values matter, and the
 * health report that gives them back with the machine's state. Parsing takes bytes of bounded size, refuses document
 * types and entities, and fails if a value is missing or malformed.
 */
#ifndef STAGES_CLOUD_GOALSTATE_H
#define STAGES_CLOUD_GOALSTATE_H

#include <stddef.h>

#define GOALSTATE_SIZE_MAX        65536
#define HEALTH_DESCRIPTION_MAX    512	/* bytes, before escaping; as in cloud-init */
#define HEALTH_SIZE_MAX           6144

struct goalstate {
	char incarnation[21];	/* decimal */
	char container_id[40];	/* a GUID */
	char instance_id[256];	/* opaque: given back as it came */
};

/* 0, or -EBADMSG with one line in error. *ret is untouched on failure. */
int goalstate_parse(const void *bytes, size_t size, struct goalstate *ret, char *error, size_t error_size);

/*
 * The health document into text: description NULL means Ready, otherwise NotReady with it, cut to
 * HEALTH_DESCRIPTION_MAX at a UTF-8 boundary and with control characters as spaces. Returns its size, or -ENOBUFS.
 */
int health_format(const struct goalstate *goalstate, const char *description, char *text, size_t text_size);

#endif
