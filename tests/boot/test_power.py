# SPDX-License-Identifier: GPL-2.0-or-later
"""gantryctl from inside, and the ends of a machine: by its power button, by gantryctl, and by what `held` is to do."""

import unittest

import support
from support import BootTest, node


def add_command(config, name, command, needs):
    config["services"].append({"name": name, "command": command, "needs": needs, "required": False,
                               "restart": {"policy": "never"}})


setUpModule = support.setUpModule


class Power(BootTest):
    def ends_by(self, command):
        self.platform()
        guest = self.boot(disk=self.used_machine(),
                          change=lambda config: add_command(config, "ender", command, ["rbuilder"]))
        reason = guest.wait_end(120)
        self.assertIsNotNone(guest.find("reth", text="stopped"), "reth had no time to flush")
        self.assert_before(guest, ("rbuilder", "stopping"), ("reth", "stopping"))
        return guest, reason

    def test_gantryctl_poweroff_stops_the_services_and_switches_the_machine_off(self):
        guest, reason = self.ends_by(["/bin/gantryctl", "poweroff"])
        self.assertEqual(reason, "guest-shutdown")
        self.assertIsNotNone(guest.find("gantry", "poweroff"))

    def test_gantryctl_reboot_resets_and_in_the_next_boot_all_is_clean_and_ssh_off_until_gantryctl_starts_it(self):
        guest, reason = self.ends_by(["/sbin/reboot"])
        self.assertEqual(reason, "guest-reset")
        self.assertIsNotNone(guest.find("gantry", "reboot"))
        guest = self.boot(disk=self.disk, change=lambda config: add_command(
            config, "starter", ["/bin/gantryctl", "start", "ssh"], ["rbuilder"]))
        self.wait_booted(guest)
        self.assertIsNotNone(guest.find("reth", text="last stop was clean"))
        guest.wait_for("ssh", "ready", timeout=60)
        self.assert_before(guest, ("starter", "running"), ("ssh", "running"))

    def test_power_button_before_the_boot_is_through_ends_it_in_order(self):
        self.platform(faults={"hub": "status:403"})
        guest = self.boot(disk=self.used_machine())
        guest.wait_for("disk", "done", timeout=60)
        self.power_off(guest)

    def test_held_boot_reboots_after_its_delay_when_the_image_says_so(self):
        self.platform()

        def change(config):
            config["held"] = {"action": "reboot", "delay_s": 2}
            node(config, "disk")["options"]["wait_s"] = 2

        guest = self.boot(change=change)
        guest.wait_for("gantry", "held", timeout=60)
        self.assertEqual(guest.wait_end(60), "guest-reset")


if __name__ == "__main__":
    unittest.main()
