# SPDX-License-Identifier: GPL-2.0-or-later
"""PID 1 and the TPM's owner: when PCR 15 is extended, whatever becomes of the boot, of the TPM, and of the owner itself. That
an open disk closes it is in tests/boot."""

import hashlib
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pid1 import Pid1, boot  # noqa: E402
from support import NEVER  # noqa: E402
from tpmowner import ZEROS, Swtpm  # noqa: E402

LUN = 16000     # of no disk, nor is the next
CLOSED = hashlib.sha256(ZEROS + hashlib.sha256(b"gantry: closed without a disk").digest()).digest()
HELD, OVER = "PCR 15 extended: the boot is held", "PCR 15 extended: no disk will be opened"


def disk(name="disk", wait_s=1, **more):
    """A stage whose disk does not come: it gives up after that time, 0: never."""
    return {"name": name, "type": "disk", "retry": {"limit": 1},
            "options": {"lun": LUN + (name != "disk"), "name": name, "mount": f"/{name}",
                        **({"wait_s": wait_s} if wait_s else {})}, **more}


def gate(**more):
    """A stage that ends with the number in /t/go, once that is there."""
    return {"name": "gate", "type": "exec", "retry": {"limit": 1},
            "options": {"command": ["/bin/sh", "-c", "while ! [ -s /t/go ]; do sleep 0.05; done; exit $(cat /t/go)"]}, **more}


class TpmTest(unittest.TestCase):
    def start(self, *stages):
        """PID 1, and its TPM, which is still off."""
        pid1 = Pid1(boot(tpm={"tcti": "swtpm:path=/t/socket"}, stages=list(stages)))
        self.addCleanup(pid1.__exit__, None, None, None)
        self.tpm = Swtpm(self, pid1.shared)
        return pid1

    @staticmethod
    def owner(pid1):
        return pid1.inside("sh", "-c", "grep -lx gantry-tpm /proc/[0-9]*/comm | cut -d/ -f3").stdout.strip()

    def tpm_on(self, pid1):
        self.tpm.start()
        pid1.wait("tpm", "TPM opened", kind="message")

    def assert_end(self, pid1, pcr_15):
        pid1.ctl("poweroff")
        self.assertEqual(pid1.end(), "poweroff")
        pid1.wait("tpm", "TPM shut down", kind="message")
        self.assertEqual(self.tpm.pcr(15), pcr_15)


class Closing(TpmTest):
    def test_held_boot_closes_while_a_disk_is_still_waited_for(self):
        pid1 = self.start(gate(), disk(wait_s=0))
        self.tpm_on(pid1)
        pid1.wait("disk", "running")
        self.assertEqual(pid1.find("tpm", "PCR 15", kind="message"), [])
        pid1.write("go", str(NEVER))
        pid1.wait("gantry", "held")
        pid1.wait("tpm", HELD, kind="message")
        self.assert_end(pid1, CLOSED)

    def test_tpm_that_comes_after_the_boot_was_held_is_closed_at_once(self):
        pid1 = self.start(disk())
        pid1.wait("gantry", "held")
        self.tpm_on(pid1)
        pid1.wait("tpm", HELD, kind="message")
        self.assert_end(pid1, CLOSED)

    def test_disk_that_is_given_up_closes_it_though_the_boot_goes_on(self):
        pid1 = self.start(disk(required=False))
        self.tpm_on(pid1)
        pid1.wait("tpm", OVER, kind="message")
        self.assertEqual(pid1.find("gantry", "held"), [])
        self.assert_end(pid1, CLOSED)

    def test_it_stays_open_while_one_of_two_disks_may_still_be_opened(self):
        pid1 = self.start(gate(), disk(required=False), disk("second", required=False, needs=["gate"]))
        self.tpm_on(pid1)
        pid1.wait("disk", "failed")
        pid1.ctl("status")              # a turn of PID 1 and of the owner later
        self.assertEqual(pid1.find("tpm", "PCR 15", kind="message"), [])
        pid1.write("go", "0")
        pid1.wait("tpm", OVER, kind="message")
        self.assert_end(pid1, CLOSED)

    def test_owner_that_is_killed_is_started_anew_and_told_again(self):
        pid1 = self.start(disk())
        pid1.wait("gantry", "held")
        first = self.owner(pid1)
        pid1.inside("kill", "-9", first)
        pid1.wait("tpm", "tpm exited (signal 9)", kind="message")
        self.tpm_on(pid1)
        pid1.wait("tpm", HELD, kind="message")
        self.assertNotEqual(self.owner(pid1), first)
        pid1.inside("kill", "-9", self.owner(pid1))
        pid1.wait("tpm", "TPM opened, PCR 15 is extended already", kind="message")
        self.assert_end(pid1, CLOSED)

    def test_tpm_that_fails_makes_a_new_owner(self):
        pid1 = self.start(gate(), disk(wait_s=0))
        self.tpm_on(pid1)
        self.tpm.stop()
        pid1.write("go", str(NEVER))
        pid1.wait("tpm", "PCR 15 not extended", kind="message")
        self.tpm.start()
        pid1.wait("tpm", HELD, kind="message")
        self.assert_end(pid1, CLOSED)


class Process(TpmTest):
    def test_without_a_stage_that_uses_the_tpm_there_is_no_owner(self):
        pid1 = self.start(gate(required=False))
        self.tpm.start()
        pid1.write("go", "0")
        pid1.wait("gate", "done")
        self.assertEqual(self.owner(pid1), "")

    def test_it_has_its_three_descriptors_and_no_path_leads_to_it(self):
        pid1 = self.start(disk(wait_s=0))
        self.tpm_on(pid1)
        owner = self.owner(pid1)
        named = pid1.inside("readlink", *(f"/proc/{owner}/fd/{n}" for n in range(64))).stdout.split()
        self.assertEqual(sum(name.startswith("socket:") for name in named), 3, named)   # reports, orders, the disk stage
        self.assertTrue(all(name.startswith(("socket:", "pipe:", "anon_inode:[signalfd]", "/dev/null")) for name in named), named)
        self.assertEqual(pid1.inside("cat", f"/proc/{owner}/status").stdout.count("907"), 8)


if __name__ == "__main__":
    unittest.main()
