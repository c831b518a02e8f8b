/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A service's environment file: lines of KEY=VALUE. Such files are rendered from a document that came over the
 * network, so the parse is strict and bounded, and no reason ever quotes a value, which may be a secret.
 */
#ifndef INIT_LAUNCH_ENVFILE_H
#define INIT_LAUNCH_ENVFILE_H

#include <stddef.h>

#define ENVFILE_SIZE_MAX 65536
#define ENVFILE_VARIABLES_MAX 512

/* Names and values point into the text they were read from. */
struct envfile {
	size_t n;
	struct {
		const char *name, *value;
	} variables[ENVFILE_VARIABLES_MAX];
};

/*
 * Parses size bytes of text, which has one byte more for a NUL, and changes it in place. 0, or -EINVAL with the
 * reason, to follow a path: ":3: no KEY=VALUE".
 */
int envfile_parse(char *text, size_t size, struct envfile *ret, char *reason, size_t reason_size);

/* The same for a file, without a symbolic link in its path; free *ret_text after the last use of the variables. */
int envfile_read(const char *path, char **ret_text, struct envfile *ret, char *reason, size_t reason_size);

const char *envfile_find(const struct envfile *envfile, const char *name);

#endif
