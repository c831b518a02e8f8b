# SPDX-License-Identifier: GPL-2.0-or-later
"""The image's files, held against programs that nobody here wrote: what they read is what was meant."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest

import support
from support import BOOT, BUILD, IMAGE, image
from qemu import disk, uki, variant

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
        disk.write_disk(path, UKI)
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


class Policy(unittest.TestCase):
    """`policy.py FOLDER` on an image whose stage disk has version 3 and a key of its own."""

    @classmethod
    def setUpClass(cls):
        os.makedirs(os.path.join(BUILD, "results"), exist_ok=True)
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(dir=os.path.join(BUILD, "results"), prefix="signed-"))
        for name, *how in (("key", "genrsa", "2048"), ("other", "genrsa", "2048"), ("long", "genrsa", "3072"),
                           ("three", "genrsa", "-3", "2048"),
                           ("ec", "genpkey", "-algorithm", "EC", "-pkeyopt", "group:P-256")):
            with open(cls.path(f"{name}.pem"), "wb") as file:
                file.write(output("openssl", *how))
        cls.public = output("openssl", "pkey", "-in", cls.path("key.pem"), "-pubout")
        with open(cls.path("public.pem"), "wb") as file:
            file.write(cls.public)
        config = image.read_config(os.path.join(BOOT, "boot.json"))
        support.node(config, "disk")["options"].update(version=3, policy_key="/etc/gantry/disk-policy.pem")
        cls.files = {"/etc/gantry/boot.json": json.dumps(config).encode(), "/etc/gantry/disk-policy.pem": cls.public}
        variant.make(cls.path("image"), files=cls.files)
        disk.write_vhd(cls.path("image/gantry.vhd"), cls.path("image/gantry.raw"))

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    def content(self, name):
        with open(self.path(f"image/{name}"), "rb") as file:
            return file.read()

    def sign(self, *arguments, key="key.pem", folder="image"):
        return subprocess.run([sys.executable, "qemu/policy.py", self.path(folder), "--key", self.path(key), *arguments],
                              capture_output=True, text=True, check=False)

    def test_signing_changes_the_policy_partition_and_nothing_else_on_the_disk(self):
        disk.write_disk(self.path("image/gantry.raw"), self.path("image/gantry.efi"), esp_min=100 * disk.MIB)
        before, efi = self.content("gantry.raw"), self.content("gantry.efi")
        self.assertEqual(self.sign().returncode, 0)
        after, text = self.content("gantry.raw"), self.content("policy.json")
        table = json.loads(output("sfdisk", "--json", self.path("image/gantry.raw")))["partitiontable"]
        _, partition = table["partitions"]
        start, size = partition["start"] * 512, partition["size"] * 512
        self.assertEqual(after[start:start + size], text.ljust(size, b"\0"))
        self.assertEqual((after[:start], after[start + size:]), (before[:start], before[start + size:]))
        self.assertEqual(self.content("gantry.efi"), efi)
        disks = (self.path(f"image/gantry.{kind}") for kind in ("raw", "vhd"))
        output("qemu-img", "compare", "-f", "raw", "-F", "vpc", *disks)

    def test_policy_has_the_image_s_measurements_and_version_and_is_the_same_bytes_each_time(self):
        self.assertEqual(self.sign().returncode, 0)
        text = self.content("policy.json")
        fields = json.loads(text)
        self.assertEqual(sorted(fields), ["pcrs", "policy", "signature", "version"])
        expected = uki.measurements(self.content("gantry.efi"))["measurements"]
        self.assertEqual(fields["pcrs"], {pcr: value["expected"] for pcr, value in expected.items()})
        self.assertEqual(fields["version"], 3)
        self.assertEqual(text, json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())
        self.assertEqual(self.sign("--version", "3").returncode, 0)
        self.assertEqual(self.content("policy.json"), text)
        variant.make(self.path("again"), files=self.files, sign=self.path("key.pem"), version=3)
        with open(self.path("again/policy.json"), "rb") as file:
            self.assertEqual(file.read(), text)
        self.assertEqual(self.sign("--version", "4").returncode, 0)
        self.assertEqual(json.loads(self.content("policy.json"))["version"], 4)

    def test_wrong_key_or_version_is_refused_in_a_sentence_and_nothing_is_signed(self):
        self.assertEqual(self.sign().returncode, 0)
        before = self.content("gantry.raw"), self.content("policy.json")
        for arguments, key, sentence in (
                ((), "none.pem", "the key .*none.pem cannot be read: No such file or directory"),
                ((), ".", "the key .* cannot be read: Is a directory"),
                ((), "image/boot.json", "cannot be read: No such file"),
                ((), "public.pem", "public.pem holds no private key in PEM"),
                ((), "ec.pem", "ec.pem is not an RSA-2048 key with exponent 65537"),
                ((), "long.pem", "long.pem is not an RSA-2048 key with exponent 65537"),
                ((), "three.pem", "three.pem is not an RSA-2048 key with exponent 65537"),
                ((), "other.pem", "other.pem does not belong to the image's /etc/gantry/disk-policy.pem"),
                (("--version", "0"), "key.pem", "version 0: it must be from 1 to 1000"),
                (("--version", "1001"), "key.pem", "version 1001: it must be from 1 to 1000"),
                (("--version", "two"), "key.pem", "version two: it must be a whole number from 1 to 1000"),
                (("--version", "2"), "key.pem", "version 2 is below the image's own, 3:")):
            with self.subTest(key=key, arguments=arguments):
                refused = self.sign(*arguments, key=key)
                self.assertEqual(refused.returncode, 1, refused)
                self.assertRegex(refused.stderr, rf"\Apolicy: .*{sentence}[^\n]*\n\Z")
        self.assertEqual((self.content("gantry.raw"), self.content("policy.json")), before)

    def test_image_without_the_key_that_its_configuration_names_is_refused(self):
        files = {"/etc/gantry/boot.json": self.files["/etc/gantry/boot.json"]}
        variant.make(self.path("keyless"), files=files)
        self.assertIn("the image has no /etc/gantry/disk-policy.pem", self.sign(folder="keyless").stderr)

    def test_image_that_says_nothing_of_a_version_is_signed_for_version_1(self):
        variant.make(self.path("plain"), files={"/etc/motd": b""})
        self.assertEqual(self.sign(folder="plain").returncode, 0)
        with open(self.path("plain/policy.json"), encoding="ascii") as file:
            self.assertEqual(json.load(file)["version"], 1)


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

    def pcrs(self, content):
        return {pcr: value["expected"] for pcr, value in uki.measurements(content)["measurements"].items()}

    def test_sections_are_those_that_objdump_sees(self):
        lines = output("objdump", "-h", UKI).decode().split("\n")
        seen = {fields[1]: int(fields[2], 16) for fields in map(str.split, lines) if len(fields) == 7 and fields[0].isdigit()}
        for name, size in seen.items():
            self.assertEqual(len(uki.Image(self.uki).section(name)), size, name)

    def test_the_command_line_closes_the_kernel_but_for_what_the_configuration_keeps(self):
        closed = "lockdown=integrity proc_mem.force_override=never"
        line = uki.Image(self.uki).section(".cmdline").rstrip(b"\0").decode()
        self.assertEqual(line, f"{image.CMDLINE} {closed}")
        for keep, rest in ((["lockdown"], " proc_mem.force_override=never"), (["proc_mem"], " lockdown=integrity"),
                           (["lockdown", "proc_mem"], ""), (["sysrq"], f" {closed}")):
            self.assertEqual(image.cmdline({"hardening": {"keep": keep}}), image.CMDLINE + rest)

    def test_what_changes_moves_the_registers_it_should(self):
        before = self.pcrs(self.uki)
        for section, moved in ((".cmdline", {"4", "9", "11"}), (".initrd", {"4", "9", "11"}), (".uname", {"4", "11"})):
            at = next(raw for name, _, _, raw in uki.Image(self.uki).sections if name == section)
            changed = bytearray(self.uki)
            changed[at] ^= 1
            after = self.pcrs(bytes(changed))
            self.assertEqual({pcr for pcr in before if before[pcr] != after[pcr]}, moved, section)

    def test_file_that_is_cut_short_or_no_uki_is_refused(self):
        for wrong in (b"", b"MZ", self.uki[:4096], self.uki[:-100000], b"x" * 100000):
            with self.assertRaises(uki.BadImage):
                uki.measurements(wrong)


if __name__ == "__main__":
    unittest.main()
