/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of the System API, its actions and uploads, and what a table of keys cannot express about them. */
#ifndef INIT_CONFIG_API_KEYS_H
#define INIT_CONFIG_API_KEYS_H

#include "check.h"

extern const struct keys api_keys;

#endif
