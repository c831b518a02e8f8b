/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a few strings of a JSON artifact: a child parses the document, returns the requested strings and exits. So a
 * stage that uses the network never has the other secrets in its memory.
 */
#ifndef STAGES_SNAPSHOT_PICK_H
#define STAGES_SNAPSHOT_PICK_H

#include "stages/lib/secret.h"

#define PICK_SIZE_MAX 4096	/* of one string */

/*
 * paths: dotted ("rclone.bucket_endpoint"), NULL-ended; ret: one secret for each, in that order, the caller's
 * to wipe. 0; -ENOENT: a path leads to no string, *ret_missing is which; -EBADMSG: not JSON; or another
 * errno. On failure ret is untouched.
 */
int pick_strings(int fd, const char *const paths[], struct secret ret[], const char **ret_missing);

#endif
