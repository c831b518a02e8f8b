/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements reth.h. */
#define _GNU_SOURCE
#include "reth.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#define FOLDER "static_files/"
#define PREFIX "static_file_"
#define DIGITS "0123456789"

/* Segment and first block of "static_file_SEGMENT_FIRST_LAST[.ENDING]". */
static bool take_apart(const char *name, char segment[static 48], uint64_t *ret_first)
{
	size_t size, at;

	if (strncmp(name, PREFIX, strlen(PREFIX)))
		return false;
	name += strlen(PREFIX);
	size = strspn(name, "abcdefghijklmnopqrstuvwxyz-");
	if (!size || size >= 48 || name[size] != '_')
		return false;
	at = size + 1 + strspn(name + size + 1, DIGITS);
	if (at == size + 1 || at > size + 19 || name[at] != '_' || !strspn(name + at + 1, DIGITS))
		return false;
	memcpy(segment, name, size);
	segment[size] = '\0';
	*ret_first = strtoull(name + size + 1, NULL, 10);
	return true;
}

static struct reth_segment *find(const struct reth_segments *all, const char *name)
{
	for (size_t i = 0; i < all->count; i++)
		if (!strcmp(all->segments[i].name, name))
			return (struct reth_segment *)&all->segments[i];
	return NULL;
}

static struct reth_segment *find_path(const struct reth_segments *all, const char *path, uint64_t *ret_first)
{
	char name[48];

	return !strncmp(path, FOLDER, strlen(FOLDER)) && take_apart(path + strlen(FOLDER), name, ret_first) ?
		find(all, name) : NULL;
}

void reth_plan(struct reth_segments *all, const char *path)
{
	struct reth_segment *segment;
	uint64_t first;
	char name[48];

	if (strncmp(path, FOLDER, strlen(FOLDER)) || !take_apart(path + strlen(FOLDER), name, &first))
		return;
	segment = find(all, name);
	if (!segment && all->count < RETH_SEGMENTS_MAX) {
		segment = &all->segments[all->count++];
		*segment = (struct reth_segment){ 0 };
		memcpy(segment->name, name, sizeof(name));
	}
	if (segment && first > segment->last_planned)
		segment->last_planned = first;
}

void reth_look(struct reth_segments *all, int directory)
{
	_cleanup_(cleanup_closedir) DIR *stream = NULL;
	int fd = openat(directory, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;

	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream) {
		cleanup_close(&fd);
		return;
	}
	while ((entry = readdir(stream))) {
		struct reth_segment *segment;
		uint64_t first;
		char name[48];

		segment = take_apart(entry->d_name, name, &first) ? find(all, name) : NULL;
		if (segment && (!segment->here || first < segment->lowest_here)) {
			segment->here = true;
			segment->lowest_here = first;
		}
	}
}

bool reth_deletes(const struct reth_segments *all, const char *path)
{
	uint64_t first;
	const struct reth_segment *segment = find_path(all, path, &first);

	return segment && segment->here && first < segment->lowest_here;
}

bool reth_writes(const struct reth_segments *all, const char *path)
{
	uint64_t first;
	const struct reth_segment *segment = find_path(all, path, &first);

	return segment && first == segment->last_planned;
}
