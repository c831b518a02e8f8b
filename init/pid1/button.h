/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The power button (ACPI, as the host's "shut down" arrives): input devices that have a power key, those that
 * appear later included.
 */
#ifndef INIT_PID1_BUTTON_H
#define INIT_PID1_BUTTON_H

/* pressed is called from the loop. Without input devices nothing happens; errors are events. */
void button_init(void (*pressed)(void));

#endif
