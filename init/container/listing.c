/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements listing.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listing.h"

#define HEX   "0123456789abcdef"
#define NETNS "/run/netns/"	/* where podman keeps the network of each container */

static struct thing *add(struct listing *listing, const char *id, size_t size)
{
	struct thing *thing = &listing->things[listing->n];

	listing->more = listing->n == LISTING_THINGS_MAX || size >= sizeof(thing->id);
	if (listing->more)
		return NULL;
	listing->n++;
	*thing = (struct thing){.named = false};
	memcpy(thing->id, id, size);
	return thing;
}

void listing_container(struct listing *listing, const char *line)
{
	size_t n = strspn(line, HEX);
	struct thing *thing = n > 0 && line[n] == ' ' ? add(listing, line, n) : NULL;

	if (!thing)
		return;
	snprintf(thing->name, sizeof(thing->name), "%s", line + n + 1);
	thing->named = listing->is_named(listing->with, line + n + 1);
}

/* Its digests follow; those of one that is left out are left out, too. */
static void begin_image(struct listing *listing, const char *line)
{
	size_t n = strspn(line, HEX);
	struct thing *thing;

	listing->more = true;
	thing = n > 0 && line[n] == ' ' ? add(listing, line, n) : NULL;
	if (thing)
		thing->bytes = strtoull(line + n, NULL, 10);
}

void listing_image(struct listing *listing, const char *line)
{
	struct thing *thing;

	if (!strncmp(line, "= ", 2)) {
		begin_image(listing, line + 2);
	} else if (!strncmp(line, "+ ", 2) && listing->n > 0 && !listing->more) {
		thing = &listing->things[listing->n - 1];
		thing->named |= listing->is_named(listing->with, line + 2);
		if (!thing->name[0])
			snprintf(thing->name, sizeof(thing->name), "%s", line + 2);
	}
}

bool listing_is_network(const char *line)
{
	size_t prefix = sizeof(NETNS) - 1;

	return !strncmp(line, NETNS, prefix) && line[prefix] && line[prefix] != '.' && !strchr(line + prefix, '/');
}
