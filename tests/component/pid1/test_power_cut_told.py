# SPDX-License-Identifier: GPL-2.0-or-later
"""What PID 1's roles have told as done is on the disk, whole, if the power fails right after that: uploads, the API's password,
its certificate and key, the journal. The disk is ext4 on a loop device, and a cut a copy of its blocks."""

import contextlib
import json
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.dirname(os.path.dirname(os.path.dirname(HERE)))]
from fake_control import wait_for  # noqa: E402
from loopdisk import CUTS, LoopDisk, has_loop, seeded  # noqa: E402
from machine import Machine, api, stored  # noqa: E402
from patience import slowdown  # noqa: E402
from pid1 import Pid1, boot, service, stage  # noqa: E402

SYNC_S = 1      # docs/events.md


def mounted(disk, script=":"):
    return stage("disk", f"mount -o noatime {disk.device} /persistent && {{ {script}; }}")


@unittest.skipUnless(has_loop(), "no loop devices here")
class Api(unittest.TestCase):
    def test_what_was_answered_or_told_is_whole_after_a_cut_at_that_moment(self):
        """In turn, the certificate is made, or one that has expired is renewed."""
        chance = seeded()
        with LoopDisk(32 << 20) as disk:
            for n in range(CUTS):
                with self.subTest(machine=n):
                    self.machine(disk, f"d{n}", chance, old=n % 2)

    def machine(self, disk, folder, chance, old):
        here = f"/persistent/{folder}"
        settings = api(needs=["disk"], password_file=f"{here}/secret", tls_certificate=f"{here}/cert.pem",
                       tls_key=f"{here}/key.pem", uploads=[{"name": "list", "path": f"{here}/list"}])
        make = f"mkdir {here}; cp -p /t/*.pem {here}/; sync" if old else f"mkdir {here}; sync"
        config = boot([mounted(disk, make)], [service("svc")], api=settings)
        with contextlib.ExitStack() as stack:
            stack.callback(self.unmounted, disk)
            gantry = stack.enter_context(Machine(config, self.expired() if old else {}, devices=[os.path.basename(disk.device)]))
            told = gantry.wait("system-api", "using the certificate from the disk", kind="message")
            first = len(disk.cuts)
            disk.cut()
            found = disk.look(first, 'cd $1 && openssl pkey -in key.pem -pubout && openssl x509 -in cert.pem -noout -pubkey '
                                     '-fingerprint -sha256', folder).stdout.decode()
            keys, _, fingerprint = found.partition("sha256 Fingerprint=")
            self.assertEqual(keys[:len(keys) // 2], keys[len(keys) // 2:])
            self.assertIn(f"sha256={fingerprint.strip().replace(':', '').lower()}", told.text)
            gantry.unlocked()
            password, options = "", ()
            for turn in range(chance.randrange(1, 3)):
                time.sleep(chance.uniform(0, 0.3))
                password = f"secret {turn}"
                gantry.write("body", password)
                answer = gantry.curl("/api/v1/set-basic-auth", "--data-binary", "@/t/body", *options)
                disk.cut()
                self.assertEqual(answer.status, 200)
                options = ("-u", f"admin:{password}")
                self.assertEqual(disk.look(-1, 'cat $1/secret', folder).stdout.decode(), stored(password))
                content = chance.randbytes(chance.randrange(1, 150000))
                gantry.write("body", content)
                answer = gantry.curl("/api/v1/file-upload/list", "--data-binary", "@/t/body", *options)
                disk.cut()
                self.assertEqual(answer.status, 200)
                self.assertEqual(disk.look(-1, 'cat $1/list', folder).stdout, content)

    def expired(self):
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                               "-subj", "/O=Acme", "-not_before", "20240101000000Z", "-not_after", "20250101000000Z", "-keyout",
                               "-", "-out", "-"], check=True, capture_output=True, text=True).stdout
        key, begin, certificate = made.partition("-----BEGIN CERTIFICATE-----")
        return {"key.pem": key, "cert.pem": begin + certificate}

    def unmounted(self, disk):
        """With its machine the mount has gone, a moment later."""
        wait_for(lambda: subprocess.run(["e2fsck", "-fn", disk.device], capture_output=True, check=False).returncode != 8,
                 "nothing has it mounted")


@unittest.skipUnless(has_loop(), "no loop devices here")
class Journal(unittest.TestCase):
    def wait_for_the_first(self, disk):
        """The promise holds from the logger's first sync on."""
        def is_there():
            disk.cut()
            return disk.look(-1, "cat log/events.log").stdout
        wait_for(is_there, "the first line on the disk")
        disk.cuts.clear()

    def test_all_but_its_last_second_is_there_after_a_cut_and_only_the_last_line_is_torn(self):
        """While it is rotated every few seconds."""
        chance = seeded()
        talk = "i=0; while :; do i=$((i+1)); echo $i of some words that fill a line of the journal; sleep 0.01; done"
        with LoopDisk(32 << 20) as disk:
            config = boot([mounted(disk)], [service("talks", f"exec 2>&1; {talk}", needs=["disk"])],
                          log={"directory": "/persistent/log", "max_bytes": 65536, "needs": ["disk"]}, events={"rate_per_s": 0})
            with Pid1(config, devices=[os.path.basename(disk.device)]) as gantry:
                gantry.wait("talks", "40 of", kind="message")
                self.wait_for_the_first(disk)
                cuts = []
                for _ in range(CUTS):
                    time.sleep(chance.uniform(0.1, 1.5))
                    cuts.append((gantry.events[-1].time, time.clock_gettime(time.CLOCK_BOOTTIME)))
                    disk.cut()
                late = 0.5 * slowdown()
            for n, (newest, at) in enumerate(cuts):
                with self.subTest(cut=n):
                    self.assertLess(at - newest, 5, "it talks all the time")
                    whole = disk.look(n, "cat log/events.log.1 log/events.log").stdout.split(b"\n")
                    lines = [json.loads(line) for line in whole[:-1]]
                    self.assertGreater(max(line.get("boot_s", 0) for line in lines), at - SYNC_S - late)


if __name__ == "__main__":
    unittest.main()
