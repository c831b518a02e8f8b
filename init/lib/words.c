/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements words.h. */
#include <signal.h>
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

const char *signal_words(int sig)
{
	static char other[24];

	switch (sig) {
	case SIGKILL: return "SIGKILL";
	case SIGTERM: return "SIGTERM";
	case SIGSEGV: return "SIGSEGV";
	case SIGABRT: return "SIGABRT";
	case SIGBUS:  return "SIGBUS";
	case SIGSYS:  return "SIGSYS (forbidden system call)";
	case SIGFPE:  return "SIGFPE";
	case SIGILL:  return "SIGILL";
	case SIGPIPE: return "SIGPIPE";
	}
	snprintf(other, sizeof(other), "signal %d", sig);
	return other;
}
