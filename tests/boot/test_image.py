# SPDX-License-Identifier: GPL-2.0-or-later
"""The image's files, held against programs that nobody here wrote: what they read is what was meant."""

import hashlib
import json
import os
import subprocess
import unittest

import support
from support import BOOT, BUILD, IMAGE, image
from qemu import disk, measure

setUpModule = support.setUpModule
RAW, VHD, UKI, INITRAMFS = (os.path.join(IMAGE, name) for name in ("gantry.raw", "gantry.vhd", "gantry.efi", "initramfs.cpio"))


def output(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, **options).stdout


class Disk(unittest.TestCase):
    def test_sfdisk_finds_no_error_in_the_partition_table(self):
        self.assertIn(b"No errors detected", output("sfdisk", "--verify", RAW))
        self.assertIn(b"EFI System", output("sfdisk", "--list", RAW))

    def test_sfdisk_finds_an_empty_policy_partition_that_begins_on_a_whole_mebibyte(self):
        path = os.path.join(BUILD, "results", "unsigned.raw")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        disk.write_disk(path, b"MZ")
        self.addCleanup(os.unlink, path)
        _, policy = json.loads(output("sfdisk", "--json", path))["partitiontable"]["partitions"]
        self.assertEqual(policy["type"].lower(), "6a6e7472-7967-4d0c-9a51-706f6c696379")
        self.assertEqual((policy["name"], policy["size"] * 512), ("gantry-policy", 64 << 10))
        self.assertEqual(policy["start"] * 512 % disk.MIB, 0)
        with open(path, "rb") as file:
            file.seek(policy["start"] * 512)
            self.assertEqual(file.read(64 << 10), bytes(64 << 10))

    def test_fsck_finds_no_error_in_the_esp_and_mtools_reads_the_uki_back(self):
        esp = os.path.join(BUILD, "results", "esp.raw")
        os.makedirs(os.path.dirname(esp), exist_ok=True)
        size = os.path.getsize(RAW) - 2 * disk.MIB
        with open(RAW, "rb") as source, open(esp, "wb") as out:
            source.seek(disk.MIB)
            out.write(source.read(size))
        self.addCleanup(os.unlink, esp)
        subprocess.run(["fsck.fat", "-n", esp], check=True, stdout=subprocess.DEVNULL)
        content = output("mtype", "-i", esp, "::/EFI/BOOT/BOOTX64.EFI")
        with open(UKI, "rb") as file:
            self.assertEqual(hashlib.sha256(content).digest(), hashlib.file_digest(file, "sha256").digest())

    def test_qemu_reads_the_vhd_as_a_fixed_one_with_the_raw_disk_s_content(self):
        self.assertEqual((os.path.getsize(VHD) - 512) % disk.MIB, 0)
        output("qemu-img", "compare", "-f", "raw", "-F", "vpc", RAW, VHD)


class Initramfs(unittest.TestCase):
    def test_cpio_lists_every_file_with_owner_and_mode_from_the_table(self):
        with open(INITRAMFS, "rb") as file:
            lines = output("cpio", "-tvn", "--quiet", stdin=file).decode().splitlines()
        listed = {line.split()[-1]: line.split() for line in lines if " -> " not in line}
        self.assertEqual(listed["init"][0], "-rwxr-xr-x")
        self.assertEqual(listed["root"][0], "drwx------")
        self.assertEqual(listed["dev/console"][0], "crw-------")
        self.assertTrue(all(fields[2:4] == ["0", "0"] for fields in listed.values()))
        self.assertIn("bin/gantryctl -> /init", "\n".join(lines))
        self.assertEqual([name for name in listed if name.endswith((".d", ".key"))], [])

    def test_modules_come_after_what_they_depend_on(self):
        modules = image.Modules(image.Inputs(BUILD).modules)
        order = modules.in_order(image.read_config(os.path.join(BOOT, "boot.json"))["modules"])
        for place, name in enumerate(order):
            for need, _ in modules.needs(name):
                if need in modules.paths:
                    self.assertIn(need, order[:place], f"{name} before {need}")

    def test_module_that_does_not_exist_is_refused_by_name(self):
        with self.assertRaisesRegex(image.BuildError, "no kernel module no_such"):
            image.Modules(image.Inputs(BUILD).modules).in_order(["virtio_net", "no_such"])

    def test_invalid_configuration_is_refused_with_file_and_line(self):
        path = os.path.join(BUILD, "results", "invalid-boot.json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write('{\n\t"hostname": "x",\n\t"stages": [{"name": "a", "type": "nonsense"}]\n}\n')
        self.addCleanup(os.unlink, path)
        with self.assertRaisesRegex(image.BuildError, r"invalid-boot\.json:3"):
            image.check_config(os.path.join(BUILD, "init"), path)


class Measure(unittest.TestCase):
    def setUp(self):
        with open(UKI, "rb") as file:
            self.uki = file.read()

    def pcrs(self, uki):
        return {pcr: value["expected"] for pcr, value in measure.measurements(uki)["measurements"].items()}

    def test_sections_are_those_that_objdump_sees(self):
        lines = output("objdump", "-h", UKI).decode().split("\n")
        seen = {fields[1]: int(fields[2], 16) for fields in map(str.split, lines) if len(fields) == 7 and fields[0].isdigit()}
        for name, size in seen.items():
            self.assertEqual(len(measure.Image(self.uki).section(name)), size, name)

    def test_what_changes_moves_the_registers_it_should(self):
        before = self.pcrs(self.uki)
        for section, moved in ((".cmdline", {"4", "9", "11"}), (".initrd", {"4", "9", "11"}), (".uname", {"4", "11"})):
            at = next(raw for name, _, _, raw in measure.Image(self.uki).sections if name == section)
            changed = bytearray(self.uki)
            changed[at] ^= 1
            after = self.pcrs(bytes(changed))
            self.assertEqual({pcr for pcr in before if before[pcr] != after[pcr]}, moved, section)

    def test_file_that_is_cut_short_or_no_uki_is_refused(self):
        for wrong in (b"", b"MZ", self.uki[:4096], self.uki[:-100000], b"x" * 100000):
            with self.assertRaises(measure.BadImage):
                measure.measurements(wrong)


if __name__ == "__main__":
    unittest.main()
