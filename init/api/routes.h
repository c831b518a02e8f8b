/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every route of the System API. */
#ifndef INIT_API_ROUTES_H
#define INIT_API_ROUTES_H

#include "request.h"

extern const struct route routes[];
extern const size_t n_routes;

#endif
