/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The power button (ACPI; a host's shutdown request arrives this way): watches all input devices that have a power key,
 * also those that appear later.
 */
#ifndef INIT_PID1_BUTTON_H
#define INIT_PID1_BUTTON_H

/* `pressed` is called from the loop. Does nothing without input devices; errors are events. */
void button_init(void (*pressed)(void));

#endif
