/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Texts of errors in the style of Gantry's messages. The next call of the same function overwrites its result.
 */
#ifndef INIT_LIB_WORDS_H
#define INIT_LIB_WORDS_H

/* strerror() with a lower-case first letter, except for abbreviations ("I/O error"). */
const char *error_words(int error);

/* The name of a signal that ends processes ("SIGKILL"), or else "signal N". */
const char *signal_words(int sig);

#endif
