/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for libFuzzer in every test run: gives each file named on the command line, or each file of a folder, to
 * the target once, and then the same input cut short at every eighth of its length. Prints a line a file, so that the
 * last one before a crash is the culprit.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void give(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);	/* of the exact size, so that one byte too far is seen */

	if (!copy)
		abort();
	if (size)
		memcpy(copy, bytes, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int run_file(const char *path)
{
	struct stat status;
	uint8_t *bytes;
	size_t size;
	FILE *file = fopen(path, "rb");

	if (!file || fstat(fileno(file), &status) < 0) {
		perror(path);
		return -1;
	}
	size = (size_t)status.st_size;
	bytes = malloc(size ? size : 1);
	if (!bytes || fread(bytes, 1, size, file) != size) {
		perror(path);
		return -1;
	}
	fclose(file);
	printf("%s\n", path);
	fflush(stdout);
	for (size_t eighths = 0; eighths <= 8; eighths++)
		give(bytes, size * eighths / 8);
	free(bytes);
	return 0;
}

static int run_folder(const char *path)
{
	struct dirent **names;
	int count = scandir(path, &names, NULL, alphasort), result = 0;

	if (count < 0)
		return run_file(path);
	for (int i = 0; i < count; i++) {
		char name[4096];

		if (names[i]->d_name[0] != '.') {
			snprintf(name, sizeof(name), "%s/%s", path, names[i]->d_name);
			result |= run_file(name);
		}
		free(names[i]);
	}
	free(names);
	return result;
}

int main(int argc, char **argv)
{
	int result = 0;

	give((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		result |= run_folder(argv[i]);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}
