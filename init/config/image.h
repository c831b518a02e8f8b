/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks a configuration against the image it is for.
 */
#ifndef INIT_CONFIG_IMAGE_H
#define INIT_CONFIG_IMAGE_H

#include "check.h"

/*
 * The programs and files that a checked configuration names are in the image at check->image_fd, and the kernel's
 * modules that it needs are in `modules`.
 */
int check_image(struct check *check, const struct config *config);

/* Why the image at check->image_fd has no such file, or NULL: it has one. */
const char *image_lacks(const struct check *check, const char *path);

#endif
