# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that forks for PID 1: what it starts is PID 1's own, and without it all goes on."""

import os
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from patience import PATIENCE, assert_within  # noqa: E402
from pid1 import Pid1, boot, service  # noqa: E402

RECVFROM = "45"         # of x86-64
QUICK = {"min_s": 0.05, "max_s": 0.05, "burst": 0}


class ForkServer(unittest.TestCase):
    DESCRIPTORS = 9         # those reserved, its socket, /dev/null, and the file that it executes

    def wait_for_another(self, gantry, than=None):
        """It has its name only once it runs."""
        end = time.monotonic() + 20 * PATIENCE
        while (pid := gantry.forkserver()) in (None, than):
            self.assertLess(time.monotonic(), end, "there is no other")
            time.sleep(0.02)
        return pid

    def test_what_it_starts_is_pid_1_s_own_child_and_it_has_none(self):
        with Pid1(boot(services=[service("app", "cut -d' ' -f4 /proc/$$/stat > /t/new; mv /t/new /t/parent; exec sleep 1000",
                                         ready={"path": "/t/parent"})])) as gantry:
            gantry.wait("app", "ready")
            self.assertEqual(gantry.read("parent"), "1\n")
            pid = gantry.forkserver()
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                self.assertEqual(file.read(), "")
            self.assertEqual(len(os.listdir(f"/proc/{pid}/fd")), self.DESCRIPTORS)

    def test_a_later_one_has_no_descriptor_of_pid_1_either(self):
        with Pid1(boot(services=[service("app")])) as gantry:
            gantry.wait("app", "ready")
            pid = gantry.forkserver()
            os.kill(pid, signal.SIGKILL)
            pid = self.wait_for_another(gantry, than=pid)
            self.assertEqual(gantry.ctl("restart", "app").returncode, 0)    # it opens /dev/null then
            gantry.wait("app", "ready", count=2)
            self.assertEqual(len(os.listdir(f"/proc/{pid}/fd")), self.DESCRIPTORS)

    def test_roles_are_the_file_that_pid_1_runs_whatever_init_has_become(self):
        """By the fork server, and by PID 1 without one."""
        app = service("app", "touch /t/ready; exec sleep 1000", ready={"path": "/t/ready"}, enabled=False,
                      when_ready=[{"path": "/t/ready", "mode": "0641"}])
        foreign = "#!/bin/sh\nid -u > /t/executed\nexit 0\n"
        with Pid1(boot(services=[service("first"), app]), files={"foreign": foreign}) as gantry:
            gantry.wait("gantry", "booted")
            ready = os.path.join(gantry.shared, "ready")
            r = gantry.inside("sh", "-ec", "cp /init /opt/old; cp /t/foreign /init.new; chmod 755 /init.new; mv /init.new /init")
            self.assertEqual(r.returncode, 0, r.stderr)
            for count in range(1, 3):
                self.assertEqual(gantry.inside("/opt/old", "gantryctl", "start", "app").returncode, 0)
                gantry.wait("app", "ready", count=count)
                self.assertFalse(os.path.exists(os.path.join(gantry.shared, "executed")), "PID 1 executed the new file")
                self.until(lambda: os.stat(ready).st_mode & 0o777 == 0o641)
                self.assertEqual(gantry.inside("/opt/old", "gantryctl", "stop", "app").returncode, 0)
                gantry.wait("app", "stopped", count=count)
                os.remove(ready)
                if count == 1:
                    os.kill(self.wait_for_another(gantry), signal.SIGKILL)
                    gantry.wait("gantry", "the fork server exited (signal 9)", kind="message")

    def test_killed_again_and_again_it_is_missed_by_nobody(self):
        again = service("again", "exit 1", required=False, restart=QUICK)
        with Pid1(boot(services=[service("app"), again])) as gantry:
            gantry.wait("app", "ready")
            pid = gantry.forkserver()
            for count in range(1, 4):
                os.kill(pid, signal.SIGKILL)
                gantry.wait("gantry", "the fork server exited (signal 9)", kind="message", count=count)
                seen = len(gantry.find("again", "running"))
                gantry.wait("again", "running", count=seen + 5)
                pid = self.wait_for_another(gantry, than=pid)
            self.assertEqual(gantry.find("again", "not started", kind="state"), [])
            gantry.ctl("poweroff")
            self.assertEqual(gantry.end(), "poweroff")

    def test_one_that_does_not_answer_is_killed_and_the_start_tried_again(self):
        with Pid1(boot(services=[service("app", enabled=False)])) as gantry:
            gantry.wait("gantry", "booted")
            pid = self.wait_for_another(gantry)
            os.kill(pid, signal.SIGSTOP)
            begin = time.monotonic()
            self.assertEqual(gantry.ctl("start", "app").returncode, 0)
            gantry.wait("gantry", "the fork server did not answer within 1000 ms", kind="message")
            self.assertIn("not started: ", gantry.wait("app", "retrying").text)
            gantry.wait("app", "ready")
            assert_within(self, time.monotonic() - begin, 1, 9)
            self.wait_for_another(gantry, than=pid)
            self.until(lambda: gantry.inside("pgrep", "-f", "sleep 1000").stdout.count("\n") == 1)

    def test_one_that_is_ready_before_pid_1_has_heard_of_its_start_is_ready(self):
        """PID 1 is stopped while it asks for the fork: then a message of another service waits for it first of all, behind
        that `READY=1`, and the start, which it could hear of before either, comes between them."""
        say = ("import os, socket, sys, time\nopen(sys.argv[3] + '.here', 'w').close()\n"
               "while not os.path.exists(sys.argv[1]): time.sleep(0.01)\n"
               "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(sys.argv[2].encode(), os.environ['NOTIFY_SOCKET'])\n"
               "open(sys.argv[3], 'w').close()\ntime.sleep(1000)\n")
        other = service("other", "exec python3 /t/say.py /t/go STATUS=here /t/told", ready={"notify": True}, required=False)
        app = service("app", "exec python3 /t/say.py / READY=1 /t/said", ready={"notify": True}, enabled=False)
        with Pid1(boot(services=[other, app]), files={"say.py": say}) as gantry:
            self.until(lambda: os.path.exists(os.path.join(gantry.shared, "told.here")))
            pid, server = gantry.pid, self.wait_for_another(gantry)
            os.kill(server, signal.SIGSTOP)
            with subprocess.Popen(["nsenter", "-t", str(pid), "-p", "-m", "-n", "-r", "-w", "/opt/gantryctl", "start", "app"]):
                self.until(lambda: self.in_call(pid) == RECVFROM)
                os.kill(pid, signal.SIGSTOP)
                gantry.write("go", "")
                self.until(lambda: os.path.exists(os.path.join(gantry.shared, "told")))
                os.kill(server, signal.SIGCONT)
                self.until(lambda: os.path.exists(os.path.join(gantry.shared, "said")))
                os.kill(pid, signal.SIGCONT)
                gantry.wait("app", "ready")

    def until(self, there):
        end = time.monotonic() + 20 * PATIENCE
        while not there():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.005)

    def in_call(self, pid):
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            return file.read().split()[0]

    def test_a_service_that_is_too_long_for_it_starts_all_the_same(self):
        long = service("long", 'echo ${#LONG_0}$LONG_0 | head -c 4', environment={f"LONG_{i}": "x" * 4000 for i in range(20)},
                       restart={"policy": "never"}, ready={"exit": True})
        with Pid1(boot(services=[long])) as gantry:
            gantry.wait("long", "4000", kind="message")


if __name__ == "__main__":
    unittest.main()
