/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory of the binary's own tables in a process: made read-only, and given back where not needed. */
#ifndef INIT_PROCESS_IMAGE_H
#define INIT_PROCESS_IMAGE_H

/*
 * Makes the constant tables that were relocated at the start of the process (RELRO) read-only. Every role calls it
 * first. 0 or negative errno.
 */
int image_protect(void);

/*
 * Gives back the tables of the libraries listed in sections.ld. From here on those libraries may not be called or read
 * in this process, nor in a fork of it that has not executed a program.
 */
void image_forget_foreign(void);

#endif
