/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A static position-independent binary relocates itself: before main(), every address in a constant table is written,
 * and each page with such a table becomes private memory of the process. Most of these tables belong to libraries that
 * only other roles call, so they are placed together (sections.ld) and PID 1 gives them back. That saves real memory;
 * code and constants are in the page cache whether or not they are mapped.
 */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image.h"

/* Defined by the linker and by sections.ld. */
extern const char __ehdr_start[], image_foreign[], image_foreign_end[];

static uintptr_t page_of(uintptr_t address)
{
	return address & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
}

static const ElfW(Phdr) *segments(size_t *ret_n)
{
	const ElfW(Ehdr) *image = (const void *)__ehdr_start;

	*ret_n = image->e_phnum;
	return (const void *)(__ehdr_start + image->e_phoff);
}

int image_protect(void)
{
	size_t n;
	const ElfW(Phdr) *segment = segments(&n);

	for (size_t i = 0; i < n; i++) {
		uintptr_t at = (uintptr_t)__ehdr_start + segment[i].p_vaddr;
		/* Rounded down: a page that it shares at its end holds variables, too. */
		size_t size = page_of(at + segment[i].p_memsz) - page_of(at);

		if (segment[i].p_type == PT_GNU_RELRO && mprotect((void *)page_of(at), size, PROT_READ) < 0)
			return -errno;
	}
	return 0;
}

void image_forget_foreign(void)
{
	size_t size = (uintptr_t)image_foreign_end - (uintptr_t)image_foreign;

	/* Read again, the pages would hold unrelocated addresses: an access must fault instead. */
	if (size == 0 || mprotect((void *)image_foreign, size, PROT_NONE) < 0)
		return;
	/* If refused, the pages stay unused, and each fork copies their page tables. */
	(void)madvise((void *)image_foreign, size, MADV_DONTNEED);
	(void)madvise((void *)image_foreign, size, MADV_DONTFORK);
}
