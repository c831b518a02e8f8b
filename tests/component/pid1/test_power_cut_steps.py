# SPDX-License-Identifier: GPL-2.0-or-later
"""What the steps before a service have written to a disk is there, whole, if the power fails as soon as the service runs.
The disk is ext4 on a loop device, and a cut a copy of its blocks. GANTRY_SEED=N repeats a run; the seed is printed."""

import os
import random
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.dirname(os.path.dirname(os.path.dirname(HERE)))]
from loopdisk import LoopDisk, has_loop  # noqa: E402
from pid1 import Pid1, boot, service, stage  # noqa: E402

SEED = int(os.environ.get("GANTRY_SEED") or random.SystemRandom().randrange(1 << 32))
CUTS = 10
CONTENT = "".join(f"line {n} of a file that is copied\n" for n in range(2000))


@unittest.skipUnless(has_loop(), "no loop devices here")
class StepsAndPowerCuts(unittest.TestCase):
    def test_a_secret_and_a_file_are_whole_after_a_cut_at_the_moment_at_which_the_service_runs(self):
        seeded = random.Random(SEED)
        print("GANTRY_SEED", SEED)
        with LoopDisk(32 << 20) as disk:
            # The first service finds what an earlier cut left of a secret: an empty file.
            mount = stage("disk", f"mount -o noatime {disk.device} /persistent && mkdir /persistent/d0 && "
                                  ": > /persistent/d0/secret")
            apps = [service(f"app{n}",
                            f"echo has started; cat /persistent/d{n}/secret > /t/secret{n}; echo has read; exec sleep 1000",
                            needs=["disk"], enabled=n == 0, before_start=[
                                {"directory": f"/persistent/d{n}"},
                                {"secret": f"/persistent/d{n}/secret", "bytes": 64},
                                {"file": f"/persistent/d{n}/file", "from": "/t/content"}]) for n in range(CUTS)]
            with Pid1(boot([mount], apps), files={"content": CONTENT}, devices=[os.path.basename(disk.device)]) as gantry:
                for n in range(CUTS):
                    if n:
                        time.sleep(seeded.uniform(0, 0.6))
                        gantry.ctl("start", f"app{n}")
                    gantry.wait(f"app{n}", "has started", kind="message")
                    disk.cut()
                    gantry.wait(f"app{n}", "has read", kind="message")
                secrets = [gantry.read(f"secret{n}") for n in range(CUTS)]
                gantry.inside("/bin/sh", "-c", "umount -l /persistent")
            for n in range(CUTS):
                with self.subTest(cut=n):
                    self.assert_whole(disk, n, secrets[n])

    def assert_whole(self, disk, number, secret):
        script = 'mount -o loop "$1" /mnt && cat /mnt/d$2/secret && echo && cat /mnt/d$2/file; umount /mnt'
        found = subprocess.run(["unshare", "-m", "sh", "-c", script, "look", disk.cuts[number], str(number)],
                               capture_output=True, text=True, check=False)
        self.assertEqual(found.stdout, secret + "\n" + CONTENT, found.stderr)
        self.assertEqual(len(secret), 128)


if __name__ == "__main__":
    unittest.main()
