# SPDX-License-Identifier: GPL-2.0-or-later
"""A file system without room: each of those that write to it gives the path, and that as the reason."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.dirname(os.path.dirname(os.path.dirname(HERE)))]
from machine import Machine, api, stored  # noqa: E402
from pid1 import boot, service, stage  # noqa: E402

FULL = "No space left on device"


class FullDisk(unittest.TestCase):
    def test_it_is_the_reason_everywhere(self):
        fill = "mount -t tmpfs -o size=64k small /persistent && mkdir /persistent/log /persistent/logs && " \
               "head -c 4096 /dev/zero | tr '\\0' x > /persistent/logs/talks.log && chmod 666 /persistent/logs/talks.log && " \
               "cat /t/secret > /persistent/secret && " \
               "for n in 65536 4096 1; do dd if=/dev/zero bs=$n count=17 >> /persistent/ballast 2>/dev/null; done; :"
        steps = [("made", {"secret": "/persistent/s"}), ("copied", {"file": "/persistent/f", "from": "/t/secret"})]
        services = [service(name, needs=["disk"], required=False, before_start=[step]) for name, step in steps]
        services += [service("svc"), service("talks", "while :; do echo a line of it; sleep 0.1; done", needs=["disk"], log={})]
        with Machine(boot([stage("disk", fill)], services, log={"directory": "/persistent/log", "needs": ["disk"]},
                          logs={"directory": "/persistent/logs", "needs": ["disk"]},
                          api=api(needs=["disk"], password_file="/persistent/secret",
                                  uploads=[{"name": "list", "path": "/persistent/list"}])),
                     files={"secret": stored("x")}) as gantry:
            gantry.wait("disk", "done")
            gantry.unlocked()
            for path, body, told in (("file-upload/list", "y" * 100, "/persistent/list"),
                                     ("set-basic-auth", "new", "/persistent/secret")):
                with self.subTest(path=path):
                    answer = gantry.curl(f"/api/v1/{path}", "-u", "admin:x", "--data-binary", body)
                    self.assertEqual(answer.status, 500, answer.body)
                    gantry.wait("system-api", "error", kind="message")
                    self.assertTrue([e for e in gantry.find("system-api", "error", kind="message")
                                     if f"{told}: {FULL}" in e.text], gantry.events[-5:])
            self.assertEqual(gantry.curl("/livez", "-u", "admin:x").status, 200)
            for name, step in steps:
                with self.subTest(step=name):
                    text = gantry.wait(name, "retrying").text
                    self.assertIn(next(iter(step.values())), text)
                    self.assertIn(FULL.lower(), text.lower())
            for source, path in (("logger", "/persistent/log/events.log"), ("talks", "talks.log")):
                with self.subTest(log=source):
                    gantry.wait(source, "", kind="message")
                    self.assertTrue([e for e in gantry.find(source, "", kind="message") if f"{path}: {FULL}" in e.text],
                                    gantry.find(source, "", kind="message"))
            gantry.inside("rm", "/persistent/ballast")
            for name, _ in steps:
                gantry.wait(name, "ready")
            gantry.wait("talks", "log: talks.log: works again", kind="message")
            gantry.wait("logger", "persistent log: /persistent/log/events.log: works again", kind="message")
            text = gantry.inside("cat", "/persistent/logs/talks.log").stdout
            self.assertTrue(text.startswith("x" * 4096 + "\na line of it\n"), text[4090:4120])


if __name__ == "__main__":
    unittest.main()
