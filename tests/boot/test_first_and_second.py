# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine's first and second boot, with everything in order around it."""

import codecs
import json
import unittest

import support
from support import BootTest, add_probe, look_at_snapshot
from qemu.peers.hub import DISK_KEY, DOCUMENT


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


class DiskKey(BootTest):
    def test_disk_key_from_the_hub_is_in_no_event_no_console_line_and_no_file(self):
        self.platform(disk_key=DISK_KEY)

        def change(config):
            next(stage for stage in config["stages"] if stage["name"] == "disk")["options"]["keys"] = ["hub"]
            add_probe(config, "look", "secret", codecs.encode(DISK_KEY, "rot13"), needs=["disk", "render"])

        guest = self.boot(disk=self.blank_disk(), change=change)
        self.wait_booted(guest)
        found = guest.wait_for("look", text=r"looked at \d+ files and found \d+", kind="message", timeout=60)
        self.assertRegex(found.text, "found 0$")
        self.assertFalse([line for line in guest.lines if DISK_KEY in line])
        _, body = self.api(guest, "/api/v1/events")
        self.assertNotIn(DISK_KEY, body)

    def test_the_search_would_find_a_secret_that_is_there(self):
        self.platform()
        secret = DOCUMENT["instance_name"]        # rendered into a file, so it must be found
        guest = self.boot(disk=self.blank_disk(), change=lambda config: add_probe(
            config, "look", "secret", codecs.encode(secret, "rot13"), needs=["render"]))
        found = guest.wait_for("look", text=r"looked at \d+ files and found \d+", kind="message", timeout=60)
        self.assertRegex(found.text, "found [1-9]")


if __name__ == "__main__":
    unittest.main()
