#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The way down, in namespaces: it ends within its bound whatever services and their orphans do, says how it went, and the
next boot knows. Services are told to stop in reverse order in test_pid1.py; machines are switched off in tests/boot."""

import contextlib
import json
import os
import pathlib
import re
import signal
import time
import unittest

from patience import assert_within
from pid1 import Pid1, boot, service, stage

DEAF = "trap '' TERM INT HUP; echo up; while :; do sleep 1 & wait $!; done"


def seconds(event, name):
    return float(re.search(rf"\b{name}=([0-9.]+)", event.text)[1])


def stop_child(gantry, role):
    """Stops PID 1's child that has the role, as soon as there is one. False: PID 1 ended before."""
    while gantry.process.poll() is None:
        with contextlib.suppress(OSError, IndexError):      # IndexError: PID 1 has just ended
            children = pathlib.Path(f"/proc/{gantry.pid}/task/{gantry.pid}/children").read_text(encoding="ascii")
            for pid in map(int, children.split()):
                with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as words:
                    if words.read().split(b"\0")[1:2] == [role.encode()]:
                        os.kill(pid, signal.SIGSTOP)
                        return True
    return False


class Bounds(unittest.TestCase):
    def ends(self, gantry, least, most, how="poweroff", promise=None):
        """PROMISE, or else LEAST, is what the configuration says; the rest until MOST is for what a free machine needs
        besides."""
        promise = least if promise is None else promise
        begin = time.monotonic()
        yield
        self.assertEqual(gantry.end(), how)
        took = time.monotonic() - begin
        self.assertFalse(gantry.find("teardown", "failed", "message"))
        self.assertFalse([event.text for event in gantry.find("gantry", "the relay", "message")])
        self.assertGreaterEqual(took, least)
        assert_within(self, took, promise, most - promise)

    def test_a_service_that_refuses_to_stop_is_killed_after_its_grace(self):
        with Pid1(boot(services=[service("deaf", DEAF, stop_grace_s=1), service("other")])) as gantry:
            gantry.wait("deaf", "up", "message")
            for _ in self.ends(gantry, 1, 8):
                gantry.ctl("poweroff")
            record = gantry.find("gantry", "down")[0]
            self.assertEqual(record.level, "warning")
            self.assertIn("clean=false", record.text)
            self.assertIn('not_clean="deaf killed"', record.text)
            self.assertGreaterEqual(seconds(record, "services_s"), 1)

    def test_the_whole_ends_within_its_time_whatever_the_graces_add_up_to(self):
        chain = [service("a", DEAF, stop_grace_s=5), service("b", DEAF, stop_grace_s=5, needs=["a"]),
                 service("c", DEAF, stop_grace_s=5, needs=["b"])]
        with Pid1(boot(services=chain, shutdown={"timeout_s": 12})) as gantry:
            gantry.wait("c", "up", "message")
            for _ in self.ends(gantry, 5, 12.5, how="reboot", promise=12):
                gantry.ctl("reboot")
                gantry.wait("gantry", "shutdown: time for services is over", "message")

    def test_a_teardown_that_hangs_is_followed_by_the_emergency_sync_before_the_end(self):
        for _ in range(10):         # a teardown may be through before it is stopped
            with Pid1(boot(shutdown={"timeout_s": 6})) as gantry:
                gantry.wait("gantry", "booted")
                gantry.ctl("poweroff")
                stopped = stop_child(gantry, "teardown")
                self.assertEqual(gantry.end(), "poweroff")
                if not stopped:
                    continue
                emergency = gantry.find("gantry", "shutdown: timed out, emergency sync", "message")[0]
                end = gantry.find("gantry", "poweroff")[-1]
                # The role needs that long at the least to be forked and executed; without waiting for it 0.3 to 0.6 ms were seen.
                self.assertGreater(end.time - emergency.time, 0.001)
                return
        self.fail("no teardown could be stopped")

    def test_the_latest_request_says_how_it_ends(self):
        with Pid1(boot(services=[service("deaf", DEAF, stop_grace_s=600)])) as gantry:
            gantry.wait("deaf", "up", "message")
            gantry.ctl("reboot")
            gantry.wait("deaf", "stopping")
            gantry.ctl("poweroff")
            self.assertEqual(gantry.end(), "poweroff")

    def test_services_that_do_not_depend_on_each_other_stop_at_the_same_time(self):
        slow = "trap 'sleep 1.5; exit 0' TERM; echo up; while :; do sleep 0.05; done"
        with Pid1(boot(services=[service(f"s{i}", slow) for i in range(6)])) as gantry:
            for i in range(6):
                gantry.wait(f"s{i}", "up", "message")
            for _ in self.ends(gantry, 1.5, 6):
                gantry.ctl("poweroff")
            self.assertIn("clean=true", gantry.find("gantry", "down")[0].text)

    def test_a_second_request_shortens_graces_and_a_third_one_ends_them(self):
        deaf = service("deaf", DEAF, stop_grace_s=600)
        with Pid1(boot(services=[deaf])) as gantry:
            gantry.wait("deaf", "up", "message")
            gantry.ctl("poweroff")
            gantry.wait("deaf", "stopping")
            for _ in self.ends(gantry, 4.5, 10):
                os.kill(gantry.pid, 15)
            self.assertTrue(gantry.find("gantry", "another shutdown request from SIGTERM", "message"))
        with Pid1(boot(services=[deaf])) as gantry:
            gantry.wait("deaf", "up", "message")
            gantry.ctl("poweroff")
            gantry.wait("deaf", "stopping")
            gantry.ctl("poweroff")
            for _ in self.ends(gantry, 0, 4):
                gantry.ctl("poweroff")

    def test_what_no_cgroup_knows_gets_sigterm_and_then_sigkill(self):
        polite = "trap 'echo polite >> /t/ended; exit 0' TERM; echo $$ >> /t/outside; while :; do sleep 0.05; done"
        deaf = "trap '' TERM; echo $$ >> /t/outside; while :; do sleep 0.05; done"
        with Pid1(boot(services=[service("a")])) as gantry:
            gantry.wait("gantry", "booted")
            for script in (polite, deaf):
                gantry.inside("setsid", "-f", "sh", "-c", f"exec > /dev/null 2>&1; {script}")
            gantry.inside("sh", "-c", "until [ $(wc -l < /t/outside) = 2 ]; do sleep 0.05; done")
            for _ in self.ends(gantry, 2, 9):
                gantry.ctl("poweroff")
            self.assertEqual(gantry.read("ended"), "polite\n")
            self.assertTrue(gantry.find("gantry", "shutdown: SIGTERM to ", "message"))
            self.assertRegex(gantry.find("gantry", "down")[0].text, r'not_clean="\d processes killed \((sh|sleep)')

    def test_a_running_stage_and_a_fork_bomb_do_not_hold_up_the_shutdown(self):
        bomb = "trap '' TERM; touch /t/bomb; while :; do setsid sh -c \"trap '' TERM; sleep 30\" & sleep 0.01; done"
        with Pid1(boot([stage("long", "trap '' TERM; touch /t/long; while :; do sleep 1; done", deadline_s=0)],
                       [service("bomb", bomb, stop_grace_s=1, ready={"path": "/t/bomb"})])) as gantry:
            gantry.wait("bomb", "ready")
            gantry.inside("sh", "-c", "until [ -e /t/long ]; do sleep 0.05; done")
            for _ in self.ends(gantry, 1, 12):
                gantry.ctl("poweroff")


class NextBoot(unittest.TestCase):
    config = boot(services=[service("deaf", DEAF, stop_grace_s=1)], log={"directory": "/t"})

    def first(self):
        """The log of a boot that was asked to power off, with another boot's id: the kernel's is the same here."""
        with Pid1(self.config) as gantry:
            gantry.wait("deaf", "up", "message")
            gantry.ctl("poweroff", "kernel update")
            self.assertEqual(gantry.end(), "poweroff")
            log = gantry.read("events.log")
        return re.sub(r'"boot_id":"[^"]*"', '"boot_id":"0000-1111"', log)

    def second(self, log):
        with Pid1(self.config, files={"events.log": log}) as gantry:
            said = gantry.wait("gantry", "previous boot" if '"text":"down"' in log else "unclean", "message")
            status = json.loads(gantry.ctl("status", "--json").stdout)["last_shutdown"]
            return said, status, gantry.ctl("status").stdout

    def test_the_next_boot_says_how_this_one_ended(self):
        log = self.first()
        self.assertEqual(json.loads(log.splitlines()[-1])["text"], "down")
        said, status, table = self.second(log)
        self.assertEqual(said.level, "warning")         # somebody had to be killed
        self.assertIn("previous boot ended in order: poweroff by gantryctl: kernel update", said.text)
        self.assertEqual({key: status[key] for key in ("in_order", "clean", "for", "by", "reason", "not_clean")},
                         {"in_order": True, "clean": False, "for": "poweroff", "by": "gantryctl",
                          "reason": "kernel update", "not_clean": "deaf killed"})
        self.assertGreaterEqual(status["services_s"], 1)
        self.assertIn("last shutdown: poweroff by gantryctl: kernel update, at 2", table)
        said, status, _ = self.second("".join(line + "\n" for line in log.splitlines()[:-1]))
        self.assertEqual((said.level, status["in_order"]), ("warning", False))
        self.assertIn("unclean: previous boot did not shut down in order", said.text)

    def test_a_first_boot_knows_of_none(self):
        with Pid1(self.config) as gantry:
            gantry.wait("deaf", "up", "message")
            gantry.inside("sh", "-c", "until [ -s /t/events.log ]; do sleep 0.05; done")
            self.assertIsNone(json.loads(gantry.ctl("status", "--json").stdout)["last_shutdown"])
            self.assertFalse(gantry.find("gantry", "unclean", "message"))


class Requests(unittest.TestCase):
    def by(self, config, ask, how):
        with Pid1(config) as gantry:
            gantry.wait("gantry", "booted")
            ask(gantry)
            self.assertEqual(gantry.end(), how)
            return gantry.find("gantry", "down")[0].text

    def test_the_kernels_own_call_needs_neither_environment_nor_descriptors(self):
        """As call_usermodehelper() starts /sbin/poweroff when Hyper-V asks: HOME, PATH, and nothing else at all."""
        bare = "import os; os.setsid(); os.chdir('/'); os.closerange(0, 64);" \
               "os.execve('/opt/poweroff', ['/sbin/poweroff'], {'HOME': '/', 'PATH': '/sbin:/bin:/usr/sbin:/usr/bin'})"
        self.assertIn("for=poweroff", self.by(boot(services=[service("a")]),
                                              lambda gantry: gantry.inside("python3", "-c", bare), "poweroff"))

    def test_who_asked_is_said(self):
        asker = service("asker", "sleep 0.3; kill -INT 1; exec sleep 1000")
        with Pid1(boot(services=[asker])) as gantry:
            self.assertEqual(gantry.end(), "reboot")
            self.assertIn('by="SIGINT from asker"', gantry.find("gantry", "down")[0].text)

    def test_nothing_new_begins(self):
        late = service("late", "echo started", enabled=False)
        slow = service("slow", "trap 'sleep 1; exit 0' TERM; echo up; while :; do sleep 0.05; done")
        crash = service("crash", "echo again; sleep 0.4; exit 1", restart={"min_s": 0.1, "max_s": 0.1})
        with Pid1(boot(services=[late, slow, crash])) as gantry:
            gantry.wait("slow", "up", "message")
            gantry.wait("crash", "running", count=2)
            gantry.ctl("poweroff", "enough")
            stopping = gantry.wait("gantry", "stopping")
            refused = gantry.ctl("start", "late")
            self.assertIn("the machine is stopping", refused.stderr)
            self.assertEqual(gantry.end(), "poweroff")
            self.assertFalse([e for e in gantry.events if e.kind == "state" and e.word == "running"
                              and e.time > stopping.time])


if __name__ == "__main__":
    unittest.main()
