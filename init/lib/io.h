/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing all bytes, across signals and short counts. */
#ifndef INIT_LIB_IO_H
#define INIT_LIB_IO_H

#include <stddef.h>

/* All of them to a descriptor that blocks: 0, or negative errno; -EIO if it takes no more. */
int io_write(int fd, const void *bytes, size_t size);

#endif
