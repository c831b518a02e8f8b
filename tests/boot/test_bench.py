# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of `make bench` that boot machines, each in its smallest form: they run to their end and every figure has a sample.
What the figures are, no test says. The parts that boot nothing are in component/workshop/test_bench."""

import os
import sys
import unittest
from unittest import mock

import support
from support import BootTest

sys.path.insert(0, os.path.join(support.REPOSITORY, "tests", "bench"))
import bench  # noqa: E402
import disks  # noqa: E402
import figures  # noqa: E402

setUpModule = support.setUpModule
MIB = 1 << 20
SMALL = {"sequential write": ("rw=write bs=1m size=2m", "write", "MiB/s"),
         "random 4 KiB read": ("rw=randread bs=4k size=2m io_size=64k", "read", "IOPS")}


class Bench(BootTest):
    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.multiple(bench, FOLDER=self.folder, SNAPSHOT_BYTES=2 * MIB, DISK_BYTES=256 * MIB))

    def assert_measured(self, found):
        self.assertNotIn([], [figure.samples for figure in found])
        print(figures.table("smallest form", found))

    def test_scenarios_sizes_and_stages(self):
        folders = [os.path.join(self.folder, name) for name in ("late", "firmware")]
        for folder in folders:
            bench.new_disk(folder)
        late = bench.boot("disk at 3 s", "", folders[0], attach_s=3, initrd=bench.bench_initrd())
        firmware = bench.boot("tier 2", "", folders[1], tier=2)
        self.assertGreater(late.fact("pid1", "rss_kib"), 0)
        self.assert_measured(bench.scenario_figures({letter: [late] for letter in bench.SCENARIOS}) + bench.size_figures())
        cells = bench.stage_cells({"late": [late], "firmware": [firmware]})
        self.assertLessEqual({"disk", "snapshot", "reth", "booted"}, set(cells))
        self.assertIn("disk", figures.stage_table("Stages", ["late", "firmware"], cells, bench.STAGES_HOW))

    def test_disk(self):
        small = {"RAW": SMALL, "DISK_BYTES": 128 * MIB, "FILE_MIB": 8, "SEQUENTIAL_MIB": 1, "APPEND_SECONDS": 1, "CHURN_MIB": 8,
                 "SYNCED_KIB": 32, "LOOKED_AT_KIB": 64}
        with mock.patch.multiple(disks, **small):
            found = disks.run(2, 1, with_options=True)
            text, data = disks.tables({2: found}, 1)
        self.assertEqual(len(data["2 processors"]), len(SMALL))
        self.assertTrue(data["options"])
        self.assertIn("scheduler none", text)


if __name__ == "__main__":
    unittest.main()
