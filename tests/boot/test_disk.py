# SPDX-License-Identifier: GPL-2.0-or-later
"""The data disk in every state an operator can meet: late, missing, foreign, damaged, locked with another key, gone."""

import os
import subprocess
import unittest

import support
from patience import assert_within
from support import DISK_BYTES, BootTest, node, sha256_of
from qemu import machine
from qemu.peers.hub import DISK_KEY

WRONG_KEY = "An0therKeyThatNeverOpenedThisDisk0000000000000000000000000000001"


def from_hub(config):
    node(config, "disk")["options"]["keys"] = ["hub"]


setUpModule = support.setUpModule


class LateDisk(BootTest):
    def test_disk_attached_late_is_taken_at_once_and_nothing_else_waited(self):
        self.platform()
        guest = self.boot(disk=self.blank_disk(), attach_after=600)
        guest.wait_for("config", "done", timeout=60)
        guest.wait_for("azure", "done", timeout=30)
        guest.attach_disk()
        self.wait_booted(guest)
        mounted = guest.moment_of(guest.find("disk", "done")[1])
        assert_within(self, mounted - guest.attached, 0, 15)

    def test_disk_that_is_never_attached_holds_the_boot_and_everyone_learns_why(self):
        platform = self.platform()
        guest = self.boot(change=lambda config: node(config, "disk")["options"].update(wait_s=4))
        held = guest.wait_for("gantry", "held", timeout=60)
        self.assertIn("disk", held.fields["text"])
        report = platform.wireserver.wait_for_health("NotReady", 30)
        self.assertIsNotNone(report, "Azure was not told")
        self.assertEqual(report["substatus"], "ProvisioningFailed")
        self.assertIn("disk", report["description"])
        status, body = self.api(guest, "/api/v1/events?format=text")
        self.assertEqual(status, 200)
        self.assertIn("held", body)
        self.assertEqual(self.states(guest, "reth")[-1:], ["blocked"])
        self.power_off(guest)

    def test_disk_removed_and_attached_again_before_the_boot_needs_it(self):
        self.platform(faults={"hub": "status:403"})
        guest = self.boot(change=from_hub, disk=self.blank_disk())
        guest.wait_for("config", text="403", timeout=60)
        guest.remove_disk()
        guest.attach_disk()
        guest.remove_disk()
        self.assertIsNone(guest.panic)
        self.assertIsNone(guest.find("gantry", "held"))


class LostDisk(BootTest):
    def test_disk_that_goes_away_after_the_boot_is_an_error_and_holds_the_boot(self):
        platform = self.platform()
        guest = self.boot(disk=self.blank_disk())
        self.wait_booted(guest)
        guest.remove_disk()
        failed = guest.wait_for("disk", "failed", timeout=30)
        self.assertRegex(failed.fields["text"], r"^/persistent: .*; start the machine again$")
        self.assertEqual(failed.level, "error")
        self.assertIn("/persistent", guest.wait_for("gantry", "held", timeout=30).fields["text"])
        self.assertIsNotNone(platform.wireserver.wait_for_health("NotReady", 30), "Azure was not told")
        metrics = self.api(guest, "/metrics")[1]
        self.assertIn('gantry_stage_state{stage="disk",state="failed"} 1', metrics)


class ForeignDisk(BootTest):
    def assert_held_and_untouched(self, disk, **options):
        before = sha256_of(disk)
        guest = self.boot(disk=disk, **options)
        held = guest.wait_for("gantry", "held", timeout=60)
        self.assertIn("disk", held.fields["text"])
        guest.wait_for("azure-held", "done", timeout=60, despite_held=True)
        self.assertEqual(self.current_platform.wireserver.health[-1]["state"], "NotReady", "not the last word")
        self.power_off(guest)
        self.assertEqual(sha256_of(disk), before, "the disk was written to")
        return held.fields["text"]

    def test_foreign_file_system_is_left_untouched_byte_for_byte(self):
        self.platform()
        machine.foreign_disk(self.disk, DISK_BYTES)
        self.assertRegex(self.assert_held_and_untouched(self.disk), "ext4|signature")

    def test_foreign_partition_table_is_left_untouched(self):
        self.platform()
        subprocess.run(["sfdisk", "-q", self.blank_disk()], input=b"label: gpt\n,,L\n", check=True)
        self.assert_held_and_untouched(self.disk)

    def test_bytes_without_a_known_signature_in_the_last_megabyte_are_left_untouched(self):
        self.platform()
        with open(self.blank_disk(), "r+b") as file:
            file.seek(DISK_BYTES - 4096)
            file.write(b"somebody's data")
        self.assert_held_and_untouched(self.disk)

    def test_damaged_luks_header_is_left_untouched(self):
        self.used_machine()
        machine.damage_luks(self.disk)
        self.platform()
        self.assert_held_and_untouched(self.disk)

    def test_disk_locked_with_another_key_is_left_untouched(self):
        first = self.platform(disk_key=DISK_KEY)
        guest = self.boot(disk=self.blank_disk(), change=from_hub)
        self.wait_booted(guest)
        self.power_off(guest)
        first.hub.document["disk_encryption"]["key"] = WRONG_KEY
        reason = self.assert_held_and_untouched(self.disk, change=from_hub)
        self.assertNotIn(WRONG_KEY, reason)

    def test_disk_of_another_machine_s_tpm_is_left_untouched(self):
        self.used_machine()
        self.platform()
        other = os.path.join(self.folder, "tpm")
        machine.make_tpm(other)
        self.assert_held_and_untouched(self.disk, tpm=other, folder=os.path.join(self.folder, "other-machine"))


if __name__ == "__main__":
    unittest.main()
