/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * musl has no words for 39 of Linux' error numbers, among them what ext4 says of a damaged file system ("No error
 * information"). The linker puts this function in the place of strerror(3), also for the libraries (--wrap=strerror).
 */
#ifndef INIT_LIB_STRERROR_H
#define INIT_LIB_STRERROR_H

char *__wrap_strerror(int error);	/* not to be changed */
char *__real_strerror(int error);	/* of the C library */

#endif
