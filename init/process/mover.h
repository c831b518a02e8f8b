/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process behind relay.h: moves bytes from pipes to sockets and looks at none. It is a fork of PID 1 that has given
 * up everything but that.
 */
#ifndef INIT_PROCESS_MOVER_H
#define INIT_PROCESS_MOVER_H

/* give_up_rights: called at the first order, once /proc is there; 0 or negative errno, which ends the process. */
_Noreturn void mover_serve(int channel, int (*give_up_rights)(void));

#endif
