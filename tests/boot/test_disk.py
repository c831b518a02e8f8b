# SPDX-License-Identifier: GPL-2.0-or-later
"""The data disk in every state an operator can meet: late, missing, foreign, damaged, locked with another key, gone."""

import os
import subprocess
import unittest

import support
from patience import assert_within
from support import OF_THE_HUB, BootTest, node, sha256_of, shares
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


def only_the_disk_and_who_is_told(config):
    support.only(config, "network", "azure", "azure-held", "clock", "config", "disk", "dhcpcd", "chronyd")


class ForeignDisk(BootTest):
    def assert_held_and_untouched(self, change, beside=None, **options):
        """Of the disk and of those {LUN: path} BESIDE it; returns why it is held, and why the others were refused."""
        disks = [self.disk, *(beside or {}).values()]
        before = [sha256_of(path) for path in disks]
        guest = self.boot(disk=self.disk, change=change, more_disks=beside, **options)
        reasons = [guest.wait_for("gantry", "held", timeout=60).fields["text"]]
        self.assertIn("disk", reasons[0])
        reasons += [guest.wait_for(f"disk-{lun}", "failed", timeout=60, despite_held=True).fields["text"] for lun in beside or {}]
        guest.wait_for("azure-held", "done", timeout=60, despite_held=True)
        self.assertEqual(self.current_platform.wireserver.health[-1]["state"], "NotReady", "not the last word")
        self.power_off(guest)
        self.assertEqual([sha256_of(path) for path in disks], before, f"a disk was written to: {reasons}")
        return reasons

    def test_disk_of_another_machine_s_tpm_and_whatever_else_is_not_blank_is_left_untouched_byte_for_byte(self):
        """More disks of each kind are in test_foreign and test_hostile; here the boot is held, and the cloud is told."""
        self.used_machine()
        others = {lun: os.path.join(self.folder, f"other-{lun}.raw") for lun in range(11, 15)}
        for path in others.values():
            machine.blank_disk(path, 64 << 20)
        machine.foreign_disk(others[11], 64 << 20)
        subprocess.run(["sfdisk", "-q", others[12]], input=b"label: gpt\n,,L\n", check=True)
        with open(others[13], "r+b") as file:
            file.seek((64 << 20) - 4096)
            file.write(b"somebody's data")
        support.copy_sparse(self.disk, others[14])
        machine.damage_luks(others[14])

        def change(config):
            only_the_disk_and_who_is_told(config)
            disk = node(config, "disk")
            for lun in others:
                config["stages"].append({**disk, "name": f"disk-{lun}", "required": False, "options": {
                    "lun": lun, "keys": ["tpm2"], "name": f"disk-{lun}", "mount": f"/run/{lun}"}})

        self.platform()
        other = os.path.join(self.folder, "tpm")
        machine.make_tpm(other)
        reasons = self.assert_held_and_untouched(change, others, tpm=other, folder=os.path.join(self.folder, "other-machine"))
        for reason, said in zip(reasons, ("not made by this TPM", "ext4 signature", "gpt partition table", "is not zero",
                                          "both copies")):
            self.assertIn(said, reason)

    @shares(OF_THE_HUB)
    def test_disk_locked_with_another_key_is_left_untouched(self):
        def change(config):
            only_the_disk_and_who_is_told(config)
            from_hub(config)

        platform = self.platform(disk_key=DISK_KEY)
        self.disk_of_the_hub()
        platform.hub.document["disk_encryption"]["key"] = WRONG_KEY
        reason, = self.assert_held_and_untouched(change)
        self.assertIn("wrong key", reason)
        self.assertNotIn(WRONG_KEY, reason)


if __name__ == "__main__":
    unittest.main()
