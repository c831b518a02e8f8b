/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text of an errno in the style of Gantry's messages: strerror() with a lower-case first letter, except for
 * abbreviations ("I/O error"). The next call overwrites the result.
 */
#ifndef INIT_LIB_WORDS_H
#define INIT_LIB_WORDS_H

const char *error_words(int error);

#endif
