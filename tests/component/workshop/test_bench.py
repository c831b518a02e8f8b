# SPDX-License-Identifier: GPL-2.0-or-later
"""`make bench`: each configuration of it is one that Gantry takes, each part of it that boots nothing runs, in its smallest form
(boot/test_bench boots the others), and figures are presented as they should be, with canned ones. What they are in truth, no
test says."""

import json
import os
import sys
import unittest
from unittest import mock

from support import temporary_folder, waits

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path[:0] = [REPOSITORY, os.path.join(REPOSITORY, "tests", "bench")]
import api
import bench
import disks
import events
import figures
import logs
import services
from figures import Figure
from qemu import image


def canned():
    return [Figure("Scenarios", "C second boot, disk there", "s", "the event `booted`", [2.4, 1.9, 2.2], 25.2, 2.0),
            Figure("Scenarios", "D first boot, disk there", "s", "the event `booted`", [4.0], 103.9, 6.0),
            Figure("Scenarios", "modules", "s", "the event `modules loaded`", [0.512]),
            Figure("Sizes", "a name that is much longer than any column of a terminal has room for, by far" * 2, "MB",
                   "word " * 60, [2.2])]


class Parts(unittest.TestCase):
    def said(self, text):
        print(text)

    def test_every_configuration_is_one_that_gantry_takes(self):
        path = os.path.join(temporary_folder(self), "boot.json")
        for name, config in bench.configurations().items():
            with self.subTest(name), open(path, "w", encoding="utf-8") as file:
                json.dump(config, file)
                file.flush()
                image.check_config(os.path.join(image.BUILD, "init"), path)

    @waits(30)
    def test_the_api_s_part_runs(self):
        few = [(name, how, min(connections, 3), target) for name, how, connections, target in api.REQUESTS]
        with mock.patch.multiple(api, WRK_SECONDS=4, WARM_SECONDS=1, STREAM_SECONDS=1, EVENTS=1000, CONNECTIONS=(0, 4),
                                 STREAM_RATES=(50,), REQUESTS=few):
            found, _ = api.measure(1, self.said)
        self.assertEqual({figure.section for figure in found}, {
            "System API: memory", "System API: requests", "System API: events in", "System API: event to stream"})
        self.assertNotIn([], [figure.samples for figure in found])

    @waits(60)
    def test_the_services_part_runs(self):
        with mock.patch.multiple(services, SIZES=(2, 3), RESTARTS=4, RESTARTING=2, ORPHANS=20, IDLE_SECONDS=0.1,
                                 RESTART_SECONDS=20):
            found, _ = services.measure(1, self.said)
        self.assertEqual(len({figure.name for figure in found}), len(found))
        self.assertEqual({len(figure.beside) for figure in found}, {1, 3})      # only finit has chains

    def test_events_and_floods_of_output_are_measured(self):
        with mock.patch.object(sys, "argv", ["events.py", "400"]):
            events.main()
        logs.measure(1, 5)


class Figures(unittest.TestCase):

    def test_value_is_the_median_of_the_samples(self):
        self.assertEqual([figure.value for figure in canned()], [2.2, 4.0, 0.512, 2.2])

    def test_ratio_says_how_many_times_less_than_the_shell_init(self):
        first, _, modules, _ = canned()
        self.assertAlmostEqual(first.ratio, 25.2 / 2.2)
        self.assertIsNone(modules.ratio)

    def test_a_missed_target_is_called_missed_and_a_met_one_met(self):
        rows = [figures.row(figure) for figure in canned()]
        self.assertEqual([row[4] for row in rows], ["MISSED", "met", "", ""])

    def test_beside_others_the_ratio_is_to_the_best_of_them(self):
        figure = Figure("Services", "start 10", "ms", "from exec", [20.0], beside={"s6": 30.0, "finit": 1000.0})
        self.assertAlmostEqual(figure.ratio, 1.5)
        self.assertEqual(figures.row(figure)[-4:], ["30.0", "-", "1000.0", "1.50x"])
        self.assertEqual(len(figures.row(figure)), len(figures.HEAD))
        self.assertIsNone(Figure("Services", "wake-ups", "/s", "", [0.0], beside={"s6": 0.0}).ratio)
        self.assertEqual(figure.as_json()["beside"], {"s6": 30.0, "finit": 1000.0})

    def test_where_more_is_better_the_target_is_the_least_and_the_ratio_is_of_nginx(self):
        rates = [Figure("Requests", "rate", "/s", "wrk", [rate], target=10000, more=True, nginx=20000) for rate in (15000, 5000)]
        self.assertEqual([figures.row(rate)[1:] for rate in rates],
                         [["15000 /s", "", "10000", "met", "", "20000", "", "", "", "0.75x"],
                          ["5000 /s", "", "10000", "MISSED", "", "20000", "", "", "",
                           "0.25x"]])

    def test_a_figure_without_samples_has_no_value_and_no_verdict(self):
        empty = Figure("Scenarios", "none", "s", "not measured", [], 25.2, 2.0)
        self.assertEqual((empty.value, empty.ratio, empty.met), (None, None, None))
        self.assertEqual(figures.row(empty)[1], "- s")


class Table(unittest.TestCase):

    def test_no_line_is_wider_than_a_hundred_columns(self):
        text = figures.table("a title that goes on and on " * 9, canned(), ["a note that is long " * 12])
        text += figures.stage_table("Stages", ["tier 1, first", "tier 2, second"],
                                    {"network": [(0.1, 0.2), None], "x" * 120: [None, (120.25, 3.0)]}, "how " * 50)
        self.assertLessEqual(max(map(len, text.splitlines())), figures.COLUMNS)

    def test_every_figure_stands_in_it_with_how_it_was_got(self):
        text = " ".join(figures.table("bench", canned()).split())
        for words in ("C second boot, disk there 2.20 s 1.90..2.40 2.00 MISSED 25.2 11.5x", "modules 0.512 s",
                      "how: C second boot, disk there; D first boot, disk there: the event `booted`",
                      "how: modules: the event `modules loaded`"):
            self.assertIn(words, text)

    def test_columns_without_content_are_left_out(self):
        self.assertNotIn("shell", figures.table("bench", canned()[2:3]))

    def test_a_stage_that_a_boot_did_not_have_is_blank_there(self):
        text = figures.stage_table("Stages", ["first", "second"], {"disk": [(0.5, 1.25), None]}, "events")
        self.assertIn("disk    0.50  +1.25\n", text)


def fio_job(name, value):
    """As fio's JSON has it: VALUE MiB/s and as many operations a second."""
    numbers = {"bw_bytes": value << 20, "iops": value, "lat_ns": {"mean": 1e9 / value},
               "clat_ns": {"percentile": {"99.000000": 2e9 / value}}}
    return {"jobname": name, "read": numbers, "write": numbers}


class Wrk(unittest.TestCase):

    def test_its_times_are_read_in_every_unit(self):
        self.assertEqual([api.microseconds(text) for text in ("118.00us", "9.03ms", "1.20s")], [118, 9030, 1200000])


class Disks(unittest.TestCase):

    def run_of(self, *pairs):
        """A guest in which Gantry and Debian did so well, a pair a sample, in every workload."""
        jobs = [fio_job(f"{whose}/{what}/{number}", value) for number, pair in enumerate(pairs) for what in disks.RAW
                for whose, value in zip(disks.VOLUMES, pair)]
        return disks.Run(volumes={"jobs": jobs})

    def test_ratio_is_of_what_was_measured_side_by_side(self):
        # The second sample came while other work took half of the machine from both.
        rows = disks.volume_rows(self.run_of((200, 100), (100, 50), (210, 70)))
        self.assertEqual([row[:5] for row in rows][0], ("sequential write", "MiB/s", 200, 70, 2.0))
        self.assertEqual(len(rows), len(disks.RAW))

    def test_both_machines_stand_in_the_table_and_no_line_is_too_wide(self):
        text, data = disks.tables({1: self.run_of((120, 60)), 2: self.run_of((120, 80))}, 1)
        self.assertIn("1 processor\n", text)
        self.assertRegex(text, r"sequential read +120 +80 +MiB/s +1.50x +8333 / 12500 +16667 / 25000")
        self.assertLessEqual(max(map(len, text.splitlines())), figures.COLUMNS)
        self.assertEqual(data["1 processors"][0]["ratio"], 2.0)


class Json(unittest.TestCase):

    def test_json_has_every_figure_with_its_samples_and_how_it_was_got(self):
        read = json.loads(figures.to_json({"samples": 3}, canned(), {"disk": {"tier 1, first": (0.5, 1.25)}}))
        self.assertEqual(read["samples"], 3)
        self.assertEqual(read["figures"][0], {
            "section": "Scenarios", "name": "C second boot, disk there", "unit": "s", "value": 2.2, "samples": [2.4, 1.9, 2.2],
            "shell": 25.2, "nginx": None, "beside": {}, "target": 2.0, "more": False, "ratio": 25.2 / 2.2, "met": False,
            "how": "the event `booted`"})
        self.assertEqual(read["stages"]["disk"]["tier 1, first"], [0.5, 1.25])


if __name__ == "__main__":
    unittest.main()
