/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages come from mmap, never from the heap: so nothing else shares them, locking is exact, and unmapping gives
 * them back at once. A lock that the kernel refuses is an error, not a warning: the stage role raises its limit
 * before it drops its capabilities. A fork that parses what others wrote must not have them: a child finds zeros.
 */
#define _GNU_SOURCE
#include "secret.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

int secret_new(size_t size, struct secret *ret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t mapped;
	void *p;

	if (size > (size_t)1 << 30)
		return -EFBIG;
	mapped = (size + 1 + page - 1) / page * page;
	p = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	if (mlock(p, mapped) < 0 || madvise(p, mapped, MADV_WIPEONFORK) < 0) {
		int r = -errno;

		munmap(p, mapped);
		return r;
	}
	(void)madvise(p, mapped, MADV_DONTDUMP);
	*ret = (struct secret){.bytes = p, .size = size, .mapped = mapped};
	return 0;
}

int secret_share(const struct secret *secret)
{
	return secret->bytes && madvise(secret->bytes, secret->mapped, MADV_KEEPONFORK) < 0 ? -errno : 0;
}

int secret_copy(const void *bytes, size_t size, struct secret *ret)
{
	int r = secret_new(size, ret);

	if (r == 0 && size)
		memcpy(ret->bytes, bytes, size);
	return r;
}

int secret_read(int fd, size_t maximum, struct secret *ret)
{
	struct secret s;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size < 0 || (size_t)st.st_size > maximum)
		return -EFBIG;
	r = secret_new((size_t)st.st_size, &s);
	if (r < 0)
		return r;
	r = file_read_at(fd, s.bytes, s.size, 0);
	if (r < 0) {
		secret_wipe(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void secret_wipe(struct secret *secret)
{
	if (secret->bytes) {
		explicit_bzero(secret->bytes, secret->mapped);
		munmap(secret->bytes, secret->mapped);
	}
	*secret = (struct secret){0};
}
