/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements libraries.h: elf(5), its dynamic section. Every offset is one of the file, and read with pread(2). */
#include <elf.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "libraries.h"

#define SEGMENTS_MAX 64
#define DYNAMIC_MAX  512

struct elf {
	int fd;
	size_t n;
	Elf64_Phdr segments[SEGMENTS_MAX];
};

static bool read_at(int fd, void *ret, size_t size, uint64_t at)
{
	return at <= INT64_MAX && pread(fd, ret, size, (off_t)at) == (ssize_t)size;
}

static bool open_elf(int fd, struct elf *ret)
{
	Elf64_Ehdr head;

	*ret = (struct elf){.fd = fd};
	if (!read_at(fd, &head, sizeof(head), 0) || memcmp(head.e_ident, ELFMAG, SELFMAG) ||
	    head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof(*ret->segments))
		return false;
	ret->n = head.e_phnum < SEGMENTS_MAX ? head.e_phnum : SEGMENTS_MAX;
	return read_at(fd, ret->segments, ret->n * sizeof(*ret->segments), head.e_phoff);
}

/* Where in the file an address is; UINT64_MAX: nowhere. */
static uint64_t offset_of(const struct elf *elf, uint64_t address)
{
	for (size_t i = 0; i < elf->n; i++) {
		const Elf64_Phdr *segment = &elf->segments[i];

		if (segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
		    address - segment->p_vaddr < segment->p_filesz)
			return segment->p_offset + (address - segment->p_vaddr);
	}
	return UINT64_MAX;
}

static bool read_string(const struct elf *elf, uint64_t at, char *ret, size_t size)
{
	ssize_t n = at > INT64_MAX ? -1 : pread(elf->fd, ret, size, (off_t)at);

	return n > 0 && memchr(ret, '\0', (size_t)n) && ret[0];
}

void libraries_of(int fd, struct libraries *ret)
{
	Elf64_Dyn dynamic[DYNAMIC_MAX];
	uint64_t strings = UINT64_MAX;
	struct elf elf;
	size_t n = 0;

	ret->n = 0;
	ret->runpath[0] = '\0';
	if (!open_elf(fd, &elf))
		return;
	for (size_t i = 0; i < elf.n; i++)
		if (elf.segments[i].p_type == PT_DYNAMIC && elf.segments[i].p_offset <= INT64_MAX) {
			ssize_t size = pread(fd, dynamic, sizeof(dynamic), (off_t)elf.segments[i].p_offset);

			n = size < 0 ? 0 : (size_t)size / sizeof(*dynamic);
			if (n > elf.segments[i].p_filesz / sizeof(*dynamic))
				n = elf.segments[i].p_filesz / sizeof(*dynamic);
		}
	for (size_t i = 0; i < n && dynamic[i].d_tag != DT_NULL; i++)
		if (dynamic[i].d_tag == DT_STRTAB)
			strings = offset_of(&elf, dynamic[i].d_un.d_ptr);
	for (size_t i = 0; i < n && strings != UINT64_MAX && dynamic[i].d_tag != DT_NULL; i++) {
		uint64_t at = strings + dynamic[i].d_un.d_val;

		if (dynamic[i].d_tag == DT_NEEDED && ret->n < LIBRARIES_MAX &&
		    read_string(&elf, at, ret->names[ret->n], LIBRARY_NAME_MAX))
			ret->n++;
		else if ((dynamic[i].d_tag == DT_RUNPATH || dynamic[i].d_tag == DT_RPATH) &&
			 !read_string(&elf, at, ret->runpath, RUNPATH_MAX))
			ret->runpath[0] = '\0';
	}
}
