/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mke2fs and e2fsck, which parse what is on the volume, as a child that can do nothing else: user `gantry-fsck`, no
 * capability, the volume by one descriptor, no other device, file, socket or process.
 */
#ifndef STAGES_DISK_FSPROGRAM_H
#define STAGES_DISK_FSPROGRAM_H

#include <stddef.h>

#define FSPROGRAM_LINE_MAX 160
#define FSPROGRAM_WORDS_MAX 20

/* Each line of output is an event; the first and the last one with words stay for the reason. */
struct fsprogram_output {
	char first[FSPROGRAM_LINE_MAX], last[FSPROGRAM_LINE_MAX];
};

/*
 * Runs it to its end; of its n words, NULL is the volume. The exit status, or negative errno: -ENOENT without the
 * program, -EINTR when a signal ended it; and with the reason in ret->last, -EAGAIN: no such volume, and -ENOEXEC: its
 * rights could not be taken away, or it is no program.
 */
int fsprogram_run(const char *const words[], size_t n, const char *device, struct fsprogram_output *ret);

#endif
