# SPDX-License-Identifier: GPL-2.0-or-later
"""An image that is not the test image: a folder with programs of Debian's in a merged /usr, built, booted through firmware with
its initramfs compressed, and measured as predicted."""

import json
import os
import shutil
import unittest

import support
from support import BootTest, image
from qemu import debian, uki

setUpModule = support.setUpModule
TOOL = "/usr/bin/tpm2"


class OfOnesOwn(BootTest):
    def write(self, name, content, mode=0o644):
        path = os.path.join(self.source, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)

    def test_a_folder_with_programs_of_debian_boots_compressed_and_has_the_registers_that_were_predicted(self):
        self.source = os.path.join(self.folder, "own")
        programs = debian.programs(TOOL, "/usr/bin/env", "/usr/bin/stat", plugins=debian.TPM2_PLUGINS[:4])
        for path, (content, mode) in programs.items():
            inside = path if path.startswith("/usr") else "/usr" + path
            self.write("root" + inside, content, mode)
        for name in ("bin", "sbin", "lib", "lib64"):
            os.makedirs(f"{self.source}/root/usr/{name}", exist_ok=True)
            os.symlink(f"usr/{name}", f"{self.source}/root/{name}")
        self.write("root/etc/own/key", b"secret\n", 0o600)
        self.write("image.json", json.dumps({"name": "own-of-the-boot-test", "cmdline": "quiet panic=-1 cryptomgr.notests",
                                             "paths": {"/etc/own/key": {"mode": "0640", "group": 42}}}).encode())
        pcrs = debian.command(TOOL, "pcrread", "sha256:4,9,11", TPM2TOOLS_TCTI="device:/dev/tpmrm0")
        self.write("boot.json", json.dumps({
            "modules": ["virtio_net", "button", "evdev"],
            "stages": [{"name": "pcrs", "type": "exec", "retry": {"limit": 1}, "options": {"command": pcrs}},
                       {"name": "look", "type": "exec", "retry": {"limit": 1},
                        "options": {"command": ["/bin/stat", "-c", "%n %a %u %g", "/etc/own/key", "/usr/bin/tpm2", "/sbin"]}}],
        }).encode())
        out = image.ensure(self.source)
        self.addCleanup(shutil.rmtree, out)
        with open(os.path.join(out, "gantry.efi"), "rb") as file:
            content = file.read()
        self.assertEqual(uki.Image(content).section(".initrd")[:4], b"\x28\xb5\x2f\xfd")
        guest = self.boot(tier=2, boot_disk=os.path.join(out, "gantry.raw"))
        self.wait_booted(guest)
        found = [event.text.split() for event in guest.events if event.source == "pcrs" and ":" in event.text]
        found = {fields[0].rstrip(":"): fields[-1].removeprefix("0x").lower() for fields in found}
        predicted = uki.measurements(content)["measurements"]
        self.assertEqual({pcr: found.get(pcr) for pcr in predicted}, {pcr: value["expected"] for pcr, value in predicted.items()})
        looked = [event.text for event in guest.events if event.source == "look" and event.text.startswith("/")]
        self.assertEqual(looked, ["/etc/own/key 640 0 42", "/usr/bin/tpm2 755 0 0", "/sbin 777 0 0"])
        self.assertEqual([event.text for event in guest.events if event.level == "error"], [])      # it has no configfs
        self.power_off(guest)


if __name__ == "__main__":
    unittest.main()
