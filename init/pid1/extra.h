/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the boot stub put beside the image: sd-stub copies credentials and extensions that it finds on the EFI system
 * partition, which is the host's to write, to /.extra in the initramfs.
 */
#ifndef INIT_PID1_EXTRA_H
#define INIT_PID1_EXTRA_H

#include <stddef.h>

struct config;

/*
 * 0; -EPERM: a file is there that the configuration does not allow, or the folder cannot be read; `reason` then has the
 * reason for holding the boot. May block: call it before the loop.
 */
int extra_check(const struct config *config, char *reason, size_t size);

#endif
