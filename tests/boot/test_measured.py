# SPDX-License-Identifier: GPL-2.0-or-later
"""The image through UEFI firmware, measured into the virtual TPM: what was predicted is what is there."""

import json
import os
import unittest

import support
from support import BOOT, IMAGE, BootTest, add_probe, node
from qemu import policy, uki

PCRS = ("4", "9", "11")


setUpModule = support.setUpModule


class Measured(BootTest):
    def image_with_probe(self, **options):
        """The image with one more stage that prints the PCRs: another initrd, so other measurements."""
        return self.image(lambda config: add_probe(config, "pcrs", "pcrs"), **options)

    def assert_as_predicted(self, guest, predicted, boot):
        for pcr in PCRS:
            found = guest.wait_for("pcrs", text=rf"^pcr {pcr} is ", kind="message", timeout=90)
            self.assertEqual(found.text, f"pcr {pcr} is {predicted[pcr]['expected']}", f"{boot} boot")

    def test_predicted_pcr_4_9_and_11_are_the_virtual_tpm_s_and_another_image_cannot_unseal_the_key(self):
        """In a first boot, in a second one after the image's policy was signed, and in a third one, of another image."""
        boot_disk = self.image_with_probe()
        folder = os.path.dirname(boot_disk)
        with open(os.path.join(folder, "gantry.efi"), "rb") as file:
            predicted = uki.measurements(file.read())["measurements"]
        self.platform()
        data = self.blank_disk()
        for boot in ("first", "second"):
            guest = self.boot(tier=2, boot_disk=boot_disk, disk=data)
            self.assert_as_predicted(guest, predicted, boot)
            self.wait_booted(guest)
            if boot == "second":        # the key was sealed to these very PCRs
                self.assertIsNotNone(guest.find("snapshot", "skipped"))
            self.power_off(guest)
            if boot == "first":
                policy.sign_image(folder, self.policy_key()[0], 1)
        before = support.sha256_of(data)
        guest = self.boot(tier=2, disk=data)
        held = guest.wait_for("gantry", "held", timeout=90)
        self.assertRegex(held.fields["text"], "disk.*sealed to other PCR values")
        self.assertNotIn("done", self.states(guest, "disk"))
        self.power_off(guest)
        self.assertEqual(support.sha256_of(data), before, "the disk was written to")

    def test_boot_disk_is_not_taken_for_the_data_disk_even_where_that_should_be(self):
        def at_the_boot_disk_s_lun(config):
            node(config, "disk")["options"].update(lun=0, wait_s=5)

        self.platform()
        guest = self.boot(boot_disk=self.image(at_the_boot_disk_s_lun))
        held = guest.wait_for("gantry", "held", timeout=90)
        self.assertRegex(held.fields["text"], r"disk lun 0 did not appear within 5 s: sd[a-z] is the boot disk")

    def test_measurements_json_is_that_of_the_image(self):
        with open(os.path.join(IMAGE, "gantry.efi"), "rb") as file:
            again = uki.measurements(file.read())
        with open(os.path.join(IMAGE, "measurements.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file), again)
        self.assertEqual(set(again["measurements"]), set(PCRS))
        self.assertTrue(os.path.exists(os.path.join(BOOT, "boot.json")))


if __name__ == "__main__":
    unittest.main()
