# SPDX-License-Identifier: GPL-2.0-or-later
"""What supervision costs while nothing happens, which is nothing; and that a crowd of orphans is reaped, all of it."""

import os
import select
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from patience import PATIENCE, SCALE  # noqa: E402
from pid1 import REPO, Pid1, boot, service  # noqa: E402

ORPHANS = 100000
IDLE_SECONDS = 3


def wakeups(gantry):
    """How often PID 1 has gone to sleep: a turn of its loop ends in nothing else. Asking itself would be a turn, too."""
    with open(f"/proc/{gantry.pid}/status", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("voluntary_ctxt_switches:")).split()[1])


def orphan_maker():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "orphans")
        subprocess.run(["gcc", "-O1", "-static", "-DROLE=4", f"-DORPHAN_COUNT={ORPHANS}", "-o", path,
                        os.path.join(REPO, "tests", "bench", "member.c")], check=True)
        with open(path, "rb") as file:
            return file.read()


class Idle(unittest.TestCase):
    def test_pid_1_does_not_wake_up_while_nothing_happens(self):
        services = [service(f"s{i}", f": > /run/s{i}; exec sleep 1000",
                            **({"ready": {"path": f"/run/s{i}"}} if i % 2 else {})) for i in range(20)]
        with Pid1(boot(services=services)) as gantry:
            gantry.wait("gantry", "booted")
            before = None
            for _ in range(30):             # what the start has left to do
                if wakeups(gantry) == before:
                    break
                before = wakeups(gantry)
                time.sleep(0.5 * SCALE)
            time.sleep(IDLE_SECONDS)
            self.assertEqual(wakeups(gantry) - before, 0)


class Orphans(unittest.TestCase):
    def told(self, fifo):
        """The letter of the next record (member.c)."""
        self.assertTrue(select.select([fifo], [], [], 60 * PATIENCE)[0], "it told nothing")
        return os.read(fifo, 16)[8:9]

    def test_a_hundred_thousand_orphans_are_all_reaped(self):
        maker = {"name": "orphans", "command": ["/t/orphans"], "enabled": False}
        with Pid1(boot(services=[service("app"), maker]), files={"orphans": orphan_maker()}) as gantry:
            gantry.wait("app", "ready")
            for name in ("fifo", "go"):
                os.mkfifo(os.path.join(gantry.shared, name))
            fifo = os.open(gantry.shared + "/fifo", os.O_RDWR)
            self.assertEqual(gantry.ctl("start", "orphans").returncode, 0)
            self.assertEqual(self.told(fifo), b"s")
            os.close(os.open(gantry.shared + "/go", os.O_WRONLY))
            self.assertEqual(self.told(fifo), b"o")
            os.close(fifo)
            end, left = time.monotonic() + 20 * PATIENCE, None
            while left != []:
                self.assertLess(time.monotonic(), end, f"left: {left}")
                states = gantry.inside("ps", "-eo", "stat,pid").stdout.splitlines()
                left = [state for state in states if state.startswith("Z")]
            self.assertEqual(gantry.states("app"), ["running", "ready"])
            self.assertEqual(gantry.states("orphans")[-1], "ready")
