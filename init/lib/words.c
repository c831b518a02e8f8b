/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements words.h. */
#include <stdio.h>
#include <string.h>

#include "words.h"

const char *error_words(int error)
{
	static char text[96];

	snprintf(text, sizeof(text), "%s", strerror(error));
	if (text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a' && text[1] <= 'z')
		text[0] = (char)(text[0] + 'a' - 'A');
	return text;
}
