/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The boot chart: one bar per stage and service over a time axis, as SVG without scripts or references, so that any
 * browser shows it and it can be saved and sent by mail.
 */
#ifndef INIT_API_CHART_H
#define INIT_API_CHART_H

#include "init/show/status.h"

/* More than the largest picture: every node with the longest reason, each character in its longest form. */
#define CHART_MAX (10u << 20)

/* t: growing, up to CHART_MAX. The status' strings are clean, as status_take() leaves them. */
void chart_svg(struct text *t, const struct status *status);

#endif
