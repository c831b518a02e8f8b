/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What podman prints about its storage, line by line. Names in it come from registries and from what containers were
 * called, so a line that is not of the form is left out.
 */
#ifndef INIT_CONTAINER_LISTING_H
#define INIT_CONTAINER_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LISTING_THINGS_MAX    256	/* at once; the rest is removed at the next boot */
#define LISTING_ID_MAX        65
#define LISTING_REFERENCE_MAX 400

struct thing {
	char id[LISTING_ID_MAX];
	char name[LISTING_REFERENCE_MAX];	/* of an image: one of its digests */
	uint64_t bytes;
	bool named;
};

struct listing {
	struct thing things[LISTING_THINGS_MAX];
	size_t n;
	bool more;		/* the latest one was skipped: no room for it, or not of the form */
	bool (*is_named)(void *with, const char *name);	/* a service has this name, or this image */
	void *with;
};

/* "ID NAME" */
void listing_container(struct listing *listing, const char *line);

/* "= ID BYTES", and "+ DIGEST" for each digest of the image before. */
void listing_image(struct listing *listing, const char *line);

/* Whether the line is the path of a network namespace of podman's. */
bool listing_is_network(const char *line);

#endif
