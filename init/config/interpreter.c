/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements interpreter.h: elf(5), and execve(2) for scripts. */
#include <elf.h>
#include <string.h>
#include <unistd.h>

#include "interpreter.h"

#define SEGMENTS_MAX 64

static int of_script(char *line, char *ret)
{
	char *at = line + 2;
	size_t n;

	line[strcspn(line, "\n")] = '\0';
	at += strspn(at, " \t");
	n = strcspn(at, " \t");
	if (!n || n >= INTERPRETER_MAX)
		return 0;
	memcpy(ret, at, n);
	ret[n] = '\0';
	return 1;
}

static int of_elf(int fd, const Elf64_Ehdr *head, char *ret)
{
	Elf64_Phdr segment;

	if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_phentsize != sizeof(segment))
		return 0;
	for (unsigned i = 0; i < head->e_phnum && i < SEGMENTS_MAX; i++) {
		ssize_t n = pread(fd, &segment, sizeof(segment), (off_t)(head->e_phoff + i * sizeof(segment)));

		if (n != (ssize_t)sizeof(segment))
			return 0;
		if (segment.p_type != PT_INTERP)
			continue;
		n = pread(fd, ret, INTERPRETER_MAX - 1, (off_t)segment.p_offset);
		if (n <= 0 || segment.p_filesz < 2 || segment.p_filesz > (uint64_t)n || ret[segment.p_filesz - 1])
			return 0;
		return 1;
	}
	return 0;
}

int interpreter_of(int fd, char ret[static INTERPRETER_MAX])
{
	union {
		Elf64_Ehdr head;
		char text[INTERPRETER_MAX];
	} begin = {.text = ""};
	ssize_t n = pread(fd, begin.text, sizeof(begin.text) - 1, 0);

	if (n > 2 && !memcmp(begin.text, "#!", 2))
		return of_script(begin.text, ret);
	if (n >= (ssize_t)sizeof(begin.head) && !memcmp(begin.head.e_ident, ELFMAG, SELFMAG))
		return of_elf(fd, &begin.head, ret);
	return 0;
}
