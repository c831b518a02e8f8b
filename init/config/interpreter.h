/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel executes in place of a program: the loader of a dynamic one, the interpreter of a script. */
#ifndef INIT_CONFIG_INTERPRETER_H
#define INIT_CONFIG_INTERPRETER_H

#define INTERPRETER_MAX 256

/* Its path, and so 1; 0: the program needs none, or is not one that we know. The bytes at fd may be anything. */
int interpreter_of(int fd, char ret[static INTERPRETER_MAX]);

#endif
