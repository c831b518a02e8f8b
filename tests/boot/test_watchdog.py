# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine's own watchdog, a device of the emulator with the kernel's driver for it: PID 1 feeds it, and is missed."""

import unittest

import support
from support import BootTest, only
from qemu import debian

setUpModule = support.setUpModule
TIMEOUT_S = 6
# PID 1 takes no signal that would stop it. Its cgroup can be frozen: it is as if its loop stood.
FREEZE = f"""
sleep {2 * TIMEOUT_S}
mkdir /sys/fs/cgroup/ice
echo 1 > /sys/fs/cgroup/ice/cgroup.procs
echo alive after {2 * TIMEOUT_S} s
sleep 1
echo 1 > /sys/fs/cgroup/ice/cgroup.freeze
"""


class Watchdog(BootTest):
    def test_the_machine_lives_while_pid_1_does_and_is_reset_when_it_hangs(self):
        def change(config):
            only(config)
            config.pop("api", None)
            config["modules"] = ["i6300esb"]
            config["watchdog"] = {"timeout_s": TIMEOUT_S}
            config["services"] = [{"name": "freeze", "command": debian.command("sh", "-c", FREEZE, PATH="/usr/bin:/bin"),
                                   "restart": {"policy": "never"}}]

        guest = self.boot(change=change, files=debian.programs("env", "sh", "sleep", "mkdir"), nic=False,
                          extra=["-device", "i6300esb", "-action", "watchdog=reset"])
        told = guest.wait_for("gantry", kind="message", text="^watchdog: /dev/watchdog0 resets the machine", timeout=30)
        self.assertIn(f"hangs for {TIMEOUT_S} s", told.text)
        guest.wait_for("freeze", kind="message", text="^alive", timeout=60)
        self.assertEqual(guest.wait_end(60), "guest-reset")
        self.assertIsNone(guest.find("gantry", "stopping"), "the reset was not the watchdog's")


if __name__ == "__main__":
    unittest.main()
