/* SPDX-License-Identifier: GPL-2.0-or-later */
/* podman's command lines and its environment, made of a service's object; and what its output means. Pure. */
#ifndef INIT_CONTAINER_COMMAND_H
#define INIT_CONTAINER_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct json_object;

#define CONTAINER_RUNTIME   "/run/gantry/containers"	/* on tmpfs: podman takes its absence for a new boot */
#define CONTAINER_WORDS_MAX 1024

struct container_words {
	char *words[CONTAINER_WORDS_MAX + 1];	/* NULL-ended */
	size_t n;
	bool failed;		/* no memory, or more than fit */
};

enum container_ask {
	CONTAINER_INSPECT,	/* says by which digests the image is known here, one a line */
	CONTAINER_LOGIN,	/* the password comes by standard input */
	CONTAINER_PULL,
	CONTAINER_NETWORK,	/* says where the network of the container of this name is */
	CONTAINER_REMOVE,	/* the container of this name, whatever it does */
	CONTAINER_RUN,
	CONTAINER_LIST,		/* says "ID NAME" of each container */
	CONTAINER_REMOVE_OTHER,	/* the container with the ID in argument, unless it runs */
	CONTAINER_IMAGES,	/* says "= ID BYTES" of each image, and then "+ DIGEST" of each by which it is known */
	CONTAINER_REMOVE_IMAGE,	/* the image with the ID in argument, unless a container has it */
};

/*
 * Fills words for one of the above; argument: of login and pull, the path of the authfile, NULL: no login; otherwise
 * as they say. Free with container_free().
 */
void container_command(enum container_ask ask, struct json_object *service, const char *argument,
		       struct container_words *ret);

/* podman's whole environment. */
void container_environment(struct json_object *service, struct container_words *ret);

void container_free(struct container_words *words);

/* The registry of "host:port/path@sha256:...", of which it is the beginning: its size. */
size_t container_registry(const char *image);

/* A line of podman's that says that what the registry has is not what the digest says. */
bool container_is_mismatch(const char *line);

#endif
