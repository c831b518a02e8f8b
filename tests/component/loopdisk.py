# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that loses power: ext4 on a loop device, and copies of what was on the device at one moment. What the kernel has
not written back yet is in none of them."""

import os
import random
import shutil
import subprocess
import tempfile
import time

from patience import PATIENCE

CUTS = 10


def has_loop():
    return os.geteuid() == 0 and os.path.exists("/dev/loop-control") and shutil.which("losetup") is not None


def run(*command):
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    if ran.returncode:
        raise OSError(f"{command}: {ran.stderr}")
    return ran.stdout.strip()


def seeded():
    """Random numbers that GANTRY_SEED=N repeats; the seed is printed."""
    seed = int(os.environ.get("GANTRY_SEED") or random.SystemRandom().randrange(1 << 32))
    print("GANTRY_SEED", seed)
    return random.Random(seed)


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

    def look(self, number, script, *arguments):
        """What a shell prints that has this cut mounted as /mnt."""
        script = f'mount -o loop "$0" /mnt && cd /mnt || exit; {script}; cd /; umount /mnt'
        return subprocess.run(["unshare", "-m", "sh", "-c", script, self.cuts[number], *arguments], capture_output=True,
                              check=False)

    def use(self, number):
        """The device has what was there at this cut. The kernel lets go of it a moment after the last mount has gone."""
        run("losetup", "-d", self.device)
        end = time.monotonic() + 20 * PATIENCE
        while subprocess.run(["losetup", self.device, self.cuts[number]], check=False, capture_output=True).returncode:
            if time.monotonic() > end:
                raise OSError(f"{self.device} is busy")
            time.sleep(0.01)
