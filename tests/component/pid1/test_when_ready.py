# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done with a service's files once it appears ready, and that whoever needs it starts after that."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pid1 import Pid1, boot, service  # noqa: E402

USERS = [{"name": "reth", "uid": 1001, "gid": 1001, "groups": ["eth"]}]
SERVER = ("import os, socket, time; s = socket.socket(socket.AF_UNIX); os.umask(0o022); s.bind('/run/app/new'); s.listen(); "
          "os.rename('/run/app/new', '/run/app/ipc'); time.sleep(1000)")


def server(*steps, **more):
    return {"name": "app", "command": ["/usr/bin/python3", "-S", "-c", SERVER], "user": "reth",
            "before_start": [{"directory": "/run/app", "user": "reth", "mode": "0755"}, {"remove": "/run/app/*"}],
            "ready": {"path": "/run/app/ipc"}, "when_ready": list(steps), "restart": {"min_s": 0.1, "max_s": 0.2}, **more}


def client():
    return service("client", "stat -c %a:%U:%G /run/app/ipc > /t/new; mv /t/new /t/seen; exec sleep 1000", needs=["app"],
                   ready={"path": "/t/seen"})


class WhenReady(unittest.TestCase):
    def test_whoever_needs_the_service_finds_the_steps_done(self):
        with Pid1(boot(services=[client(), server({"path": "/run/app/ipc", "group": "eth", "mode": "0660"})],
                       users=USERS)) as gantry:
            gantry.wait("gantry", "booted")
            self.assertEqual(gantry.states("app"), ["running", "ready"])
            self.assertEqual(gantry.read("seen"), "660:reth:eth\n")

    def test_they_are_done_again_at_each_start(self):
        with Pid1(boot(services=[server({"path": "/run/app/ipc", "group": "eth", "mode": "0660"})], users=USERS)) as gantry:
            gantry.wait("gantry", "booted")
            gantry.inside("pkill", "-KILL", "-x", "python3")
            gantry.wait("app", "ready", count=2)
            self.assertEqual(gantry.inside("stat", "-c", "%a:%G", "/run/app/ipc").stdout, "660:eth\n")

    def test_a_step_that_fails_is_the_services_failure_and_says_why(self):
        with Pid1(boot(services=[client(), server({"path": "/run/token", "mode": "0640"})], users=USERS)) as gantry:
            failed = gantry.wait("app", "retrying", count=2)
            self.assertIn("text=when_ready: path /run/token: no such file or directory", failed.text)
            self.assertEqual((gantry.find("app", "ready"), gantry.find("client", "running")), ([], []))
            gantry.inside("touch", "/run/token")
            gantry.wait("gantry", "booted")
            self.assertEqual(gantry.inside("stat", "-c", "%a", "/run/token").stdout, "640\n")
            self.assertEqual(gantry.inside("pgrep", "-c", "-x", "python3").stdout, "1\n")

    def test_root_is_not_led_elsewhere_by_the_service(self):
        script = "ln -s /etc/passwd /run/app/ipc; exec sleep 1000"
        app = server({"path": "/run/app/ipc", "user": "reth", "mode": "0666"}, command=["/bin/sh", "-c", script])
        with Pid1(boot(services=[app], users=USERS)) as gantry:
            failed = gantry.wait("app", "retrying")
            self.assertIn("when_ready: path /run/app/ipc: symbolic link in the path", failed.text)
            self.assertEqual(gantry.inside("stat", "-c", "%a:%U", "/etc/passwd").stdout, "644:root\n")

    def test_a_stop_while_it_is_not_yet_ready_stays_a_stop(self):
        with Pid1(boot(services=[server({"path": "/run/token", "mode": "0640"}, required=False,
                                        restart={"min_s": 0.01, "max_s": 0.01})], users=USERS)) as gantry:
            gantry.wait("app", "retrying", count=3)
            gantry.ctl("stop", "app")
            gantry.wait("app", "stopped")
            gantry.ctl("start", "app")
            gantry.wait("app", "retrying", count=5)


if __name__ == "__main__":
    unittest.main()
