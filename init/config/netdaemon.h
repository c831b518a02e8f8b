/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dhcpcd and chronyd read whatever the network sends, and both go on with all the rights they have where their
 * confinement is missing. So a configuration or an image with which they would do that is refused.
 */
#ifndef INIT_CONFIG_NETDAEMON_H
#define INIT_CONFIG_NETDAEMON_H

#include "check.h"

/* A service whose program is one of the two, by its name, has its own user, its filter and no capability too many. */
int check_net_daemon(struct check *check, const struct place *place, struct json_object *service);

/* Is a program of this path one of them? */
bool net_daemon_is(const char *path);

/* The image at check->image_fd has the user of such a service, and that user's home directory. */
int check_net_daemon_image(struct check *check, const struct place *place, struct json_object *service);

#endif
