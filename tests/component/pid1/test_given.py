# SPDX-License-Identifier: GPL-2.0-or-later
"""What a service is given at its start, as a server of today expects it: outputs that it may open by path, and limits."""

import os
import resource
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pid1 import Pid1, boot, service  # noqa: E402

USERS = [{"name": "reth", "uid": 1001, "gid": 1001}]
with open("/proc/self/status", encoding="ascii") as file:     # CAP_SYS_RESOURCE
    MAY_RAISE = bool(int(file.read().partition("CapEff:")[2].split()[0], 16) & 1 << 24)
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")
BY_PATH = "for i in 1 2; do echo by path >> /dev/std$1 || echo refused; done; exec sleep 1000"


def by_path(name, descriptor, **more):
    return {**service(name, **more), "command": ["/bin/sh", "-c", BY_PATH, "sh", descriptor]}


class Output(unittest.TestCase):
    SERVICES = [by_path("out", "out", user="reth"), by_path("err", "err", user="reth"), by_path("root", "out"),
                by_path("bare", "err", capabilities=[])]

    def test_a_program_of_any_user_may_open_its_outputs_by_path(self):
        with Pid1(boot(services=self.SERVICES, users=USERS)) as gantry:
            for name in ("out", "err", "root", "bare"):
                gantry.wait(name, "by path", kind="message", count=2)
            self.assertEqual([e for e in gantry.events if "enied" in e.text or "refused" in e.text], [])

    @unittest.skipUnless(NGINX, "no nginx here")
    def test_nginx_of_another_user_logs_to_its_outputs_by_path(self):
        """As the image of nginx is configured; its workers have the same user."""
        config = ("daemon off; pid /t/nginx.pid; error_log /dev/stderr info; events {} http { access_log /dev/stdout; "
                  "client_body_temp_path /t/b; proxy_temp_path /t/p; fastcgi_temp_path /t/f; uwsgi_temp_path /t/u; "
                  "scgi_temp_path /t/s; server { listen 127.0.0.1:8080; location = / { return 204; } } }")
        # Its one default that is opened before the file is read.
        web = {**service("web", user="reth", ready={"tcp": "127.0.0.1:8080"}),
               "command": [NGINX, "-e", "/dev/stderr", "-c", "/t/nginx.conf"]}
        for more in ({}, {"logs": {"directory": "/t/logs"}}):
            with self.subTest(**more), Pid1(boot(services=[web], users=USERS, **more), files={"nginx.conf": config}) as gantry:
                gantry.wait("web", "ready")
                gantry.inside("curl", "-s", "http://127.0.0.1:8080/")
                if more:
                    gantry.inside("sh", "-c", "until grep -q 'GET / HTTP' /t/logs/web.log; do sleep 0.05; done")
                    text = gantry.read("logs/web.log")
                else:
                    gantry.wait("web", "127.0.0.1 - - [", kind="message")
                    text = "\n".join(e.text for e in gantry.find("web", "", kind="message"))
                self.assertIn("[notice]", text)
                self.assertIn('"GET / HTTP/1.1" 204', text)
                self.assertNotIn("ermission denied", text)

    def test_so_it_may_where_its_output_is_a_file(self):
        with Pid1(boot(services=self.SERVICES, users=USERS, logs={"directory": "/t/logs"})) as gantry:
            gantry.wait("gantry", "booted")
            for name in ("out", "err", "root", "bare"):
                gantry.inside("sh", "-c", f"until [ $(wc -l < /t/logs/{name}.log) -ge 2 ]; do sleep 0.05; done")
                self.assertEqual(gantry.read(f"logs/{name}.log"), "by path\n" * 2)

    def test_a_probe_and_a_command_of_its_user_may_too(self):
        ready = {"exec": ["/bin/sh", "-c", "echo ready > /dev/stderr && touch /t/ready"]}
        with Pid1(boot(services=[service("db", user="reth", ready=ready)], users=USERS)) as gantry:
            gantry.wait("db", "ready")

    def test_the_device_null_stays_roots(self):
        with Pid1(boot(services=self.SERVICES, users=USERS)) as gantry:
            gantry.wait("gantry", "booted")
            self.assertEqual(gantry.inside("stat", "-c", "%u", "/dev/null").stdout, "0\n")


class Reasons(unittest.TestCase):
    """A service that fails says why by what it prints: often not in its last line."""
    PANIC = ("echo 'thread main panicked at src/main.rs:3:5: no such table'; echo; "
             "echo 'note: run with RUST_BACKTRACE=1 to see more'; exit 101")
    OLD = "echo 'error: an old one'; i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i; done; exit 4"
    SERVICES = [service(name, script, restart={"policy": "never"}, required=False) for name, script in (
        ("panics", PANIC), ("says", "echo Starting; echo cannot bind; exit 1"), ("silent", "exit 7"), ("old", OLD))]

    def check(self, **more):
        with Pid1(boot(services=self.SERVICES, **more)) as gantry:
            for name, reason in (
                    ("panics", "exit status 101: thread main panicked at src/main.rs:3:5: no such table / note: run with "
                               "RUST_BACKTRACE=1 to see more"),
                    ("says", "exit status 1: cannot bind"), ("silent", "exit status 7"), ("old", "exit status 4: line 30")):
                self.assertTrue(gantry.wait(name, "failed").text.endswith(f"text={reason}"), gantry.find(name))

    def test_the_exit_status_and_the_line_that_looks_like_the_reason_are_in_the_reason(self):
        self.check()

    def test_so_they_are_where_the_output_is_a_file(self):
        self.check(logs={"directory": "/t/logs"})


class Limits(unittest.TestCase):
    def descriptors(self, soft, hard):
        """What services get if PID 1 itself had these, and PID 1's own."""
        script = "echo soft $(ulimit -Sn) hard $(ulimit -Hn); exec sleep 1000"
        plan = [service("a", script, user="reth"), service("b", script, limits={"nofile": 1500})]
        with Pid1(boot(services=plan, users=USERS), wrap=["prlimit", f"--nofile={soft}:{hard}"]) as gantry:
            gantry.wait("b", "soft 1500 hard 1500", kind="message")
            own = subprocess.run(["prlimit", "--nofile", "-p", str(gantry.pid), "-o", "SOFT", "--noheadings"],
                                 check=True, capture_output=True, text=True).stdout
            return gantry.wait("a", "soft", kind="message").text, int(own)

    @unittest.skipUnless(MAY_RAISE, "this machine lets nobody raise a limit; boot/test_hardened has it")
    def test_descriptors_are_those_of_a_service_of_systemd_and_not_of_the_kernels_first_process(self):
        said, own = self.descriptors(1024, 4096)      # asm-generic/resource.h, INIT_RLIMITS
        self.assertEqual(said, "soft 1024 hard 524288")
        self.assertGreaterEqual(own, 524288)    # for 1,200 nodes

    def test_where_the_limit_cannot_be_raised_they_are_as_many_as_there_are(self):
        hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 524288)
        self.assertEqual(self.descriptors(hard, hard), (f"soft 1024 hard {524288 if MAY_RAISE else hard}", max(hard, 524288)
                                                  if MAY_RAISE else hard))


if __name__ == "__main__":
    unittest.main()
