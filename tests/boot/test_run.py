# SPDX-License-Identifier: GPL-2.0-or-later
"""`make run` as a script uses it: its exit status and last words are true, and it leaves nothing behind."""

import os
import select
import signal
import subprocess
import sys
import unittest

import support
from support import REPOSITORY, BootTest

setUpModule = support.setUpModule
SUCCESS, ERROR, HELD, TIMEOUT, INTERRUPTED = 0, 1, 2, 4, 130


class Run(BootTest):
    def start(self, **switches):
        environment = {"EXIT": "1", "TIER": "1", "DISK_AFTER": "0", "SNAPSHOT": "1M", "PORT": "0", **switches}
        return subprocess.Popen([sys.executable, os.path.join("qemu", "run.py")], cwd=REPOSITORY, text=True,
                                env={**os.environ, "GANTRY_RUN": self.state, **environment},
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def outcome(self, **switches):
        process = self.start(**switches)
        output, _ = process.communicate()
        self.assert_nothing_left()
        return process.returncode, output

    def assert_nothing_left(self, dying_s=0):
        """No process names this run's folder any more; those that have been killed may take DYING_S to be gone."""
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    command = file.read()
                if self.state.encode() in command:
                    ended, _, _ = select.select([os.pidfd_open(int(entry))], [], [], dying_s)
                    self.assertTrue(ended, command)
            except (FileNotFoundError, ProcessLookupError):
                pass                        # it ended just now

    def test_success_is_status_0_again_keeps_the_machine_and_a_strange_disk_is_held(self):
        status, output = self.outcome()
        self.assertEqual(status, SUCCESS, output)
        self.assertRegex(output, r"(?s)boot chart.*reth.*\nbooted\n.*powered off by its power button")
        status, output = self.outcome(AGAIN="1")
        self.assertEqual(status, SUCCESS, output)
        self.assertRegex(output, r"snapshot +skipped")
        with open(os.path.join(self.state, "disk.raw"), "r+b") as file:
            file.write(bytes(1 << 16) + b"no LUKS header any more")
        status, output = self.outcome(AGAIN="1")
        self.assertEqual(status, HELD, output)
        self.assertRegex(output, r"\nheld: disk: .*untouched")

    def test_boot_that_does_not_come_to_an_end_is_a_time_out(self):
        status, output = self.outcome(FAULTS="hub=status:403", TIMEOUT="12")
        self.assertEqual(status, TIMEOUT, output)
        self.assertIn("time-out: neither booted nor held after 12 s", output)

    def test_wrong_switch_is_a_sentence_and_starts_nothing(self):
        status, output = self.outcome(FAULTS="hub=nonsense")
        self.assertEqual(status, ERROR, output)
        self.assertIn("unknown fault 'nonsense'", output)
        self.assertNotIn("Traceback", output)

    def test_interrupt_stops_everything(self):
        process = self.start(DISK_AFTER="never")
        for line in process.stdout:
            if "azure" in line and "done" in line:
                break
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate()
        self.assertEqual(process.returncode, INTERRUPTED, output)
        self.assert_nothing_left()

    def test_killed_run_takes_the_machine_with_it(self):
        process = self.start(DISK_AFTER="never")
        for line in process.stdout:
            if "network" in line and "done" in line:
                break
        process.kill()
        process.communicate()
        self.assert_nothing_left(dying_s=10)


if __name__ == "__main__":
    unittest.main()
