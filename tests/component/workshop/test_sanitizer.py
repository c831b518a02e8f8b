# SPDX-License-Identifier: GPL-2.0-or-later
"""That a sanitizer's report fails the test in which a process prints it, however the test itself goes."""

import unittest

import sanitizer
from pid1 import Pid1, boot, service

REPORT = "==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x1"


class Reports(unittest.TestCase):
    def test_a_report_on_the_console_of_pid_1_fails_the_test(self):
        with self.assertRaisesRegex(AssertionError, "heap-use-after-free"):
            with Pid1(boot(services=[service("role", f"echo '{REPORT}'; exec sleep 1000")])) as gantry:
                gantry.wait("role", "==7==", kind="message")

    def test_reports_are_known_by_their_form(self):
        for line in (REPORT, "[ 1.0] info api message: init/api/peer.c:60:9: runtime error: signed integer overflow"):
            self.assertRaises(AssertionError, sanitizer.check, ["before", line, "after"])
        sanitizer.check(["info one message: AddressSanitizer", "runtime error: of another program", ""])


if __name__ == "__main__":
    unittest.main()
