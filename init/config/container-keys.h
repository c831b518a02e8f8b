/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys of a service's `container` and of the top-level `containers`.
 */
#ifndef INIT_CONFIG_CONTAINER_KEYS_H
#define INIT_CONFIG_CONTAINER_KEYS_H

#include "check.h"

extern const struct keys container_keys, containers_keys, login_keys;
extern const struct format image_format, volume_format, container_user_format;

#endif
