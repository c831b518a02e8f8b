/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is legal and nearly always wrong, for `gantryctl check`: all of it in one run. It refuses nothing.
 */
#ifndef INIT_CONFIG_WARN_H
#define INIT_CONFIG_WARN_H

#include "check.h"

struct config;

/* Of a checked configuration, if check->warnings is set. Looks for files only if the image is known. */
void config_warn(struct check *check, const struct config *config);

#endif
