/* SPDX-License-Identifier: GPL-2.0-or-later */
/* podman's command lines and its environment, made of a service's object, and the meaning of its output. Pure. */
#ifndef INIT_CONTAINER_COMMAND_H
#define INIT_CONTAINER_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct json_object;

#define CONTAINER_RUNTIME   "/run/gantry/containers"	/* on tmpfs: podman takes its absence for a new boot */
#define RESOLV_COPIES       CONTAINER_RUNTIME "/resolv"	/* of resolv.h: a file for each service, by its name */
#define CONTAINER_WORDS_MAX 1024

struct container_words {
	char *words[CONTAINER_WORDS_MAX + 1];	/* NULL-ended */
	size_t n;
	bool failed;		/* out of memory, or too many words */
};

enum container_ask {
	CONTAINER_INSPECT,	/* prints the digests of the image, one a line */
	CONTAINER_LOGIN,	/* the password comes by standard input */
	CONTAINER_PULL,
	CONTAINER_NETWORK,	/* prints the path of the network namespace of the service's container */
	CONTAINER_REMOVE,	/* the service's container, running or not */
	CONTAINER_RUN,
	CONTAINER_CHECK,	/* prints damage of layers and images; fails if there is any */
	CONTAINER_REPAIR,	/* the same, and removes what no container has */
	CONTAINER_CREATE,	/* the service's container, in order to try whether it can be made */
	CONTAINER_MOUNT,	/* its layers */
	CONTAINER_LIST,		/* prints "ID NAME" of each container */
	CONTAINER_REMOVE_OTHER,	/* the container with the ID in argument, unless it runs */
	CONTAINER_IMAGES,	/* prints "= ID BYTES" of each image, followed by "+ DIGEST" of each of its digests */
	CONTAINER_REMOVE_IMAGE,	/* the image with the ID or name in argument, unless a container has it */
};

/*
 * Fills words for one of the above; argument: of login and pull the path of the authfile, NULL: no login; of the others
 * see there; of run the path of the container's init, NULL: none. Free with container_free().
 */
void container_command(enum container_ask ask, struct json_object *service, const char *argument,
		       struct container_words *ret);

/* Whether the container's first process is ours. */
bool container_has_init(struct json_object *container);

/* podman's whole environment. */
void container_environment(struct json_object *service, struct container_words *ret);

void container_free(struct container_words *words);

/* The size of the registry's name, "host:port", at the beginning of "host:port/path@sha256:...". */
size_t container_registry(const char *image);

/* Whether this line of podman reports that the registry's content does not match the digest. */
bool container_is_mismatch(const char *line);

#endif
