/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of the check that looks into the image which the configuration is for.
 */
#ifndef INIT_CONFIG_IMAGE_H
#define INIT_CONFIG_IMAGE_H

#include "check.h"

/* The programs and files that a checked configuration names are in the image at check->image_fd. */
int check_image(struct check *check);

#endif
