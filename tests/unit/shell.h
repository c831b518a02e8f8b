/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A fixture that is made with shell commands. */
#ifndef TESTS_UNIT_SHELL_H
#define TESTS_UNIT_SHELL_H

#include <stdarg.h>

#include "test.h"

/* Fails the test if the command does. */
__attribute__((format(printf, 1, 2))) static void shell(const char *fmt, ...)
{
	char command[2048];
	va_list arguments;

	va_start(arguments, fmt);
	CHECK(vsnprintf(command, sizeof(command), fmt, arguments) < (int)sizeof(command));
	va_end(arguments);
	CHECK_INT(system(command), 0);
}

#endif
