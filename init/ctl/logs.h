/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gantryctl logs NAME [-n LINES] [-f]; argv[0] is "logs". Returns the exit status. */
#ifndef INIT_CTL_LOGS_H
#define INIT_CTL_LOGS_H

int ctl_logs(int argc, char **argv);

#endif
