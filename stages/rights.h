/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stage's process gives up every right that its row (include/gantry/stage.h) does not list, before it reads the first
 * byte from outside the image: user, groups, capabilities, files, TCP, signals to others, system calls, core dumps and
 * tracing. docs/rights.md has the table.
 */
#ifndef STAGES_RIGHTS_H
#define STAGES_RIGHTS_H

#include <stddef.h>

#include <gantry/stage.h>

struct json_object;

/*
 * For good, and for all that the process starts. 0, or negative errno with the failed step in `ret_what`, and then the
 * stage must not run: it never has more rights than its row says. Without landlock in the kernel that is -ENOSYS; an
 * older one that knows less than all of it is not an error (PID 1 has said so). A process that was not started as root
 * keeps its user.
 */
int rights_restrict(const struct stage *stage, struct json_object *options, char *ret_what, size_t size);

#endif
