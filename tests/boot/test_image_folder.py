# SPDX-License-Identifier: GPL-2.0-or-later
"""An image that is not the test image: a folder with programs of Debian's in a merged /usr, and an OCI image as a service, built,
booted through firmware with its initramfs compressed, and measured as predicted."""

import json
import os
import shutil
import unittest

import ocilayout
import support
from support import BootTest, image
from qemu import debian, uki

setUpModule = support.setUpModule
TOOL = "/usr/bin/tpm2"
SAY = """read -r name < /etc/name; echo image $name
while read -r key value; do case $key in Uid:|Gid:|CapEff:) echo $key $value;; esac; done < /proc/self/status
echo in srv: /srv/*
echo host: /etc/own* /images*
(echo x > /etc/new) 2> /dev/null || echo read-only
echo $MODE > /data/mode && echo written $MODE in $PWD
"""


class OfOnesOwn(BootTest):
    def write(self, name, content, mode=0o644):
        path = os.path.join(self.source, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)

    def write_oci(self):
        """A shell with its libraries, and a second layer."""
        programs = debian.programs("/usr/bin/dash")
        base = [("srv", 0o40755, 0, 0, ""), ("srv/first", 0o100644, 0, 0, "x"), ("srv/removed", 0o100644, 0, 0, "x"),
                ("etc/passwd", 0o100644, 0, 0, "box:x:4242:4343::/srv:/bin/sh\n"), ("bin/sh", 0o120777, 0, 0, "/usr/bin/dash"),
                *((path.strip("/"), 0o100000 | mode, 0, 0, content) for path, (content, mode) in sorted(programs.items()))]
        second = [("srv/.wh.removed", 0o100644, 0, 0, ""), ("etc/name", 0o100400, 4242, 0, "box\n")]
        return ocilayout.Layout(os.path.join(self.source, "box.oci"), [base, second],
                                {"Entrypoint": ["sh", "-c"], "Cmd": [SAY], "User": "box", "Env": ["MODE=image"],
                                 "WorkingDir": "/srv", "Volumes": {"/data": {}}})

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
                                             "images": {"box": "./box.oci"},
                                             "paths": {"/etc/own/key": {"mode": "0640", "group": 42}}}).encode())
        self.write_oci()
        pcrs = debian.command(TOOL, "pcrread", "sha256:4,9,11", TPM2TOOLS_TCTI="device:/dev/tpmrm0")
        self.write("boot.json", json.dumps({
            "modules": ["virtio_net", "button", "evdev"],
            "stages": [{"name": "pcrs", "type": "exec", "retry": {"limit": 1}, "options": {"command": pcrs}},
                       {"name": "look", "type": "exec", "retry": {"limit": 1},
                        "options": {"command": ["/bin/stat", "-c", "%n %a %u %g", "/etc/own/key", "/usr/bin/tpm2", "/sbin"]}}],
            "users": [{"name": "data", "uid": 4242, "gid": 4242}],
            "services": [{"name": "box", "root": {"path": "/images/box", "volumes": ["/run/box:/data"]}, "ready": {"exit": True},
                          "environment": {"MODE": "boot"}, "before_start": [{"directory": "/run/box", "user": "data"}],
                          "restart": {"policy": "never"}}],
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
        said = [event.text for event in guest.events if event.source == "box" and event.kind == "message"]
        self.assertEqual(said, ["image box", "Uid: 4242 4242 4242 4242", "Gid: 4343 4343 4343 4343",
                                "CapEff: 0000000000000000", "in srv: /srv/first", "host: /etc/own* /images*", "read-only",
                                "written boot in /srv"])
        self.assertEqual([event.text for event in guest.events if event.level == "error"], [])      # it has no configfs
        self.power_off(guest)


if __name__ == "__main__":
    unittest.main()
