/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the teardown gives up before its first look: all that undoing mounts, swap and volumes does not need. */
#ifndef STAGES_TEARDOWN_CONFINE_H
#define STAGES_TEARDOWN_CONFINE_H

/* For good. 0 or negative errno. */
int teardown_confine(void);

#endif
