# SPDX-License-Identifier: GPL-2.0-or-later
"""A service is its cgroup: whatever its processes did to sessions and parents, it has ended when the last of them has."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from patience import PATIENCE, assert_within  # noqa: E402
from pid1 import Pid1, boot, service, stage  # noqa: E402
from support import waits  # noqa: E402

# Two forks and a session of its own: no parent, no process group and no terminal ties it to the service any more.
ESCAPE = r"""
import os, signal, sys, time
def escape(deaf, name):
    if os.fork(): return
    os.setsid()
    if os.fork(): os._exit(0)
    if deaf: signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        def end(*_):
            open("/t/" + name + ".term", "w").close()
            time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0)
            open("/t/" + name + ".end", "w").close()
            os._exit(0)
        signal.signal(signal.SIGTERM, end)
    open("/t/" + name, "w").write(str(os.getpid()))
    while True: time.sleep(1000)
"""

# A FUSE file system whose server answers the first request and reads, but never answers, the second: who made that one
# waits in the kernel, and not even SIGKILL ends it until the server does.
FUSE = r"""
import os, struct, subprocess, sys, time
os.makedirs("/run/stuck", exist_ok=True)
fd = os.open("/dev/fuse", os.O_RDWR)
libc = __import__("ctypes").CDLL(None)
if libc.mount(b"stuck", b"/run/stuck", b"fuse", 0, b"fd=%d,rootmode=40000,user_id=0,group_id=0" % fd): sys.exit(3)
first = os.read(fd, 1 << 18)
unique = struct.unpack_from("<Q", first, 8)[0]
body = struct.pack("<IIIIHHIIHHII", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0, 0) + bytes(64 - 40)
os.write(fd, struct.pack("<IiQ", 16 + len(body), 0, unique) + body)
open("/t/fuse", "w").close()
os.read(fd, 1 << 18)
open("/t/caught", "w").close()
while not os.path.exists("/t/let-go"): time.sleep(0.05)
"""


def until(gantry, condition, timeout=20):
    script = f"for i in $(seq {int(timeout * PATIENCE * 20)}); do {condition} && exit 0; sleep 0.05; done; exit 1"
    return gantry.inside("sh", "-c", script, timeout=timeout + 5).returncode == 0


def folders(gantry):
    """The cgroups that there are, of nodes and acts."""
    return sorted(gantry.inside("sh", "-c", "cd /sys/fs/cgroup/gantry && ls -d */").stdout.split())


@unittest.skipIf("GANTRY_USERNS" in os.environ, "a user namespace may not do what this needs")
class Ends(unittest.TestCase):
    def running(self, **more):
        script = "python3 /t/escape.py; echo $$ > /t/main; exec sleep 1000"
        return boot(services=[service("app", script, ready={"path": "/t/main"}, **more)])

    def alive(self, gantry, *names):
        return [name for name in names if gantry.inside("test", "-d", f"/proc/{gantry.read(name)}").returncode == 0]

    def test_escaped_and_deaf_ones_end_with_the_service(self):
        files = {"escape.py": ESCAPE + "escape(True, 'one')\nescape(True, 'two')\n"
                 "while not (os.path.exists('/t/one') and os.path.exists('/t/two')): time.sleep(0.01)\n"}
        with Pid1(self.running(stop_to="main"), files=files) as gantry:
            gantry.wait("app", "ready")
            self.assertEqual(self.alive(gantry, "one", "two"), ["one", "two"])
            begin = time.monotonic()
            gantry.ctl("stop", "app")
            gantry.wait("app", "stopped")
            assert_within(self, time.monotonic() - begin, 0, 5)     # the grace is for the main process
            self.assertEqual(self.alive(gantry, "one", "two"), [])
            self.assertEqual(folders(gantry), [])

    def test_a_service_has_stopped_only_when_its_last_process_has(self):
        files = {"escape.py": ESCAPE + "escape(False, 'one')\nwhile not os.path.exists('/t/one'): time.sleep(0.01)\n"}
        config = self.running(stop_to="all", stop_grace_s=60)
        config["services"][0]["command"][2] = config["services"][0]["command"][2].replace("escape.py", "escape.py x 1.5")
        with Pid1(config, files=files) as gantry:
            gantry.wait("app", "ready")
            gantry.ctl("stop", "app")
            stopping, stopped = gantry.wait("app", "stopping"), gantry.wait("app", "stopped")
            self.assertTrue(os.path.exists(os.path.join(gantry.shared, "one.end")))
            self.assertGreater(stopped.time - stopping.time, 1.4)
            assert_within(self, stopped.time - stopping.time, 1.5, 28.5)
            self.assertEqual(folders(gantry), [])

    def test_with_stop_to_all_the_grace_is_for_all_and_ends(self):
        files = {"escape.py": ESCAPE + "escape(True, 'one')\nwhile not os.path.exists('/t/one'): time.sleep(0.01)\n"}
        with Pid1(self.running(stop_to="all", stop_grace_s=2), files=files) as gantry:
            gantry.wait("app", "ready")
            gantry.ctl("stop", "app")
            stopping, stopped = gantry.wait("app", "stopping"), gantry.wait("app", "stopped")
            self.assertGreater(stopped.time - stopping.time, 1.9)
            assert_within(self, stopped.time - stopping.time, 2, 6)
            self.assertEqual(self.alive(gantry, "one"), [])

    def test_those_that_a_shell_leaves_are_told_and_have_the_rest_of_the_grace_unless_it_says_otherwise(self):
        files = {"escape.py": ESCAPE + "escape(False, 'one')\nwhile not os.path.exists('/t/one'): time.sleep(0.01)\n"}
        config = self.running(stop_grace_s=60)
        config["services"][0]["command"][2] = config["services"][0]["command"][2].replace("escape.py", "escape.py x 1.5")
        with Pid1(config, files=files) as gantry:
            gantry.wait("app", "ready")
            gantry.ctl("stop", "app")
            gantry.wait("app", "stopped")
            self.assertTrue(os.path.exists(os.path.join(gantry.shared, "one.end")))     # it has flushed

    def test_with_stop_to_main_the_others_hear_nothing_of_it(self):
        files = {"escape.py": ESCAPE + "escape(False, 'one')\nwhile not os.path.exists('/t/one'): time.sleep(0.01)\n"}
        with Pid1(self.running(stop_to="main"), files=files) as gantry:
            gantry.wait("app", "ready")
            gantry.ctl("stop", "app")
            gantry.wait("app", "stopped")
            self.assertEqual(self.alive(gantry, "one"), [])
            self.assertFalse(os.path.exists(os.path.join(gantry.shared, "one.term")))

    def test_a_restart_finds_nobody_of_the_former_life(self):
        files = {"escape.py": ESCAPE + "escape(True, 'one')\nwhile not os.path.exists('/t/one'): time.sleep(0.01)\n"}
        script = ("n=0; while read -r pid; do n=$((n + 1)); done < /sys/fs/cgroup/gantry/app/cgroup.procs; echo $n >> /t/found; "
                  "rm -f /t/one; python3 /t/escape.py; exit 1")
        with Pid1(boot(services=[service("app", script, required=False)]), files=files) as gantry:
            gantry.wait("app", "running", count=4)
            gantry.ctl("stop", "app")
            gantry.wait("app", "stopped")
            self.assertEqual(set(gantry.read("found").split()), {"1"})

    def test_a_cgroup_that_a_service_made_below_its_own_goes_with_it(self):
        script = ("cd /sys/fs/cgroup/gantry/app; mkdir -p x/y/z; sh -c 'echo $$ > x/y/cgroup.procs; exec sleep 999' & "
                  "until grep -q . x/y/cgroup.procs; do sleep 0.02; done; touch /t/main; exec sleep 1000")
        with Pid1(boot(services=[service("app", script, ready={"path": "/t/main"})])) as gantry:
            gantry.wait("app", "ready")
            gantry.ctl("restart", "app")
            gantry.wait("app", "ready", count=2)
            gantry.ctl("stop", "app")
            gantry.wait("app", "stopped")
            self.assertEqual(folders(gantry), [])

    def folder_of_each_start(self, script, **more):
        """The cgroup's folder as three starts of a service that fails have found it."""
        script = "stat -c %i /sys/fs/cgroup/gantry/app >> /t/found; " + script
        restart = {"min_s": 0.05, "max_s": 0.05, "burst": 0}
        with Pid1(boot(services=[service("app", script, required=False, restart=restart)]), **more) as gantry:
            gantry.wait("app", "running", count=4)
            gantry.ctl("stop", "app")
            gantry.wait("app", "stopped")
            self.assertEqual(folders(gantry), [])
            return gantry.read("found").split()[:3]

    def test_a_failed_service_finds_its_cgroup_as_it_was(self):
        self.assertEqual(len(set(self.folder_of_each_start("exit 1"))), 1)

    def test_a_cgroup_that_is_not_as_it_was_made_is_another_at_the_next_start(self):
        self.assertEqual(len(set(self.folder_of_each_start("mkdir /sys/fs/cgroup/gantry/app/x; exit 1"))), 3)
        freeze = "import os, signal, sys; g = '/sys/fs/cgroup/gantry/app/'\nif os.fork() == 0:\n os.setsid()\n" \
                 " open('/sys/fs/cgroup/cgroup.procs', 'w').write(str(os.getpid()))\n" \
                 " open(g + 'cgroup.freeze', 'w').write('1')\n os.kill(int(sys.argv[1]), signal.SIGKILL)\n os._exit(0)\n" \
                 "signal.pause()\n"
        self.assertEqual(len(set(self.folder_of_each_start("exec python3 /t/freeze.py $$", files={"freeze.py": freeze}))), 3)

    def test_one_that_had_to_be_killed_starts_again(self):
        script = "stat -c %i /sys/fs/cgroup/gantry/app >> /t/found; trap '' TERM; touch /t/main; while :; do sleep 1; done"
        app = service("app", script, stop_grace_s=0.2, ready={"path": "/t/main"})
        with Pid1(boot(services=[app])) as gantry:
            for count in range(1, 4):
                gantry.wait("app", "ready", count=count)
                os.unlink(os.path.join(gantry.shared, "main"))
                gantry.ctl("restart", "app")
            gantry.wait("app", "ready", count=4)
            self.assertNotIn("retrying", gantry.states("app"))
            self.assertEqual(len(set(gantry.read("found").split())), 4)

    def test_one_whose_cgroup_somebody_else_has_killed_starts_again(self):
        restart = {"min_s": 0.05, "max_s": 0.05, "burst": 0}
        with Pid1(boot(services=[service("app", restart=restart)])) as gantry:
            gantry.wait("app", "ready")
            gantry.inside("sh", "-c", "echo 1 > /sys/fs/cgroup/gantry/app/cgroup.kill")
            gantry.wait("app", "ready", count=2)
            gantry.ctl("stop", "app")
            self.assertEqual(gantry.wait("app", "stopped").text, "stopped text=on request; killed by SIGTERM")
            self.assertEqual(gantry.states("app").count("retrying"), 1)

    def test_a_stage_is_done_when_nothing_of_it_is_left(self):
        files = {"escape.py": ESCAPE + "escape(True, 'one')\nwhile not os.path.exists('/t/one'): time.sleep(0.01)\n"}
        plan = [stage("first", "python3 /t/escape.py"), stage("second", "[ ! -d /proc/$(cat /t/one) ]", needs=["first"])]
        with Pid1(boot(plan), files=files) as gantry:
            gantry.wait("gantry", "booted")
            self.assertEqual(gantry.states("second"), ["running", "done"])
            self.assertEqual(folders(gantry), [])

    def test_what_an_action_left_behind_goes_with_its_cgroup(self):
        # The act's cgroup is named in docs/events.md; here only that nothing stays of it.
        script = "setsid sleep 4242 & sleep 0.2; exit 0"
        config = boot(services=[service("app")], api={"listen": "127.0.0.1:3535", "actions": [
            {"name": "leave", "command": ["/bin/sh", "-c", script]}]})
        import within
        with Pid1(config) as gantry:
            gantry.wait("gantry", "booted")
            self.assertEqual(within.ask(gantry, "/api/v1/actions/leave").status, 200)
            gantry.wait("system-api", "executing action success", kind="message")
            self.assertTrue(until(gantry, "! pgrep -f '[s]leep 4242'"))
            self.assertTrue(until(gantry, "! ls -d /sys/fs/cgroup/gantry/action.*"), folders(gantry))

    @unittest.skipUnless(os.path.exists("/dev/fuse"), "there is no FUSE")
    @waits(11)
    def test_one_that_sigkill_cannot_end_does_not_keep_the_service_down(self):
        script = "(setsid ls /run/stuck &); until [ -e /t/caught ]; do sleep 0.05; done; touch /t/main; exec sleep 1000"
        second = "touch /t/main /t/again; exec sleep 1000"
        services = [service("fuse", "exec python3 /t/fuse.py", ready={"path": "/t/fuse"}, restart={"policy": "never"}),
                    service("app", f"[ -e /t/main ] && {{ {second}; }}; {script}", needs=["fuse"],
                            ready={"path": "/t/main"}, stop_grace_s=1)]
        with Pid1(boot(services=services), files={"fuse.py": FUSE}, devices=["fuse"]) as gantry:
            gantry.wait("app", "ready")
            gantry.ctl("restart", "app")
            gantry.wait("app", "cgroup app: processes remain", kind="message", timeout=30)
            gantry.wait("app", "ready", count=2)
            self.assertTrue(until(gantry, "[ -e /t/again ]"))
            self.assertEqual(folders(gantry), ["app/", "app~1/", "fuse/"])
            gantry.write("let-go", "")
            self.assertTrue(until(gantry, "! [ -d /sys/fs/cgroup/gantry/app ]"))     # removed once it is empty after all
            self.assertEqual(gantry.inside("cat", "/sys/fs/cgroup/gantry/app~1/cgroup.procs").stdout.count("\n"), 1)


@unittest.skipIf("GANTRY_USERNS" in os.environ, "a user namespace may not do what this needs")
class Limits(unittest.TestCase):
    def test_a_limit_that_the_kernel_refuses_fails_the_service_and_the_rest_goes_on(self):
        bad = service("bad", required=False, cgroup={"cpu.pressure": "nonsense"})
        with Pid1(boot(services=[bad, service("app")])) as gantry:
            self.assertIn('cgroup cpu.pressure: "nonsense" refused: ', gantry.wait("bad", "failed").text)
            gantry.wait("gantry", "booted")
            self.assertEqual(folders(gantry), ["app/"])

    def test_a_setting_that_no_kernel_has_fails_the_service(self):
        bad = service("bad", required=False, cgroup={"memory.maks": "64M"})
        with Pid1(boot(services=[bad, service("app")])) as gantry:
            self.assertIn('cgroup memory.maks: "64M" refused: No such file', gantry.wait("bad", "failed").text)
            gantry.wait("gantry", "booted")


if __name__ == "__main__":
    unittest.main()
