/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory that the binary itself takes in a process. */
#ifndef INIT_PROCESS_IMAGE_H
#define INIT_PROCESS_IMAGE_H

/*
 * What was written only while the process began cannot be written any more: the addresses in constant tables. Every
 * role begins with it; 0 or negative errno.
 */
int image_protect(void);

/*
 * Gives back the tables of the libraries that sections.ld calls foreign. From here on nothing of them may be called or
 * read in this process, or in a copy of it that has not executed a program.
 */
void image_forget_foreign(void);

#endif
