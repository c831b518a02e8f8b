# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests/run.py makes of tests: each has a process, a session and a network of its own, none is lost, and none stays."""

import contextlib
import io
import os
import select
import sys
import threading
import time
import unittest

from support import TOP, temporary_folder

sys.path.insert(0, TOP)
from tests import run  # noqa: E402

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOUND = f"""
import os, signal, subprocess, sys, unittest
sys.path.append("{HERE}")
from support import alone, waits

class Tests(unittest.TestCase):
    seen = []

    def test_one(self):
        self.seen.append(1)
        self.assertEqual(self.seen, [1])
        self.assertEqual((os.getsid(0), os.getpgid(0)), (os.getpid(), os.getpid()))
        print(os.readlink("/proc/self/ns/net"))
        self.assertIn("inet 127.0.0.1/8", subprocess.check_output(["ip", "addr"], text=True))
        self.assertEqual(len(os.listdir("/proc/self/fd")), 4)

    test_two = test_one

    def test_shares(self):
        pass

    test_shares.shares = "it"

    def test_fails(self):
        self.assertEqual(1, 2, "one is not two")

    def test_is_skipped(self):
        self.skipTest("of no use")

    def test_dies(self):
        os.kill(os.getpid(), signal.SIGSEGV)

    def test_leaves(self):
        print(subprocess.Popen(["sleep", "1000"]).pid)

    def test_hangs(self):
        print(subprocess.Popen(["sleep", "1000"]).pid, flush=True)
        signal.pause()

    @waits(7)
    def test_waits(self):
        pass

    @alone
    def test_alone(self):
        pass

    def test_works(self):
        while sum(os.times()[:2]) < 0.2:
            pass
        subprocess.run([sys.executable, "-c", "import os\\nwhile sum(os.times()[:2]) < 0.2: pass"], check=True)
"""


class Runner(unittest.TestCase):
    def setUp(self):
        folder = temporary_folder(self)
        os.makedirs(os.path.join(folder, "tests/kind/room"))
        other = ("import unittest\nfrom test_sound import SOUND_ONE\nclass Other(unittest.TestCase):\n"
                 "    def test_it(self):\n        pass\n")
        for name, text in (("test_sound", "SOUND_ONE = 1\n" + SOUND), ("test_broken", "import nothing_of_this_name"),
                           ("room/test_other", other), ("room/test_sound", "")):
            with open(os.path.join(folder, f"tests/kind/{name}.py"), "w", encoding="ascii") as file:
                file.write(text)
        os.chdir(folder)
        self.server = run.ForkServer("kind")
        self.addCleanup(self.server.close)
        tests, self.failures = self.server.list()
        self.tests = {name: test for name, test, *_ in tests}
        self.marks = {name: marks for name, _, *marks in tests if any(marks)}

    def one(self, name, timeout=20):
        return self.server.run(timeout, test=self.tests[f"kind/test_sound.{name}"])

    def assert_is_gone(self, pid):
        with contextlib.suppress(ProcessLookupError):
            ended, _, _ = select.select([os.pidfd_open(int(pid))], [], [], 10)
            self.assertTrue(ended, f"process {pid} lives on")

    def test_every_test_is_listed_and_a_module_that_cannot_be_imported_is_a_failure(self):
        self.assertEqual(len(self.tests), 12)
        self.assertIn("kind/room/test_other.test_it", self.tests)
        self.assertEqual(self.marks, {"kind/test_sound.test_waits": [7, None, False],
                                      "kind/test_sound.test_shares": [0, "it", False],
                                      "kind/test_sound.test_alone": [0, None, True]})
        failures = {failure.name: failure for failure in self.failures}
        self.assertEqual({name: failure.verdict for name, failure in failures.items()},
                         {"kind/test_broken": "FAIL", "kind/room/test_sound": "FAIL"})
        self.assertIn("No module named 'nothing_of_this_name'", failures["kind/test_broken"].output)
        self.assertIn("has the same name", failures["kind/room/test_sound"].output)

    def test_each_has_a_process_a_session_and_a_network_of_its_own(self):
        networks = set()
        for name in ("test_one", "test_two", "test_one"):
            status, output, _, _ = self.one(name)
            self.assertEqual(status, 0, output)
            networks.add(output.split()[0])
        self.assertNotIn(os.readlink("/proc/self/ns/net"), networks)

    def test_how_it_ended_is_told(self):
        status, output, _, _ = self.one("test_fails")
        self.assertEqual(status, 1)
        self.assertIn("one is not two", output)
        status, output, _, _ = self.one("test_is_skipped")
        self.assertEqual((status, output.splitlines()[-1]), (0, "skipped: of no use"))
        self.assertEqual(self.one("test_dies")[0], -11)
        self.assertEqual(self.server.run(20, test="test_sound.Tests.test_of_another_name")[0], 1)
        self.assertEqual(self.server.run(20, command=["/bin/sh", "-c", "echo said; exit 3"])[:2], (3, "said\n"))

    def test_nothing_stays_of_one_that_ended_and_of_one_that_does_not(self):
        status, output, _, _ = self.one("test_leaves")
        self.assertEqual(status, 0)
        self.assert_is_gone(output.split()[0])
        status, output, seconds, _ = self.one("test_hangs", timeout=1)
        self.assertIsNone(status)
        self.assertGreaterEqual(seconds, 1)
        self.assertIn("in test_hangs", output)
        self.assert_is_gone(output.split()[0])

    def test_seconds_of_a_processor_are_its_own_and_its_children_s(self):
        self.assertGreaterEqual(self.one("test_works")[3], 0.4)


class Order(unittest.TestCase):
    def test_who_makes_what_others_share_comes_first_then_what_took_longest(self):
        def job(kind, name, shares=None):
            return run.Job(kind, name, None, shares=shares)

        jobs = [job("unit", "x"), job("boot", "a"), job("boot", "b", "one"), job("boot", "c", "one"), job("boot", "d", "two"),
                job("boot", "e", "one"), job("boot", "f")]
        self.assertEqual("".join(job.name for job in run.in_order(jobs, {})), "bdafcex")
        known = {"x": 30, "e": 20, "f": run.UNKNOWN_S / 2, "b": 1}
        self.assertEqual("".join(job.name for job in run.in_order(jobs, known)), "dbxeacf")

    def test_what_took_how_long_is_remembered_beside_what_was_known(self):
        path = os.path.join(temporary_folder(self), "seconds.json")
        first = run.Memory(path)
        self.assertEqual(first.seconds, {})
        for name, seconds in (("slow", 0.3), ("quick", 0)):
            self.assertEqual(first.run(run.Job("unit", name, lambda seconds=seconds: time.sleep(seconds))), None)
        run.Memory(path).write()
        other = run.Memory(path)
        other.new["another"] = 7.5
        first.write()
        other.write()
        found = run.Memory(path).seconds
        self.assertEqual(sorted(found), ["another", "quick", "slow"])
        self.assertGreater(found["slow"], found["quick"])
        with open(path, "w", encoding="ascii") as file:
            file.write("[")
        self.assertEqual(run.Memory(path).seconds, {})

    def test_each_runs_once_and_none_beside_what_it_is_not_to_be_beside(self):
        running, ended, most, lock = [], [], {}, threading.Lock()
        heaviest = 0
        together = threading.Condition(lock)

        def job(name, beside=1, waits_s=0, alone=False):
            """Ends when as many as may be beside it have been, or after a moment."""
            def work():
                nonlocal heaviest
                with together:
                    running.append(name)
                    heaviest = max(heaviest, sum(one.startswith(("boot/", "component/api/test_page")) for one in running))
                    for one in running:
                        most[one] = max(most.get(one, 0), len(running) - 1)
                    together.notify_all()
                    together.wait_for(lambda: most[name] >= beside, 0.3)
                    running.remove(name)
                    ended.append(name)
                return [run.Result(name, "ok")]
            return run.Job(name.split("/")[0], name, work, waits_s, alone=alone)

        jobs = [job("build/test_x.a", 1, alone=True), job("component/test_x.alone", 1, alone=True),
                *(job(f"boot/test_x.{i}", 5) for i in range(4)),
                *(job(f"component/api/test_page.{i}", 3) for i in range(4)),
                *(job(f"component/test_x.{i}", 5) for i in range(20)),
                *(job(f"component/test_x.waits{i}", 5, 9) for i in range(3))]
        report = run.Report()
        with contextlib.redirect_stdout(io.StringIO()):
            run.run_all(jobs, 2, report, run.Memory(os.devnull))
        self.assertEqual(sorted(ended), sorted(one.name for one in jobs))
        self.assertEqual(report.count["ok"], len(jobs))
        self.assertEqual((most["build/test_x.a"], most["component/test_x.alone"]), (0, 0))
        self.assertEqual(set(ended[:2]), {"build/test_x.a", "component/test_x.alone"})
        self.assertEqual(heaviest, 3)
        self.assertEqual(max(most.values()), 5)         # three heavy ones, a light one and two that wait are six


if __name__ == "__main__":
    unittest.main()
