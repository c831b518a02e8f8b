/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The status as gantryctl prints it: a table, or a chart of bars. */
#ifndef INIT_CTL_SCREEN_H
#define INIT_CTL_SCREEN_H

#include "init/show/status.h"

void screen_status(struct text *t, const struct status *status);

/* One bar for each stage and service; every line is about `columns` wide. */
void screen_chart(struct text *t, const struct status *status, size_t columns);

#endif
