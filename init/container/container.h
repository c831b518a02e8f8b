/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A service that is a container: podman in the foreground, in the service's own cgroup and in a mount namespace that
 * ends with it. The launcher becomes podman; before that it sees to it that the image is there, by its digest.
 */
#ifndef INIT_CONTAINER_CONTAINER_H
#define INIT_CONTAINER_CONTAINER_H

#include <stdbool.h>

struct json_object;

/* What the launcher has before it: of a service's object, `container` and, put there by config.c, `containers`. */
bool container_is(struct json_object *service);

/*
 * Does everything up to the exec of podman, reports it, and does not return: it ends as STAGE_NEVER or STAGE_AGAIN with
 * a reason, or as podman. Descriptor 3 is the report socket; root, in the service's cgroup, default signals.
 */
_Noreturn void container_become(struct json_object *service);

#endif
