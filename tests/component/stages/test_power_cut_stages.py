# SPDX-License-Identifier: GPL-2.0-or-later
"""What a stage has told as done is on the disk, whole, if the power fails right after that: a snapshot with its mark, rendered
files. The disk is ext4 on a loop device, and a cut a copy of its blocks."""

import json
import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from loopdisk import CUTS, LoopDisk, has_loop, run, seeded
from snapshots import MIB, STATE, SnapshotTest, digests, told
from support import DONE, Stage, private_mounts


def mounted(test):
    """(disk, where it is mounted)"""
    private_mounts()
    disk = test.enterContext(LoopDisk(128 * MIB))
    folder = test.enterContext(tempfile.TemporaryDirectory(prefix="mounted-"))
    os.chmod(folder, 0o755)
    run("mount", "-o", "noatime", disk.device, folder)
    test.addCleanup(subprocess.run, ["umount", "-l", folder], check=False)
    return disk, Path(folder)


@unittest.skipUnless(has_loop(), "no loop devices here")
class Snapshot(SnapshotTest):
    """Cut while it is fetched, while the files get their names, and when it is told as done."""
    size = 6 * MIB

    def test_a_snapshot_is_whole_when_it_is_told_and_goes_on_after_a_cut_before(self):
        chance = seeded()
        disk, folder = mounted(self)
        self.directory = folder / "reth"
        began = time.monotonic()
        self.run_stage()
        took = time.monotonic() - began
        disk.cut()
        told_cuts = {0}
        for _ in range(2):
            subprocess.run(["rm", "-rf", self.directory], check=True)
            run("sync")
            stage, began = self.stage(), time.monotonic()
            for place in sorted(chance.uniform(0, took) for _ in range(4)):
                time.sleep(max(0, began + place - time.monotonic()))
                disk.cut()
            self.assertEqual(stage.wait(60), DONE, told(stage))
            told_cuts.add(len(disk.cuts))
            disk.cut()
        self.assertGreaterEqual(len(disk.cuts), CUTS)
        for n in range(len(disk.cuts)):
            with self.subTest(cut=n, told=n in told_cuts):
                run("umount", str(folder))
                disk.use(n)
                run("mount", "-o", "noatime", disk.device, str(folder))
                stage = self.run_stage()
                self.assertTrue(stage.skipped or n not in told_cuts, told(stage))
                self.assertEqual(digests(self.directory), self.expected())
                self.assertTrue((self.directory / STATE / "complete").is_file())


@unittest.skipUnless(has_loop(), "no loop devices here")
class Render(unittest.TestCase):
    def test_rendered_files_are_there_when_the_stage_or_a_refresh_tells_them(self):
        chance = seeded()
        disk, folder = mounted(self)
        template = folder / "t.mustache"
        template.write_text("{{{text}}}")
        os.mkdir(folder / "deep")
        run("sync")
        names = ["one", "deep/two", "deep/three"]
        files = [{"template": str(template), "path": str(folder / name)} for name in names]
        for n in range(CUTS):
            time.sleep(chance.uniform(0, 0.3))
            text = f"{n} " * chance.randrange(1, 20000)
            with Stage("render", {"files": files}, artifacts={"config": json.dumps({"text": text}).encode()},
                       mode="apply" if n else None) as stage:
                stage.wait_result("files")
                disk.cut()
                self.assertEqual(stage.wait(), DONE)
            for name in names:
                self.assertEqual(disk.look(n, "cat $1", name).stdout.decode(), text, name)


if __name__ == "__main__":
    unittest.main()
