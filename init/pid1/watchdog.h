/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hardware watchdog: a device that resets the machine when it is not written to in time. PID 1's loop feeds it, so
 * the machine is reset if PID 1 hangs or the kernel does not schedule it any more.
 */
#ifndef INIT_PID1_WATCHDOG_H
#define INIT_PID1_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Opens and arms the device, and feeds it from the loop from now on. Tries to open a missing device for
 * WATCHDOG_WAIT_S, without blocking, then reports an event. device NULL: does nothing; else it must stay valid.
 */
#define WATCHDOG_WAIT_S 30
void watchdog_init(const char *device, int64_t timeout_ms);

/*
 * Call last before reboot(2). disarm: the machine stays off or halted, so the device is disarmed (magic close);
 * otherwise it is fed once more and stays armed, in case the reboot hangs.
 */
void watchdog_end(bool disarm);

#endif
