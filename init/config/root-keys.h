/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of a service's `root`: a tree of the image that is all it sees of the machine's files, but for volumes. */
#ifndef INIT_CONFIG_ROOT_KEYS_H
#define INIT_CONFIG_ROOT_KEYS_H

#include "check.h"

extern const struct keys root_keys;

/* What does not go together with `root`, and what would lead out of it. */
int check_root(struct check *check, const struct place *place, struct json_object *service);

/*
 * The image at check->image_fd has the tree of such a service, with what is mounted there and its user. Returns a
 * descriptor of the tree, in which the service's own paths are looked for; or a negative errno with the error set.
 */
int check_root_image(struct check *check, const struct place *place, struct json_object *service);

#endif
