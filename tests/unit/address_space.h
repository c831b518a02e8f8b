/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A limit of the address space is less than the shadow of a sanitizer's memory: it is left out, every other one is set. */
#ifndef TESTS_ADDRESS_SPACE_H
#define TESTS_ADDRESS_SPACE_H

#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	return resource == RLIMIT_AS ? 0 : (int)syscall(SYS_prlimit64, 0, resource, limit, NULL);
}

#endif
