/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads and checks boot.json in one pass into the plain structs of init/lib/config.h. The same function serves PID 1,
 * `gantryctl check` and the image build.
 */
#ifndef INIT_CONFIG_LOAD_H
#define INIT_CONFIG_LOAD_H

#include <stddef.h>
#include <stdio.h>

#include "init/lib/config.h"

/*
 * Reads and checks a configuration file. 0, or negative errno with one line for people in error (without a
 * newline): "boot.json:12: stages[2] \"disk\": needs \"netwrok\": no such stage or service". On failure *ret
 * is untouched. The result is freed by config_free(), which accepts NULL.
 */
int config_load(const char *path, struct config **ret, char *error, size_t error_size);

/*
 * The same, and the programs and templates that it names must be in the image whose root directory image_fd is; -1: no
 * such image. A line for each thing that is legal and nearly always wrong goes to warnings, unless that is NULL.
 */
int config_load_for(int image_fd, const char *path, FILE *warnings, struct config **ret, char *error,
		    size_t error_size);

/* The same for size bytes of text that came from a file of this name. The text is not changed. */
int config_parse(const char *name, const char *text, size_t size, struct config **ret, char *error, size_t error_size);

/* One line a key, sorted as in the tables: PATH TYPE and its bounds; for `gantryctl check --keys`. */
void config_print_keys(FILE *out);

void config_free(struct config *config);

#endif
