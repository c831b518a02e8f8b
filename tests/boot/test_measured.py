# SPDX-License-Identifier: GPL-2.0-or-later
"""The image through UEFI firmware, measured into the virtual TPM: what was predicted is what is there."""

import json
import os
import unittest

import support
from support import BOOT, BUILD, IMAGE, BootTest, add_probe, image
from qemu import disk, measure

PCRS = ("4", "9", "11")


setUpModule = support.setUpModule


class Measured(BootTest):
    def uki_with_probe(self):
        """The image with one more stage that prints the PCRs: another initrd, so other measurements."""
        initrd = self.initrd(lambda config: add_probe(config, "pcrs", "pcrs"))
        path = os.path.join(self.folder, "gantry.efi")
        image.write_uki(image.Inputs(BUILD), initrd, path)
        with open(path, "rb") as file:
            uki = file.read()
        disk.write_disk(os.path.join(self.folder, "boot.raw"), uki)
        return uki, os.path.join(self.folder, "boot.raw")

    def test_predicted_pcr_4_9_and_11_are_the_virtual_tpm_s_in_two_boots_of_one_machine(self):
        uki, boot_disk = self.uki_with_probe()
        predicted = measure.measurements(uki)["measurements"]
        self.platform()
        data = self.blank_disk()
        for boot in ("first", "second"):
            guest = self.boot(tier=2, boot_disk=boot_disk, disk=data)
            for pcr in PCRS:
                found = guest.wait_for("pcrs", text=rf"^pcr {pcr} is ", kind="message", timeout=90)
                self.assertEqual(found.text, f"pcr {pcr} is {predicted[pcr]['expected']}", f"{boot} boot")
            self.wait_booted(guest)
            if boot == "second":        # the key was sealed to these very PCRs
                self.assertIsNotNone(guest.find("snapshot", "skipped"))
            self.power_off(guest)

    def test_another_image_cannot_unseal_the_key_and_leaves_the_disk_alone(self):
        self.platform()
        data = self.blank_disk()
        guest = self.boot(tier=2, disk=data)
        self.wait_booted(guest)
        self.power_off(guest)
        _, boot_disk = self.uki_with_probe()
        guest = self.boot(tier=2, boot_disk=boot_disk, disk=data)
        held = guest.wait_for("gantry", "held", timeout=90)
        self.assertIn("disk", held.fields["text"])
        self.assertNotIn("done", self.states(guest, "disk"))

    def test_measurements_json_is_that_of_the_image(self):
        with open(os.path.join(IMAGE, "gantry.efi"), "rb") as file:
            again = measure.measurements(file.read())
        with open(os.path.join(IMAGE, "measurements.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file), again)
        self.assertEqual(set(again["measurements"]), set(PCRS))
        self.assertTrue(os.path.exists(os.path.join(BOOT, "boot.json")))


if __name__ == "__main__":
    unittest.main()
