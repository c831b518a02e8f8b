/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sealed memfds: bytes that a process hands to another, of which neither can change anything any more (memfd_create(2),
 * F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE).
 */
#ifndef INIT_LIB_MEMFD_H
#define INIT_LIB_MEMFD_H

#include <stdbool.h>
#include <stddef.h>

/* A sealed memfd with these bytes, its offset at 0: a descriptor, the caller's to close, or negative errno. */
int memfd_sealed(const char *name, const void *bytes, size_t size);

/* 0: fd is a sealed memfd of at most size_max bytes; -EINVAL: it is not sealed; -EFBIG: it is larger. */
int memfd_check(int fd, size_t size_max);

/* The same bytes by a read-only descriptor with an offset of its own, or negative errno. */
int memfd_reopen(int fd);

#endif
