/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes and checks files that must survive a power cut, for boot tests; in the test image only. A file's content
 * follows from its number, so a later boot knows the expected content.
 *
 *   keeper write DIR     writes and syncs file after file until killed; prints `kept N` once file N is on the disk
 *   keeper check DIR     prints `have N` for each complete file, `bad NAME` for any other
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_MAX_BYTES (96u << 10)
#define FILES          100000

static uint64_t next(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

/* The content of file N: its size is returned. */
static size_t content(unsigned n, uint8_t bytes[SIZE_MAX_BYTES])
{
	uint64_t state = n * 2654435761u + 1;
	size_t size = 512 + next(&state) % (SIZE_MAX_BYTES - 512);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)next(&state);
	return size;
}

static void name_of(unsigned n, const char *suffix, char name[32])
{
	snprintf(name, 32, "file-%u%s", n, suffix);
}

static int put(int directory, unsigned n, bool sync)
{
	static uint8_t bytes[SIZE_MAX_BYTES];
	size_t size = content(n, bytes), done = 0;
	char name[32], new[32];
	int fd;

	name_of(n, "", name);
	name_of(n, ".new", new);
	fd = openat(directory, new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	while (fd >= 0 && done < size) {
		ssize_t wrote = write(fd, bytes + done, size - done);

		if (wrote <= 0)
			return -1;
		done += (size_t)wrote;
	}
	if (fd < 0 || (sync && fsync(fd) < 0) || close(fd) < 0 || renameat(directory, new, directory, name) < 0)
		return -1;
	return sync ? fsync(directory) : 0;
}

static int keep(const char *path)
{
	int directory;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return 1;
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned n = 0; directory >= 0 && n < FILES; n++) {
		char name[32];

		name_of(n, "", name);
		if (faccessat(directory, name, F_OK, 0) == 0)
			continue;
		if (put(directory, n, n % 4 != 3) < 0)
			break;
		if (n % 4 != 3)
			printf("kept %u\n", n);
	}
	printf("cannot go on: %s\n", strerror(errno));
	return 1;
}

static int check(const char *path)
{
	static uint8_t expected[SIZE_MAX_BYTES], found[SIZE_MAX_BYTES + 1];
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned n, whole = 0;

	while (dir && (entry = readdir(dir))) {
		size_t size;
		int fd, end = 0;

		if (sscanf(entry->d_name, "file-%u%n", &n, &end) != 1 || entry->d_name[end])
			continue;
		size = content(n, expected);
		fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, found, sizeof(found)) == (ssize_t)size && memcmp(expected, found, size) == 0) {
			printf("have %u\n", n);
			whole++;
		} else {
			printf("bad %s\n", entry->d_name);
		}
		close(fd);
	}
	printf("checked, %u whole\n", whole);
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "write"))
		return keep(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "check"))
		return check(argv[2]);
	fprintf(stderr, "usage: keeper write DIR | check DIR\n");
	return 2;
}
