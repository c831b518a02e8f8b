# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines and images with something missing: each a clear event and a defined state, never a panic."""

import unittest

import support
from support import BootTest, node


setUpModule = support.setUpModule


class Missing(BootTest):
    def assert_held(self, word, **options):
        guest = self.boot(**options)
        held = guest.wait_for("gantry", "held", timeout=90)
        self.assertRegex(held.fields["text"], word)
        self.assertIsNone(guest.panic)
        return guest

    def test_machine_without_a_tpm_holds_and_says_so(self):
        self.platform()
        self.assert_held("(?i)tpm", tpm=False, disk=self.blank_disk())

    def test_machine_without_a_network_card_holds_and_says_so(self):
        self.platform()

        def change(config):
            node(config, "network").update(deadline_s=5, retry={"min_s": 1, "max_s": 1, "limit": 2})

        self.assert_held("network", nic=False, whole=True, disk=self.used_machine(), change=change)

    def test_module_that_does_not_load_is_an_event_and_the_boot_goes_on(self):
        self.platform()
        guest = self.boot(disk=self.used_machine(), files={"/lib/modules/evdev.ko": b"not a module"}, whole=True)
        self.wait_booted(guest)
        self.assertTrue(any("evdev" in event.line and event.level in ("warning", "error") for event in guest.events))

    def test_helper_that_is_missing_holds_and_names_it(self):
        self.platform()

        def change(config):
            support.only(config, "network", "clock", "config", "dhcpcd", "chronyd")
            node(config, "chronyd")["command"][0] = "/sbin/no-such-program"
            node(config, "chronyd")["restart"] = {"policy": "never"}

        self.assert_held("no-such-program|chronyd", change=change)

    def test_invalid_configuration_holds_with_file_and_line(self):
        self.platform()
        guest = self.boot(files={"/etc/gantry/boot.json": b'{\n\t"hostname": 7\n}\n'})
        held = guest.wait_for("gantry", "held", timeout=60)
        self.assertRegex(held.fields["text"], r"boot\.json:\d+")
        self.assertIsNone(guest.panic)

    def test_template_that_does_not_parse_holds_and_names_it(self):
        self.platform()
        guest = self.assert_held("rbuilder.toml.mustache", disk=self.used_machine(), files={
            "/etc/gantry/templates/rbuilder.toml.mustache": b"one\n{{#open}}\n"})
        self.assertEqual(self.states(guest, "rbuilder")[-1:], ["blocked"])


if __name__ == "__main__":
    unittest.main()
