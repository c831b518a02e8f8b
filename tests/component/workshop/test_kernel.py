# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels and modules as distributions compress them, and the disk of an image of any size."""

import gzip
import io
import json
import lzma
import os
import re
import struct
import subprocess
import sys
import tempfile
import tracemalloc
import unittest
from contextlib import redirect_stderr

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, REPO)
from qemu import disk, image, kernel  # noqa: E402
from qemu.folder import Folder  # noqa: E402

MIB = disk.MIB


def bzimage(payload, setup=27):
    """As Documentation/arch/x86/boot.rst has it, with a payload at an odd place."""
    head = bytearray((setup + 1) * 512)
    head[0x1F1], head[0x202:0x206] = setup, b"HdrS"
    struct.pack_into("<H", head, 0x206, 0x20F)
    struct.pack_into("<II", head, 0x248, 333, len(payload))
    return bytes(head) + b"\x28\xb5\x2f\xfd" + bytes(329) + payload + b"what follows"


def tool(*command):
    return lambda data: subprocess.run(command, input=data, capture_output=True, check=True).stdout


def lz4(data):
    """The legacy frame, of literals alone: one block for each 8 MiB."""
    out = b"\x02\x21\x4c\x18"
    for at in range(0, len(data), 8 << 20):
        piece = data[at:at + (8 << 20)]
        rest = len(piece) - 15
        block = b"\xf0" + b"\xff" * (rest // 255) + bytes([rest % 255]) + piece
        out += struct.pack("<I", len(block)) + block
    return out


FORMS = {"zstd": (tool("zstd", "-q", "-c"), ".zst"),
         "xz": (lambda data: lzma.compress(data, check=lzma.CHECK_CRC32, preset=0), ".xz"),
         "gzip": (gzip.compress, ".gz"), "none": (bytes, ""), "lz4": (lz4, None)}


class Kernels(unittest.TestCase):
    def test_the_kernel_is_found_however_it_is_compressed(self):
        vmlinux = kernel.ELF + os.urandom(9 << 20)
        for name, (compress, _) in FORMS.items():
            with self.subTest(name):
                payload = compress(vmlinux) + struct.pack("<I", len(vmlinux))
                if name == "none":
                    payload = vmlinux
                self.assertEqual(kernel.vmlinux_of(bzimage(payload)), vmlinux)
        self.assertEqual(kernel.vmlinux_of(image.read_file(image.Inputs(image.BUILD).kernel)),
                         image.read_file(image.Inputs(image.BUILD).vmlinux))

    def test_what_is_none_is_refused(self):
        for data, words in ((b"MZ" + bytes(2000), "not a bzImage"), (b"", "not a bzImage"),
                            (bzimage(b"BZh9" + bytes(100)), r"none of zstd, xz, gzip and lz4.*425a6839"),
                            (bzimage(gzip.compress(b"no ELF file")), "compressed by none"),
                            (bzimage(b"\x28\xb5\x2f\xfd" + bytes(9)), "compressed by none"),
                            (bzimage(b""), "compressed by none")):
            with self.assertRaisesRegex(kernel.BadKernel, words):
                kernel.vmlinux_of(data)


class Modules(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name

    def test_modules_are_read_however_they_are_compressed(self):
        inputs = image.Inputs(image.BUILD)
        source = image.Modules(inputs.modules)
        wanted = [source.content(name) for name in source.in_order(["dm_crypt"])]
        for name, (compress, ending) in FORMS.items():
            if ending is None:
                continue
            top = os.path.join(self.folder, name)
            os.mkdir(top)
            for module in source.in_order(["dm_crypt"]):
                image.write_new(os.path.join(top, f"{module.replace('_', '-')}.ko{ending}"), compress(source.content(module)))
            modules = image.Modules(top)
            self.assertEqual([modules.content(module) for module in modules.in_order(["dm-crypt"])], wanted)

    def of_folder(self, **boot):
        image.write_new(os.path.join(self.folder, "boot.json"), json.dumps(boot).encode())
        with redirect_stderr(io.StringIO()):
            return image.archive.files(image.initramfs(image.Inputs(image.BUILD), Folder(self.folder)))

    def test_a_module_of_the_folder_comes_with_what_it_needs_and_must_fit_the_kernel(self):
        inputs = image.Inputs(image.BUILD)
        content = image.Modules(inputs.modules).content("dm_crypt")
        self.assertTrue(content.endswith(kernel.SIGNED))
        os.mkdir(os.path.join(self.folder, "modules"))
        path = os.path.join(self.folder, "modules", "own.ko")
        image.write_new(path, content)
        files = self.of_folder(modules=["own"])
        self.assertEqual(files["lib/modules/own.ko"], content)
        order = files["etc/gantry/modules"].decode().split()
        self.assertLess(order.index("/lib/modules/dm_mod.ko"), order.index("/lib/modules/own.ko"))
        self.assertIn("modules/own.ko", Folder(self.folder).places())
        image.write_new(path, content.replace(b"vermagic=6", b"vermagic=5"))
        said = rf"own.ko: it was built for the kernel 5.*this one is {re.escape(inputs['KERNEL_VERSION'])}"
        with self.assertRaisesRegex(image.BuildError, said):
            self.of_folder(modules=["own"])
        image.write_new(path, content[:-30])
        with self.assertRaisesRegex(image.BuildError, "own.ko: it is not signed"):
            self.of_folder(modules=["own"])
        self.assertIn("lib/modules/own.ko", self.of_folder(modules=["own"], hardening={"keep": ["lockdown"]}))
        image.write_new(path, b"text")
        with self.assertRaisesRegex(kernel.BadKernel, "own.ko is not a kernel module"):
            self.of_folder(modules=["own"])


class Disks(unittest.TestCase):
    def test_clusters_follow_the_size_and_the_file_is_never_in_memory(self):
        with tempfile.TemporaryDirectory() as folder:
            efi, raw, esp, back = (os.path.join(folder, name) for name in ("efi", "raw", "esp", "back"))
            for size, esp_min, cluster in ((5 * MIB + 7, 72 * MIB, 1024), (40 * MIB, 300 * MIB, 4096),
                                           (MIB + 1, 600 * MIB, 8192)):
                with open(efi, "wb") as file:
                    file.write(b"first")
                    file.seek(size - 4)
                    file.write(b"last")
                tracemalloc.start()
                disk.write_disk(raw, efi, b"policy", esp_min)
                self.assertLess(tracemalloc.get_traced_memory()[1], 16 * MIB)
                tracemalloc.stop()
                subprocess.run(["dd", f"if={raw}", f"of={esp}", "bs=1M", "skip=1", "conv=sparse", "status=none",
                                f"count={os.path.getsize(raw) // MIB - 2}"], check=True)
                said = subprocess.run(["fsck.fat", "-nv", esp], capture_output=True, text=True, check=False)
                self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
                self.assertIn(f"{cluster} bytes per cluster", said.stdout)
                subprocess.run(["mcopy", "-n", "-o", "-i", esp, "::/EFI/BOOT/BOOTX64.EFI", back], check=True)
                subprocess.run(["cmp", efi, back], check=True)

    def test_a_file_that_fat_cannot_hold_is_refused(self):
        with tempfile.NamedTemporaryFile() as efi:
            efi.truncate(disk.FILE_MAX + 1)
            with self.assertRaisesRegex(ValueError, "FAT32 holds 4294967295 in a file"):
                disk.write_disk(efi.name + ".raw", efi.name)


if __name__ == "__main__":
    unittest.main()
