# SPDX-License-Identifier: GPL-2.0-or-later
"""podman's storage is a cache: a container comes up after a power cut at any moment of its pull, and with storage that is
damaged in whatever way."""

import os
import re
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.dirname(os.path.dirname(os.path.dirname(HERE)))]
from containers import STORAGE, Containers  # noqa: E402
from loopdisk import CUTS, LoopDisk, has_loop, seeded  # noqa: E402
from pid1 import stage  # noqa: E402

WITHIN_S = 3.0
# What a new boot has not: all below /run.
NEW_BOOT = "rm -rf /run/gantry/containers; "
IMAGE = "$(ls -d overlay-images/[0-9a-f]*)"
# The damage, and whether the storage has to be made anew for it.
DAMAGE = (
    ("an empty file of a layer", "for f in $(find overlay -name 'libc.so*'); do : > $f; done", False),
    ("an image's empty manifest", f"for f in {IMAGE}/*; do : > $f; done", False),
    ("a layer that is lost", "rm -rf overlay/[0-9a-f]*", False),
    ("an empty list of layers", ": > overlay-layers/layers.json", False),
    ("a layer's empty link", "for f in overlay/*/link; do : > $f; done", False),
    ("a list of images that is all zeros", "f=overlay-images/images.json; truncate -s 0 $f; truncate -s 900 $f", True),
    ("a database that is all zeros", "f=db.sql; n=$(stat -c %s $f); truncate -s 0 $f; truncate -s $n $f", True),
    ("a folder in place of a lock", "rm storage.lock; mkdir storage.lock", True),
)


class ContainerStorageTest(Containers):
    def stop(self, gantry):
        gantry.ctl("stop", "box")
        gantry.wait("box", "stopped", count=len(gantry.find("box", "stopped")) + (gantry.states("box")[-1] != "stopped"))

    def inside(self, gantry, script):
        r = gantry.inside("/bin/sh", "-e", "-c", script)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def again(self, gantry, script):
        """As after a new boot, which finds what the script has made of the disk."""
        self.inside(gantry, NEW_BOOT + script)
        ups = self.texts(gantry).count("up")
        gantry.ctl("start", "box")
        gantry.wait("box", "up", kind="message", count=ups + 1, timeout=40)

    @unittest.skipUnless(has_loop(), "no loop devices here")
    def test_a_power_cut_during_a_pull_or_behind_it_costs_at_most_another_pull(self):
        chance = seeded()
        places = sorted(chance.uniform(0, WITHIN_S) for _ in range(CUTS))
        with LoopDisk(128 << 20) as disk:
            mount = stage("disk", f"exec mount -o noatime {disk.device} /persistent", needs=["registry"])
            with self.start(self.registry(), self.container(needs=["disk"], stop_grace_s=1), stages=[mount],
                            devices=[os.path.basename(disk.device)]) as gantry:
                gantry.wait("box", "pulling ", kind="progress", timeout=40)
                began = time.monotonic()
                for place in places:
                    time.sleep(max(0, began + place - time.monotonic()))
                    disk.cut()
                gantry.wait("box", "up", kind="message", timeout=40)
                for number in range(CUTS):
                    with self.subTest(cut=f"{places[number]:.2f} s after the pull began"):
                        self.stop(gantry)
                        self.inside(gantry, "umount /persistent")
                        disk.use(number)
                        self.again(gantry, f"e2fsck -p {disk.device} >&2 || [ $? = 1 ]; "
                                           f"mount -o noatime {disk.device} /persistent")
                self.stop(gantry)
                self.inside(gantry, "umount /persistent")

    def test_storage_that_does_not_work_is_mended_or_made_anew_and_no_volume_is_touched(self):
        box = self.container(volumes=[f"{STORAGE}/own:/data", "/persistent/own:/more"], stop_grace_s=1,
                             before_start=[{"directory": f"{STORAGE}/own"}, {"directory": "/persistent/own"}])
        with self.start(self.registry(), box) as gantry:
            gantry.wait("box", "up", kind="message", timeout=40)
            self.inside(gantry, f"echo mine | tee {STORAGE}/own/file > /persistent/own/file")
            self.stop(gantry)
            self.inside(gantry, f"cp -a {STORAGE} /persistent/good")
            for what, damage, anew in DAMAGE:
                with self.subTest(what=what):
                    self.stop(gantry)
                    said = len(gantry.find("box", "", kind="message"))
                    self.again(gantry, f"rm -rf {STORAGE}; cp -a /persistent/good {STORAGE}; cd {STORAGE}; {damage}")
                    messages = [e.text for e in gantry.find("box", "", kind="message")[said:]]
                    self.assertTrue([m for m in messages if m.startswith("looking for damage")], messages)
                    self.assertTrue([m for m in messages if m.startswith("pulled ")], messages)
                    told = [m for m in messages if re.search(f"set aside as {STORAGE}/aside/[0-9TZ]+ and is made anew", m)]
                    self.assertEqual(len(told), anew, messages)
                    kept = self.inside(gantry, f"ls -A {STORAGE} | grep -c aside || :; "
                                               f"cat {STORAGE}/own/file /persistent/own/file")
                    self.assertEqual(kept.split(), [str(int(anew)), "mine", "mine"])
            with self.subTest(what="once a boot"):
                self.stop(gantry)
                self.inside(gantry, f"{NEW_BOOT} cd {STORAGE}; : > db.sql; echo x > overlay-images/images.json")
                gantry.ctl("start", "box")
                gantry.wait("box", "up", kind="message", count=self.texts(gantry).count("up") + 1, timeout=40)
                self.stop(gantry)
                asides = self.inside(gantry, f"cd {STORAGE}; echo x > overlay-images/images.json; ls aside")
                failures = len(gantry.find("box", "attempt 2 to pull", kind="message"))
                gantry.ctl("start", "box")
                gantry.wait("box", "attempt 2 to pull", kind="message", count=failures + 1)
                self.assertEqual(self.inside(gantry, f"ls {STORAGE}/aside"), asides)
            with self.subTest(what="room is needed"):
                self.stop(gantry)
                self.again(gantry, f"mount -t tmpfs -o size=7m small /persistent; mkdir -p {STORAGE}/aside/20200101T000000Z; "
                                   f"head -c 6m /dev/zero > {STORAGE}/aside/20200101T000000Z/layer")
                self.assertTrue(gantry.find("box", f"removed {STORAGE}/aside/20200101T000000Z, ", kind="message"))


if __name__ == "__main__":
    unittest.main()
