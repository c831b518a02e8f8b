/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An errno in the style of all texts of Gantry: strerror() with a small first letter, but for abbreviations
 * ("I/O error"). The result is overwritten by the next call.
 */
#ifndef INIT_LIB_WORDS_H
#define INIT_LIB_WORDS_H

const char *error_words(int error);

#endif
