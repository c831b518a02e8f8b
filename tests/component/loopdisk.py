# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that loses power: ext4 on a loop device, and copies of what was on the device at one moment. What the kernel has
not written back yet is in none of them."""

import os
import shutil
import subprocess
import tempfile


def has_loop():
    return os.geteuid() == 0 and os.path.exists("/dev/loop-control") and shutil.which("losetup") is not None


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class LoopDisk:
    """device: its path. Use as a context manager; whoever has mounted it unmounts it first."""

    def __init__(self, size):
        self.folder = tempfile.mkdtemp(prefix="loopdisk-")
        self.file = os.path.join(self.folder, "disk")
        self.cuts = []
        self.device = None
        with open(self.file, "wb") as file:
            file.truncate(size)

    def __enter__(self):
        run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.file)
        self.device = run("losetup", "--find", "--show", self.file)
        return self

    def __exit__(self, *_):
        subprocess.run(["losetup", "-d", self.device], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def writes(self):
        """(writes so far, writes and reads on their way)"""
        with open(f"/sys/block/{os.path.basename(self.device)}/stat", encoding="ascii") as file:
            fields = file.read().split()
        return int(fields[4]), int(fields[8])

    def cut(self):
        """Keeps what is on the device now: a copy during which nothing was written."""
        copy = os.path.join(self.folder, f"cut{len(self.cuts)}")
        while True:
            before = self.writes()
            run("cp", "--sparse=always", self.file, copy)
            if before[1] == 0 and self.writes() == before:
                break
        self.cuts.append(copy)

    def use(self, number):
        """The device has what was there at this cut."""
        run("losetup", "-d", self.device)
        run("losetup", self.device, self.cuts[number])
