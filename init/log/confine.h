/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The confinement of the roles service-log and logger: their users, network, files and system calls. */
#ifndef INIT_LOG_CONFINE_H
#define INIT_LOG_CONFINE_H

#include <stddef.h>

/*
 * In two steps: the user, network and capabilities, before the second thread; then the system calls, for all threads.
 * 0, or negative errno with the name of the failed step in *ret_what.
 */
int logconfine_identity(const char **ret_what);
int logconfine_calls(size_t address_space, const char **ret_what);

/* Of the role logger, which has one thread: its user, files below this directory alone, and its calls. As above. */
int logconfine_logger(int directory, const char **ret_what);

/* Of the process that makes and opens the directory: root, but only with what that takes. As above. */
int logconfine_opener(const char **ret_what);

/* From now on this thread may use files below this directory only; -1: no files. 0 or negative errno. */
int logconfine_files(int directory);

#endif
