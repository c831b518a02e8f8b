/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any lines as podman's output, in which names are a registry's or a container's own. The first byte chooses: 'c', a
 * list of containers; 'i', of images; otherwise what it says while it pulls. What would be removed has the form of an id
 * and is nothing that a service names, by a reading of this file's own; a cause fits a result.
 */
/* links: container init/lib */
/* libs: json-c */
#include <string.h>

#include "init/container/listing.h"
#include "init/container/podman.h"
#include "target.h"

#define IMAGE   "registry/image@sha256:0123"
#define SERVICE "reth"
#define CAUSE   80

static bool named(void *with, const char *name)
{
	return !strcmp(name, with);
}

/* The first of `lines` that begins with this, from `at` on; NULL: none. */
static const char *line_with(const char *at, const char *begin)
{
	for (; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
		if (!strncmp(at, begin, strlen(begin)))
			return at;
	return NULL;
}

/* Whether one of the digests of an image with this id is the service's. */
static bool image_is_named(const char *lines, const char *id)
{
	char begin[LISTING_ID_MAX + 4];

	snprintf(begin, sizeof(begin), "= %s ", id);
	for (const char *at = lines; (at = line_with(at, begin)); at++) {
		const char *next = line_with(at + 1, "= ");
		const char *mine = line_with(at, "+ " IMAGE "\n");

		if (mine && (!next || mine < next))
			return true;
	}
	return false;
}

static bool container_is_named(const char *lines, const char *id)
{
	char whole[LISTING_ID_MAX + sizeof(SERVICE) + 4];

	snprintf(whole, sizeof(whole), "%s " SERVICE "\n", id);
	return line_with(lines, whole);
}

static void check_things(const struct listing *listing, const char *lines, bool images)
{
	must(listing->n <= LISTING_THINGS_MAX, "no more than there is room for");
	for (size_t i = 0; i < listing->n; i++) {
		const struct thing *thing = &listing->things[i];
		char begin[LISTING_ID_MAX + 4];
		size_t same = 0, n = strspn(thing->id, "0123456789abcdef");

		must(n > 0 && n < LISTING_ID_MAX && !thing->id[n] && memchr(thing->name, 0, sizeof(thing->name)), "an id, a name");
		snprintf(begin, sizeof(begin), images ? "= %s " : "%s ", thing->id);
		for (const char *at = lines; (at = line_with(at, begin)); at++)
			same++;
		if (same == 1)	/* podman lists none twice, nor behind the end of the list */
			must(thing->named == (images ? image_is_named : container_is_named)(lines, thing->id),
			     "what a service names stays, and all else goes");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct listing listing;
	static struct podman podman;
	struct input input = {bytes, size};
	uint8_t what = input_byte(&input);
	char *lines = malloc(input.size + 2), line[RUN_LINE_MAX];

	/* As run.c makes lines of it. */
	for (size_t i = 0; i < input.size; i++)
		lines[i] = input.bytes[i] ? (char)input.bytes[i] : ' ';
	memcpy(lines + input.size, "\n", 2);
	listing.n = 0;
	listing.more = false;
	listing.is_named = named;
	listing.with = what == 'c' ? (void *)SERVICE : (void *)IMAGE;
	podman = (struct podman){.image = IMAGE};
	for (char *at = lines, *end; *at; at = end + 1) {
		end = strchr(at, '\n');
		if (end - at >= RUN_LINE_MAX) {	/* run.c cuts it; here the output ends before it */
			*at = '\0';
			break;
		}
		*(char *)mempcpy(line, at, (size_t)(end - at)) = '\0';
		if (line[0] && what == 'c')
			listing_container(&listing, line);
		else if (line[0] && what == 'i')
			listing_image(&listing, line);
		podman_keep_error(&podman, line);
		must(!listing_is_network(line) || (line[0] == '/' && !strstr(line, "/../")), "a network is a path of podman's");
		must(memchr(podman.last, 0, sizeof(podman.last)), "an error ends");
		must(strlen(podman_cause(&podman)) <= CAUSE || !strstr(podman_cause(&podman), ": "), "a cause is short");
	}
	if (what == 'c' || what == 'i')
		check_things(&listing, lines, what == 'i');
	free(lines);
	return 0;
}
