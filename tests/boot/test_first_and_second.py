# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine's first and second boot, with everything in order around it."""

import json
import os
import unittest

import jsonschema

import support
from support import BootTest, add_probe, look_at_snapshot, only_disk


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
        self.assert_status_knows_the_machine(guest)
        self.power_off(guest)
        self.assertIsNotNone(guest.find("reth", text="stopped"))

    def assert_status_knows_the_machine(self, guest):
        """What the stages found out, in the document and in /metrics, of a disk that this boot has formatted."""
        status = json.loads(self.api(guest, "/api/v1/status")[1])
        with open(os.path.join(support.REPOSITORY, "docs", "status.schema.json"), encoding="utf-8") as file:
            jsonschema.validate(status, json.load(file))
        disk, clock, found = status["disk"], status["clock"], status["measurements"]
        self.assertEqual((disk["formatted"], disk["filesystem"], disk["mount"]), (True, "ext4", "/persistent"))
        self.assertIn("tpm2", disk["opened_by"])
        self.assertRegex(disk["device"], "^/dev/")
        self.assertRegex(disk["luks_uuid"], "^[0-9a-f-]{36}$")
        self.assertGreater(disk["size_bytes"], 64 << 20)
        self.assertEqual(clock["synchronised"], True)
        self.assertLess(abs(clock["offset_s"]), 1)
        self.assertEqual(len([name for name in found if name.startswith("pcr")]), 5)
        self.assertNotIn(found["pcr14"], ("0" * 64, found["pcr15"]))
        facts = {stage["type"]: stage["facts"] for stage in status["stages"]}
        self.assertRegex(facts["network"]["address"], r"^[0-9.]+/\d+$")
        self.assertGreater(facts["snapshot"]["size_bytes"], 0)
        metrics = dict(line.rsplit(" ", 1) for line in self.api(guest, "/metrics")[1].splitlines() if line[0] != "#")
        self.assertEqual(float(metrics["gantry_disk_wait_seconds"]), disk["wait_s"])
        self.assertEqual(float(metrics["gantry_clock_offset_seconds"]), clock["offset_s"])
        self.assertEqual(float(metrics['gantry_stage_state{stage="disk",state="done"}']), 1)

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
        disk = json.loads(self.api(guest, "/api/v1/status")[1])["disk"]
        self.assertEqual((disk["formatted"], disk["opened_by"], disk["filesystem"]), (False, "tpm2", "ext4"))
        self.power_off(guest)

    def test_earlier_boot_s_events_are_on_the_disk(self):
        def change(config):
            only_disk(config)
            add_probe(config, "look", "tree", "/persistent/gantry/log", needs=["disk"])

        guest = self.boot(disk=self.used_machine(), change=change, nic=False)
        found = guest.wait_for("look", text=r"with [1-9]\d* files of \d{3,} bytes", kind="message", timeout=60)
        self.assertIsNotNone(found)


if __name__ == "__main__":
    unittest.main()
