/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements walk.h. A system call with a whole path, openat2() too, can follow all links or none. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <gantry/cleanup.h>

#include "walk.h"

#define LINKS_MAX 40

struct walk {
	enum walk_links links;
	mode_t make;
	bool parent;		/* the last name is left */
	int at;
	bool roots;		/* nobody but root could change what was walked */
	unsigned n_links;
	char rest[PATH_MAX];
};

static bool is_roots(const struct stat *st)
{
	return st->st_uid == 0 && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static int begin(struct walk *walk)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (root < 0)
		return -errno;
	if (walk->at >= 0)
		close(walk->at);
	walk->at = root;
	if (fstat(root, &st) < 0)
		return -errno;
	walk->roots = is_roots(&st);
	return 0;
}

/* What the link says comes before the rest of the path. */
static int follow(struct walk *walk, int link, const struct stat *st)
{
	char target[PATH_MAX], joined[2 * PATH_MAX];
	ssize_t n;

	if (walk->links == WALK_NO_LINKS)
		return -ENOTDIR;
	if (!walk->roots || st->st_uid != 0 || ++walk->n_links > LINKS_MAX)
		return -ELOOP;
	n = readlinkat(link, "", target, sizeof(target));
	if (n <= 0)
		return n < 0 ? -errno : -ENOENT;
	if ((size_t)n >= sizeof(target))
		return -ENAMETOOLONG;
	target[n] = '\0';
	if ((size_t)snprintf(joined, sizeof(joined), "%s/%s", target, walk->rest) >= sizeof(walk->rest))
		return -ENAMETOOLONG;
	memcpy(walk->rest, joined, strlen(joined) + 1);
	return target[0] == '/' ? begin(walk) : 0;
}

static int enter(struct walk *walk, const char *name)
{
	_cleanup_(cleanup_close) int next = -1;
	struct stat st;

	/* A folder that is moved takes its ".." along. */
	if (is_dots(name) && !(walk->links == WALK_ROOTS_LINKS && walk->roots))
		return -EINVAL;
	if (walk->make && mkdirat(walk->at, name, walk->make) < 0 && errno != EEXIST)
		return -errno;
	next = openat(walk->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (next < 0 || fstat(next, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return follow(walk, next, &st);
	if (!S_ISDIR(st.st_mode) && (walk->parent || walk->rest[0]))
		return -ENOTDIR;
	close(walk->at);
	walk->at = next;
	next = -1;
	walk->roots = walk->roots && is_roots(&st);
	return 0;
}

/* Takes the first name off the rest. */
static int take_name(struct walk *walk, char *name)
{
	size_t skip = strspn(walk->rest, "/"), n = strcspn(walk->rest + skip, "/"), end = skip + n;

	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, walk->rest + skip, n);
	name[n] = '\0';
	end += strspn(walk->rest + end, "/");
	memmove(walk->rest, walk->rest + end, strlen(walk->rest + end) + 1);
	return 0;
}

/* walk->at is where it got to, also after an error. */
static int walk_on(struct walk *walk, const char *path)
{
	int r = begin(walk);

	if (r == 0 && path[0] != '/')
		r = -EINVAL;
	if (r == 0 && (size_t)snprintf(walk->rest, sizeof(walk->rest), "%s", path) >= sizeof(walk->rest))
		r = -ENAMETOOLONG;
	while (r == 0 && walk->rest[strspn(walk->rest, "/")]) {
		char name[NAME_MAX + 1];

		r = take_name(walk, name);
		if (r == 0 && walk->parent && !walk->rest[0])
			break;
		if (r == 0)
			r = enter(walk, name);
	}
	return r;
}

static int ended(struct walk *walk, int r)
{
	if (r == 0)
		return walk->at;
	if (walk->at >= 0)
		close(walk->at);
	return r;
}

const char *walk_words(int error)
{
	return error == ELOOP ? "a symbolic link in the path that is not root's alone" : strerror(error);
}

int walk_parent(const char *path, enum walk_links links, mode_t make, const char **ret_name)
{
	struct walk walk = {.links = links, .make = make, .parent = true, .at = -1};
	const char *slash = strrchr(path, '/');

	/* A link's target never has the last name. */
	if (!slash || !slash[1] || is_dots(slash + 1))
		return -EINVAL;
	*ret_name = slash + 1;
	return ended(&walk, walk_on(&walk, path));
}

int walk_open(const char *path)
{
	struct walk walk = {.links = WALK_ROOTS_LINKS, .at = -1};

	return ended(&walk, walk_on(&walk, path));
}

int walk_nearest(const char *path)
{
	struct walk walk = {.links = WALK_ROOTS_LINKS, .at = -1};
	int r = walk_on(&walk, path);

	return walk.at >= 0 ? walk.at : r;
}
