# SPDX-License-Identifier: GPL-2.0-or-later
"""The image through UEFI firmware, measured into the virtual TPM: what was predicted is what is there."""

import json
import os
import unittest

import support
from support import BOOT, IMAGE, PCRS, BootTest, add_probe, node, only_disk
from qemu import policy, uki

setUpModule = support.setUpModule


class Measured(BootTest):
    def test_predicted_pcr_4_9_and_11_are_the_virtual_tpm_s_and_another_image_cannot_unseal_the_key(self):
        """Firmware measures the first boot, which seals. In the second one, after the image's policy was signed, the PCRs are the
        predicted ones (BootTest.measured_initrd): they unseal it. Those of another image do not."""
        def change(config):
            only_disk(config)
            add_probe(config, "pcrs", "pcrs")

        boot_disk, other = self.image(change), self.image(only_disk)
        data = self.blank_disk()
        guest = self.boot(tier=2, boot_disk=boot_disk, disk=data, nic=False)
        self.assert_pcrs_as_predicted(guest, boot_disk)
        self.assertIn("formatted, key from tpm2", guest.wait_for("disk", "done", timeout=90).fields["text"])
        self.wait_booted(guest)
        self.power_off(guest)
        policy.sign_image(os.path.dirname(boot_disk), self.policy_key()[0], 1)
        guest = self.boot(boot_disk=boot_disk, disk=data, nic=False)
        self.assertIn("opened by tpm2", guest.wait_for("disk", "done", timeout=90).fields["text"])
        self.assert_pcrs_as_predicted(guest, boot_disk)
        self.wait_booted(guest)
        self.power_off(guest)
        before = support.sha256_of(data)
        guest = self.boot(boot_disk=other, disk=data, nic=False)
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
