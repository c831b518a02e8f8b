/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements trace.h. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trace.h"

/* Not the time of the last change of owner or mode: steps and entry points change those of what they find. */
static int describe(const char *path, int flags, char *ret, size_t size)
{
	struct statx st;

	if (syscall(SYS_statx, AT_FDCWD, path, flags, STATX_INO | STATX_MTIME | STATX_BTIME, &st) < 0)
		return 0;
	return snprintf(ret, size, "%x.%x.%llx.%llx.%x.%llx.%x,", st.stx_dev_major, st.stx_dev_minor,
			(unsigned long long)st.stx_ino, (unsigned long long)st.stx_mtime.tv_sec, st.stx_mtime.tv_nsec,
			(unsigned long long)st.stx_btime.tv_sec, st.stx_btime.tv_nsec);
}

void trace_of(const char *path, char *ret)
{
	int n;

	ret[0] = '\0';
	n = describe(path, 0, ret, TRACE_MAX);
	if (n > 0 && n < TRACE_MAX)
		describe(path, AT_SYMLINK_NOFOLLOW, ret + n, TRACE_MAX - (size_t)n);
}
