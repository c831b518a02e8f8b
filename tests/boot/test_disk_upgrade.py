# SPDX-License-Identifier: GPL-2.0-or-later
"""Images that follow one another on one machine: another image has no key of `tpm2`, opens by the hub and is enrolled; one that
is signed opens by its signature; one of an older version does not. Where a disk goes from a signed image to the next, firmware
measures the latter; the other boots are started directly, with the PCRs that firmware would leave (BootTest.measured_initrd)."""

import os
import unittest

import support
from support import BootTest, add_probe, node, only, only_disk
from qemu import disk
from qemu.peers.hub import DISK_KEY

KEY_PATH = "/etc/gantry/disk-policy.pem"

setUpModule = support.setUpModule


def variation(hostname, hub=False, **options):
    """The disk alone, or with what gets a secret from the hub; the host's name makes another image of it."""
    def change(config):
        config["hostname"] = hostname
        if hub:
            only(config, "network", "clock", "config", "disk", "dhcpcd", "chronyd")
        else:
            only_disk(config)
        node(config, "disk")["options"].update({"keys": ["tpm2"], **options})
        node(config, "disk")["retry"] = {"min_s": 1, "max_s": 1, "limit": 2}
        add_probe(config, "pcrs", "pcrs")
    return change


class Upgrade(BootTest):
    def opened(self, boot_disk, tier=1, **options):
        """Boots that image; what the disk stage says when it is done."""
        guest = self.boot(tier=tier, boot_disk=boot_disk, disk=self.disk, **options)
        text = guest.wait_for("disk", "done", timeout=120).fields["text"]
        self.wait_booted(guest)
        self.power_off(guest)
        self.guest = guest
        return text

    def held(self, boot_disk, **options):
        before = support.sha256_of(self.disk)
        guest = self.boot(boot_disk=boot_disk, disk=self.disk, **options)
        reason = guest.wait_for("gantry", "held", timeout=120).fields["text"]
        self.power_off(guest)
        self.assertEqual(support.sha256_of(self.disk), before, f"the disk was written to: {reason}")
        return reason

    def test_another_image_opens_by_the_hub_and_has_a_keyslot_of_its_own_from_then_on(self):
        self.platform(disk_key=DISK_KEY)
        self.blank_disk()
        both = {"keys": ["tpm2", "hub"], "enroll": ["tpm2", "hub"]}
        first, second = (self.image(variation(name, hub=True, **both)) for name in ("first", "second"))
        alone = self.image(variation("alone"))
        self.assertIn("formatted, key from tpm2, hub", self.opened(first))
        self.assertIn("sealed to other PCR values", self.held(alone, nic=False))
        self.assertIn("opened by hub", self.opened(second))
        self.assertIsNotNone(self.guest.find("disk", text="added a keyslot for tpm2", kind="message"))
        self.assertIn("opened by tpm2", self.opened(second))

    def signed(self, version, keys, hostname=None, sign=True):
        """An image of that version, signed, or with another image's signature."""
        private, public = keys
        with open(public, "rb") as file:
            files = {KEY_PATH: file.read()}
        options = {"keys": ["tpm2-signed"], "policy_key": KEY_PATH, "version": version}
        return self.image(variation(hostname or f"v{version}", **options), files=files, sign=private if sign else None,
                          version=version)

    def test_signed_images_open_the_disk_of_their_predecessor_and_never_go_back(self):
        self.blank_disk()
        keys = self.policy_key()
        one, two, three = (self.signed(version, keys) for version in (1, 2, 3))
        self.assertIn("formatted, key from tpm2-signed", self.opened(one, nic=False))
        old_disk = os.path.join(self.folder, "old.raw")
        support.copy_sparse(self.disk, old_disk)
        self.assertIn("opened by tpm2-signed", self.opened(one, nic=False))
        self.assertIn("opened by tpm2-signed", self.opened(two, tier=2, nic=False))
        self.assert_pcrs_as_predicted(self.guest, two)
        support.copy_sparse(old_disk, self.disk)        # the host brings back the disk of then: no help
        self.assertIn("version 1 is older than version 2, which ran here", self.held(one, nic=False))
        self.assertIn("opened by tpm2-signed", self.opened(three, nic=False))

    def test_image_without_a_signature_or_with_another_s_is_refused(self):
        self.blank_disk()
        keys, others = self.policy_key(), self.policy_key("others")
        self.assertIn("formatted, key from tpm2-signed", self.opened(self.signed(1, keys), nic=False))
        unsigned = self.signed(1, keys, "unsigned", sign=False)
        self.assertIn("no signed policy", self.held(unsigned, nic=False))
        forged = self.image(variation("forged", keys=["tpm2-signed"], policy_key=KEY_PATH, version=1),
                            files={KEY_PATH: self.read(keys[1])}, sign=others[0], version=1)
        self.assertIn("does not verify with this image's policy key", self.held(forged, nic=False))
        # A signature by the right key for another image: it goes with nobody else.
        stolen, source = self.signed(1, keys, "stolen", sign=False), self.signed(1, keys, "source")
        disk.write_disk(stolen, self.beside(stolen, "gantry.efi"), self.read(self.beside(source, "policy.json")))
        self.assertIn("for another image or version", self.held(stolen, nic=False))

    @staticmethod
    def beside(path, name):
        return os.path.join(os.path.dirname(path), name)

    @staticmethod
    def read(path):
        with open(path, "rb") as file:
            return file.read()


if __name__ == "__main__":
    unittest.main()
