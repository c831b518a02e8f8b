/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The role container-tidy. With a service's object on descriptor 4 it removes the container of a service whose podman
 * was killed. With a list of all services that are containers it removes from podman's storage the containers,
 * interrupted pulls and images that no service references; each image is an event. podman itself refuses to remove one
 * in use.
 */
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include <gantry/cleanup.h>
#include <gantry/report.h>
#include <gantry/role.h>
#include <gantry/stage.h>

#include "container.h"
#include "init/lib/member.h"
#include "init/lib/options.h"
#include "init/lib/report.h"
#include "listing.h"
#include "podman.h"
#include "storage.h"

#define OPTIONS_MAX (64u << 20)

struct storage {
	struct podman podman;	/* the first member: line callbacks get a pointer to it */
	struct json_object *services;
	struct listing listing;
};

/* ---- after one that was killed -------------------------------------------------------------------------------- */

static void after(struct json_object *service)
{
	static struct podman podman;

	podman_begin(&podman, service);
	if (!podman_lock(&podman, false))
		return;		/* it is started again: its launcher does the same */
	if (podman_remove(&podman) < 0)
		podman_fail(STAGE_AGAIN, "%.300s", podman_cause(&podman));
}

/* ---- unreferenced images ------------------------------------------------------------------------------------ */

static const char *image_of(struct json_object *service)
{
	return json_object_get_string(key_member(key_member(service, "container"), "image"));
}

static const char *name_of(struct json_object *service)
{
	return json_object_get_string(key_member(service, "name"));
}

static bool is_named(const struct storage *storage, const char *(*of)(struct json_object *service), const char *what)
{
	for (size_t i = 0; i < json_object_array_length(storage->services); i++) {
		const char *named = of(json_object_array_get_idx(storage->services, i));

		if (named && !strcmp(named, what))
			return true;
	}
	return false;
}

static bool is_service(void *with, const char *name)
{
	return is_named(with, name_of, name);
}

static bool is_image(void *with, const char *image)
{
	return is_named(with, image_of, image);
}

static void container_line(void *with, const char *line)
{
	struct storage *storage = with;

	listing_container(&storage->listing, line);
	podman_keep_error(with, line);
}

static void image_line(void *with, const char *line)
{
	struct storage *storage = with;

	listing_image(&storage->listing, line);
	podman_keep_error(with, line);
}

static void list(struct storage *storage, enum container_ask what, void (*line)(void *with, const char *line))
{
	const struct podman_ask ask = {.what = what, .line = line};

	storage->listing.n = 0;
	storage->listing.more = false;
	storage->listing.is_named = what == CONTAINER_LIST ? is_service : is_image;
	storage->listing.with = storage;
	if (podman_ask(&storage->podman, &ask) != 0)
		podman_fail(STAGE_AGAIN, "%.300s", podman_cause(&storage->podman));
}

static void remove_containers(struct storage *storage)
{
	list(storage, CONTAINER_LIST, container_line);
	for (size_t i = 0; i < storage->listing.n; i++) {
		const struct thing *thing = &storage->listing.things[i];
		const struct podman_ask ask = {.what = CONTAINER_REMOVE_OTHER, .argument = thing->id};

		if (thing->named)
			continue;
		if (podman_ask(&storage->podman, &ask) == 0)
			report_event(EVENT_INFO, "removed container %s: no service has this name", thing->name);
		else
			report_event(EVENT_INFO, "container %s not removed: %.300s", thing->name,
				     podman_cause(&storage->podman));
	}
}

static void say_removed(const struct thing *image)
{
	const char *digest = strstr(image->name, "@sha256:");
	char name[LISTING_REFERENCE_MAX + 8], bytes[32];
	const char *const fields[] = {name, bytes, NULL};

	snprintf(name, sizeof(name), "image=%s", image->name);
	snprintf(bytes, sizeof(bytes), "bytes=%" PRIu64, image->bytes);
	report_fields(EVENT_NOTICE, fields, "removed image %.*s, %.1f MB: no service references it",
		      digest ? (int)(digest - image->name) + 8 + 12 : 160, image->name, (double)image->bytes / 1e6);
}

static void remove_images(struct storage *storage)
{
	list(storage, CONTAINER_IMAGES, image_line);
	for (size_t i = 0; i < storage->listing.n; i++) {
		const struct thing *image = &storage->listing.things[i];
		const struct podman_ask ask = {.what = CONTAINER_REMOVE_IMAGE, .argument = image->id};

		if (image->named)
			continue;
		if (podman_ask(&storage->podman, &ask) == 0)
			say_removed(image);
		else
			report_event(EVENT_INFO, "image %s not removed: %.300s", image->name,
				     podman_cause(&storage->podman));
	}
}

/* One directory a service, with the files of its pull. */
static void remove_temporary(const struct storage *storage)
{
	struct json_object *containers = key_member(storage->podman.service, "containers");
	_cleanup_(cleanup_closedir) DIR *folder = NULL;
	char path[PATH_MAX], inner[PATH_MAX + NAME_MAX + 2];
	const struct dirent *entry;

	snprintf(path, sizeof(path), "%s/tmp", json_object_get_string(key_member(containers, "storage")));
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		if (entry->d_name[0] == '.' || is_named(storage, name_of, entry->d_name))
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		podman_empty(inner);
		rmdir(inner);
	}
}

static void remove_unnamed(struct json_object *services)
{
	static struct storage storage;

	storage.services = services;
	podman_begin(&storage.podman, json_object_array_get_idx(services, 0));
	remove_containers(&storage);
	remove_images(&storage);
	remove_temporary(&storage);
	(void)storage_remove_aside(&storage.podman, !storage_is_short(&storage.podman));
}

int container_tidy_main(int argc, char **argv)
{
	struct json_object *options = NULL;

	(void)argc;
	(void)argv;
	umask(0022);
	(void)options_json(OPTIONS_MAX, &options);
	if (json_object_is_type(options, json_type_array) && json_object_array_length(options) > 0)
		remove_unnamed(options);
	else if (container_is(options))
		after(options);
	else
		podman_fail(STAGE_NEVER, "descriptor %d does not hold a container", OPTIONS_FD);
	return 0;
}
