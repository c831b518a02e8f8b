# SPDX-License-Identifier: GPL-2.0-or-later
"""What PID 1 has in memory for a few services: little of its own, and nothing writable that is constant."""

import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pid1 import INIT, Pid1, boot, service  # noqa: E402

SERVICES = 10
OWN_KIB = 272           # pages that it has written: tables, heap, stack, two event rings; 200 to 260 when this was written
PAGE = 4096


def rollup(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB", file.read(), re.M)}


def mappings(pid):
    """[(first address, end, permissions, file)]"""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        found = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$", file.read(), re.M)
    return [(int(start, 16), int(end, 16), permissions, name) for start, end, permissions, name in found]


def constant_tables():
    """The addresses, counted from where the binary begins, that GNU_RELRO has: whole pages."""
    headers = subprocess.run(["readelf", "-lW", INIT], check=True, capture_output=True, text=True).stdout
    start, size = (int(number, 16) for number in
                   re.search(r"GNU_RELRO +0x\w+ 0x(\w+) 0x\w+ 0x\w+ 0x(\w+)", headers).groups())
    return start // PAGE * PAGE, (start + size) // PAGE * PAGE


class Memory(unittest.TestCase):
    def test_pid_1_keeps_little_memory_of_its_own(self):
        ended = service("ended", "exit 0", restart={"policy": "never"}, required=False)
        with Pid1(boot(services=[*(service(f"s{i}") for i in range(SERVICES)), ended])) as gantry:
            gantry.wait("gantry", "booted")
            gantry.wait("ended", "done")        # all that is asked when a process ends has been touched
            self.assertLessEqual(rollup(gantry.pid)["Anonymous"], OWN_KIB)

    def test_constant_tables_cannot_be_written(self):
        start, end = constant_tables()
        self.assertGreater(end - start, PAGE)
        with Pid1(boot(services=[service("app")])) as gantry:
            gantry.wait("gantry", "booted")
            own = mappings(gantry.pid)
            base = min(first for first, _, _, name in own if name.endswith("/init"))
            touched = [permissions for first, last, permissions, _ in own if first < base + end and last > base + start]
            self.assertTrue(touched)
            self.assertFalse([permissions for permissions in touched if "w" in permissions], own)


if __name__ == "__main__":
    unittest.main()
