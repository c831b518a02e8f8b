/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's own watchdog: a device that resets the machine when it is not written to in time. PID 1's loop feeds
 * it, so a PID 1 that hangs, or a kernel that does not run it any more, ends in a reset and not in a dead machine.
 */
#ifndef INIT_PID1_WATCHDOG_H
#define INIT_PID1_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Opens and arms it, and feeds it from the loop from now on. A device that is not there yet is looked for during
 * WATCHDOG_WAIT_S; that there is none is an event and nothing more. device NULL: none is configured.
 */
#define WATCHDOG_WAIT_S 30
void watchdog_init(const char *device, int64_t timeout_ms);

/*
 * The last thing before reboot(2). disarm: the machine stays off or halted, so the device is told that this is meant
 * (magic close); otherwise it is fed once more and stays armed, in case the reboot hangs.
 */
void watchdog_end(bool disarm);

#endif
