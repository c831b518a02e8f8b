/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A service that is a container: podman in the foreground, in the service's own cgroup and in a mount namespace that
 * ends with it. The launcher executes podman, after it has pulled the image by its digest where it is missing.
 */
#ifndef INIT_CONTAINER_CONTAINER_H
#define INIT_CONTAINER_CONTAINER_H

#include <stdbool.h>

struct json_object;

/* Whether this service's object (with `container`, and `containers` from the top level) is a container. */
bool container_is(struct json_object *service);

/*
 * Prepares and executes podman, and does not return: it ends as podman, or with STAGE_NEVER or STAGE_AGAIN and a
 * reason. Descriptor 3 is the report socket; root, in the service's cgroup, default signals.
 */
_Noreturn void container_become(struct json_object *service);

#endif
