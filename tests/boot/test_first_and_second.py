# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine's first and second boot, with everything in order around it."""

import json
import unittest

import support
from support import BootTest, add_probe, look_at_snapshot


setUpModule = support.setUpModule


class FirstBoot(BootTest):
    def test_first_boot_reaches_the_services_and_every_stage_says_so(self):
        platform = self.platform()
        guest = self.boot(disk=self.blank_disk())
        self.wait_booted(guest)
        for stage in ("network", "azure", "clock", "config", "measure", "disk", "render", "snapshot"):
            self.assertIn(self.states(guest, stage)[-1], ("done", "skipped"), stage)
        for service in ("dhcpcd", "chronyd", "reth", "rbuilder"):
            self.assertEqual(self.states(guest, service)[-1], "ready", service)
        for first, then in ((("network", "done"), ("clock", "running")), (("clock", "done"), ("config", "running")),
                            (("disk", "done"), ("snapshot", "running")), (("config", "done"), ("render", "running")),
                            (("snapshot", "done"), ("reth", "running")), (("reth", "ready"), ("rbuilder", "running"))):
            self.assert_before(guest, first, then)
        self.assertEqual([report["state"] for report in platform.wireserver.health], ["Ready"])
        self.assertIsNotNone(guest.find("reth", text="first start"))
        self.assertIsNotNone(guest.find("rbuilder", text="reth answers"))
        self.assertIsNone(guest.panic)

        status, _ = self.api(guest, "/livez")
        self.assertEqual(status, 200)
        status, body = self.api(guest, "/api/v1/events")
        self.assertEqual(status, 200)
        self.assertTrue(any("booted" in event["message"] for event in json.loads(body)))
        self.power_off(guest)
        self.assertIsNotNone(guest.find("reth", text="stopped"))

    def test_snapshot_on_the_disk_is_the_bucket_s_byte_for_byte(self):
        platform = self.platform(snapshot_bytes=8 << 20)
        guest = self.boot(disk=self.blank_disk(), change=look_at_snapshot)
        self.assert_snapshot_identical(guest, platform)


class SecondBoot(BootTest):
    def test_second_boot_unseals_opens_and_keeps_the_data(self):
        disk = self.used_machine()
        platform = self.platform()
        guest = self.boot(disk=disk)
        self.wait_booted(guest)
        self.assertIsNotNone(guest.find("snapshot", "skipped"))
        self.assertIsNotNone(guest.find("reth", text="last stop was clean"))
        self.assertEqual(platform.s3.count(contains="mdbx"), 0)
        self.assert_no_line(guest, r"formatt")
        self.power_off(guest)

    def test_earlier_boot_s_events_are_on_the_disk(self):
        disk = self.used_machine()
        self.platform()
        guest = self.boot(disk=disk, change=lambda config: add_probe(
            config, "look", "tree", "/persistent/gantry/log", needs=["disk"]))
        found = guest.wait_for("look", text=r"with [1-9]\d* files of \d{3,} bytes", kind="message", timeout=60)
        self.assertIsNotNone(found)


if __name__ == "__main__":
    unittest.main()
