/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The relay as it runs: mover.h with a user of its own, no capabilities, and system calls for its work alone. */
#ifndef INIT_PROCESS_RELAY_RIGHTS_H
#define INIT_PROCESS_RELAY_RIGHTS_H

_Noreturn void relay_serve(int channel);

#endif
