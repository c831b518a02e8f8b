# SPDX-License-Identifier: GPL-2.0-or-later
"""PID 1 in its own namespaces: the plan in real processes, and everything a child can do to its parent."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from patience import assert_within  # noqa: E402
from pid1 import Pid1, boot, service, stage  # noqa: E402


class Plan(unittest.TestCase):
    def test_stages_run_in_the_order_of_their_needs(self):
        plan = [stage("c", "echo c >> /t/order", needs=["b"]), stage("b", "echo b >> /t/order", needs=["a"]),
                stage("a", "echo a >> /t/order")]
        with Pid1(boot(plan)) as gantry:
            gantry.wait("gantry", "booted")
            self.assertEqual(gantry.read("order"), "a\nb\nc\n")

    def test_stages_without_needs_run_in_parallel(self):
        # Each waits until the other has started: in sequence neither would ever end.
        plan = [{"name": a, "type": "exec", "options": {"command": ["/bin/sh", "-c", f"mkfifo /t/a /t/b 2>/dev/null; "
                 f"echo x > /t/{b} & read y < /t/{a}; wait"]}, "retry": {"limit": 1}, "deadline_s": 10}
                for a, b in (("a", "b"), ("b", "a"))]
        with Pid1(boot(plan)) as gantry:
            gantry.wait("gantry", "booted")

    def test_a_failing_stage_is_retried_with_backoff_until_it_succeeds(self):
        script = 'echo x >> /t/tries; [ $(wc -l < /t/tries) -ge 3 ] || exit 75'
        with Pid1(boot([stage("flaky", script)])) as gantry:
            gantry.wait("gantry", "booted")
            self.assertEqual(gantry.states("flaky"),
                             ["running", "retrying", "running", "retrying", "running", "done"])

    def test_exhausted_retries_hold_the_boot_with_the_reason(self):
        plan = [stage("bad", "echo the cable is cut; exit 75"), stage("later", needs=["bad"])]
        with Pid1(boot(plan)) as gantry:
            held = gantry.wait("gantry", "held")
            self.assertIn("the cable is cut", held.text)
            self.assertEqual(gantry.states("bad").count("running"), 3)
            self.assertEqual(gantry.states("later"), ["blocked"])
            self.assertIn("held", gantry.ctl("status").stdout)
            self.assertIn("the cable is cut", gantry.ctl("status").stdout)

    def test_exit_125_is_never_tried_again(self):
        with Pid1(boot([stage("bad", "exit 125")])) as gantry:
            gantry.wait("gantry", "held")
            self.assertEqual(gantry.states("bad"), ["running", "failed"])

    def test_a_stage_that_outlives_its_deadline_is_ended(self):
        plan = [stage("slow", "trap '' TERM; sleep 1000 & wait; sleep 1000", deadline_s=1, retry={"limit": 1})]
        with Pid1(boot(plan)) as gantry:
            gantry.wait("gantry", "held")
            self.assertIn("deadline passed after 1 s", gantry.find("slow", "failed")[0].text)
            self.assertEqual(gantry.inside("pgrep", "sleep").stdout, "")

    def test_a_held_boot_runs_its_held_stage_and_then_the_configured_action(self):
        plan = [stage("bad", "exit 125"), stage("tell", "echo told > /t/told", when="held", required=False)]
        with Pid1(boot(plan, held={"action": "poweroff", "delay_s": 1})) as gantry:
            self.assertEqual(gantry.end(), "poweroff")
            self.assertEqual(gantry.read("told"), "told\n")

    def test_a_failed_stage_started_by_hand_lets_the_boot_go_on(self):
        plan = [stage("bad", "[ -e /t/repaired ] || exit 125")]
        with Pid1(boot(plan, [service("app", needs=["bad"])])) as gantry:
            gantry.wait("gantry", "held")
            self.assertEqual(gantry.states("app"), ["blocked"])
            gantry.write("repaired", "")
            self.assertEqual(gantry.ctl("start", "bad").returncode, 0)
            gantry.wait("gantry", "booted")

    def test_a_boot_that_gets_nowhere_is_held_with_what_is_missing_and_booted_when_that_comes(self):
        plan = [stage("loads", "until [ -e /t/go ]; do sleep 0.05; done"), stage("tell", "echo told > /t/told", when="held",
                                                                                required=False)]
        with Pid1(boot(plan, [service("db", ready={"path": "/run/db"}, ready_deadline_s=0), service("app", needs=["loads"])],
                       boot_deadline_s=1.5)) as gantry:
            held = gantry.wait("gantry", "held")
            self.assertIn("no progress for 1 s; missing: loads (running), db (running); waiting for others: app", held.text)
            gantry.wait("tell", "done")
            gantry.inside("touch", "/run/db")
            gantry.wait("gantry", "held text=no progress for 1 s; missing: loads (running); waiting for others: app")
            self.assertIn("missing: loads", gantry.ctl("status").stdout)
            gantry.write("go", "")
            gantry.wait("gantry", "booted")

    def test_a_bad_configuration_holds_and_says_where(self):
        with Pid1('{"stages": [\n {"name": "a", "type": "exec", "needs": ["nothing"],\n'
                  '  "options": {"command": ["/bin/true"]}}]}') as gantry:
            held = gantry.wait("gantry", "held")
            self.assertRegex(held.text, r"boot\.json:2: .*nothing")
            gantry.ctl("poweroff")
            self.assertEqual(gantry.end(), "poweroff")

    def test_unknown_stage_type_is_named(self):
        with Pid1('{"stages": [{"name": "a", "type": "teleport"}]}') as gantry:
            self.assertIn("teleport", gantry.wait("gantry", "held").text)

    def test_circular_needs_are_named(self):
        with Pid1(boot([stage("a", needs=["b"]), stage("b", needs=["a"])])) as gantry:
            self.assertRegex(gantry.wait("gantry", "held").text, "a.*b.*a|b.*a.*b")


class Services(unittest.TestCase):
    def test_a_service_waits_for_the_one_it_needs_to_be_ready_by_path(self):
        first = service("db", "sleep 0.5; touch /run/db.ready; exec sleep 1000", ready={"path": "/run/db.ready"})
        second = service("app", "[ -e /run/db.ready ] && touch /t/good; exec sleep 1000", needs=["db"])
        with Pid1(boot(services=[first, second])) as gantry:
            gantry.wait("gantry", "booted")
            gantry.inside("sh", "-c", "until [ -e /t/good ]; do sleep 0.1; done")
            self.assertEqual(gantry.read("good"), "")

    def test_readiness_by_a_path_in_a_folder_that_does_not_exist_yet(self):
        script = "mkdir -p /run/x/y; sleep 0.3; touch /run/x/y/ipc; exec sleep 1000"
        with Pid1(boot(services=[service("db", script, ready={"path": "/run/x/y/ipc"})])) as gantry:
            gantry.wait("db", "ready")

    def test_readiness_by_tcp(self):
        script = ("exec python3 -c 'import socket,time; time.sleep(0.5); s=socket.socket(); s.bind((\"127.0.0.1\",81));"
                  " s.listen(); time.sleep(1000)'")
        with Pid1(boot(services=[service("web", script, ready={"tcp": "127.0.0.1:81"})])) as gantry:
            self.assertGreater(gantry.wait("web", "ready").time - gantry.wait("web", "running").time, 0.4)

    @unittest.skipIf("GANTRY_USERNS" in os.environ, "a user namespace may not do what this needs")
    def test_readiness_by_notify_and_only_from_the_service_itself(self):
        say = ("import os,socket; s=socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
               "s.sendto(b\"READY=1\", \"/run/gantry/notify\")")
        stranger = service("stranger", f"python3 -c '{say}'; touch /t/sent; exec sleep 1000")
        # It stays after it has said so, as a service does: whose word it is is read from its cgroup.
        stays = say + "; import time; time.sleep(1000)"
        honest = service("honest", f"until [ -e /t/go ]; do sleep 0.1; done; exec python3 -c '{stays}'",
                         ready={"notify": True})
        with Pid1(boot(services=[stranger, honest])) as gantry:
            gantry.wait("honest", "running")
            gantry.inside("sh", "-c", "until [ -e /t/sent ]; do sleep 0.1; done")
            self.assertNotIn("ready", gantry.states("honest"))
            gantry.write("go", "")
            gantry.wait("honest", "ready")

    def test_a_service_that_never_becomes_ready_is_started_again(self):
        sick = service("sick", ready={"path": "/run/never"}, ready_deadline_s=1, required=False)
        with Pid1(boot(services=[sick])) as gantry:
            self.assertIn("not ready after 1 s", gantry.wait("sick", "retrying").text)
            gantry.wait("sick", "running", count=2)

    def test_a_crashing_service_restarts_with_growing_delay(self):
        restart = {"min_s": 0.1, "max_s": 0.8, "jitter": 0}
        with Pid1(boot(services=[service("crash", "exit 3", restart=restart)])) as gantry:
            gantry.wait("crash", "retrying", count=5)
            delays = [float(re.search(r"next_s=([\d.]+)", e.text)[1]) for e in gantry.find("crash", "retrying")]
            self.assertEqual(delays[:5], [0.1, 0.2, 0.4, 0.8, 0.8])

    def test_an_unknown_user_fails_the_service_with_that_reason_and_the_rest_goes_on(self):
        plan = boot(services=[service("lost", user="nobody-here", required=False), service("app")])
        with Pid1(plan) as gantry:
            text = gantry.wait("gantry", "").text
            if text.startswith("held"):     # refused by the configuration check
                self.assertIn("nobody-here", text)
            else:
                self.assertIn("nobody-here", gantry.wait("lost", "failed").text)

    def test_a_missing_program_fails_the_service_with_that_reason_and_the_rest_goes_on(self):
        lost = {"name": "lost", "command": ["/bin/no-such-program"], "required": False}
        with Pid1(boot(services=[lost, service("app")])) as gantry:
            self.assertIn("/bin/no-such-program", gantry.wait("lost", "failed").text)
            gantry.wait("gantry", "booted")

    def test_a_service_runs_as_its_user_with_its_secret_prepared(self):
        app = service("app", "id -un > /run/app/who; cat /run/jwt > /run/app/jwt; exec sleep 1000", user="reth",
                      group="reth", groups=["eth"], ready={"path": "/run/app/jwt"},
                      before_start=[{"directory": "/run/app", "user": "reth", "group": "reth", "mode": "0750"},
                                    {"secret": "/run/jwt", "bytes": 32, "user": "root", "group": "eth", "mode": "0640"}])
        users = [{"name": "reth", "uid": 1001, "gid": 1001, "groups": ["eth"]}]
        with Pid1(boot(services=[app], users=users)) as gantry:
            gantry.wait("gantry", "booted")
            time_of_secret = gantry.inside("cat", "/run/jwt").stdout
            self.assertRegex(time_of_secret, r"^[0-9a-f]{64}$")
            self.assertEqual(gantry.inside("cat", "/run/app/who").stdout, "reth\n")
            gantry.ctl("restart", "app")
            gantry.wait("app", "running", count=2)
            self.assertEqual(gantry.inside("cat", "/run/jwt").stdout, time_of_secret)

    def test_a_service_has_nothing_of_pid_1(self):
        """It begins as a copy of PID 1: no descriptor, signal setting, limit or variable of that may reach its program."""
        script = ("import json, os, resource; status = dict(l[:-1].split(':\t', 1) for l in open('/proc/self/status')"
                  " if ':\t' in l)\nfds = {}\nfor n in os.listdir('/proc/self/fd'):\n try: fds[n] = "
                  "os.readlink('/proc/self/fd/' + n)\n except OSError: pass\n"
                  "print(json.dumps({'fds': fds, 'signals': [status['SigBlk'], status['SigIgn'], status['SigCgt']],"
                  " 'files': resource.getrlimit(resource.RLIMIT_NOFILE), 'env': dict(os.environ), 'exe': os.readlink("
                  "'/proc/self/exe'), 'session': os.getsid(0) =="
                  " os.getpid()}), file=open('/t/seen.new', 'w'), flush=True); os.rename('/t/seen.new', '/t/seen')\n"
                  "import time; time.sleep(1000)")
        look = {"name": "app", "command": ["/usr/bin/python3", "-S", "-c", script], "environment": {"LC_ALL": "C.UTF-8"},
                "ready": {"path": "/t/seen"}}
        ignores = ("sh", "-c", "trap '' USR1; exec \"$@\"", "ignores")        # what PID 1 was started with is not handed on
        with Pid1(boot(services=[service("other"), look]), wrap=ignores) as gantry:
            for count in (1, 2, 3):
                gantry.wait("app", "ready", count=count)
                self.assert_its_own(json.loads(gantry.read("seen")))
                if count == 1:          # forked by PID 1 itself, and then by the second fork server
                    os.kill(gantry.forkserver(), signal.SIGKILL)
                    gantry.wait("gantry", "the fork server exited", kind="message")
                else:
                    end = time.monotonic() + 20
                    while not gantry.forkserver() and time.monotonic() < end:
                        time.sleep(0.02)
                    self.assertTrue(gantry.forkserver())
                os.unlink(os.path.join(gantry.shared, "seen"))
                gantry.ctl("restart", "app")

    def assert_its_own(self, seen):
        self.assertEqual(sorted(seen["fds"]), ["0", "1", "2"])
        self.assertEqual(seen["fds"]["0"], "/dev/null")
        self.assertEqual(seen["fds"]["1"], seen["fds"]["2"])
        self.assertEqual(seen["signals"][:1], ["0" * 16])
        self.assertEqual(int(seen["signals"][1], 16) & ~(1 << 12 | 1 << 24), 0)   # python's own: SIGPIPE, SIGXFSZ
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.assertIn(seen["files"], ([1024, 524288], [1024, min(hard, 524288)]))
        self.assertEqual(sorted(seen["env"]), ["LC_ALL", "PATH"])
        self.assertIn("python3", seen["exe"])
        self.assertTrue(seen["session"])

    def test_a_stopped_service_stays_stopped_and_can_be_started(self):
        with Pid1(boot(services=[service("app")])) as gantry:
            gantry.wait("gantry", "booted")
            self.assertEqual(gantry.ctl("stop", "app").returncode, 0)
            gantry.wait("app", "stopped")
            self.assertNotEqual(gantry.ctl("stop", "app").returncode, 0)
            self.assertEqual(gantry.ctl("start", "app").returncode, 0)
            gantry.wait("app", "ready", count=2)

    @unittest.skipIf("GANTRY_USERNS" in os.environ, "a user namespace may not do what this needs")
    def test_what_a_service_left_behind_ends_with_it(self):
        script = "setsid sleep 4321 & sleep 0.2; exit 1"
        with Pid1(boot(services=[service("parent", script, restart={"policy": "never"}, required=False)])) as gantry:
            gantry.wait("parent", "failed")
            # SIGKILL was sent; the process may take a moment to be gone.
            gone = "for i in $(seq 50); do pgrep -f '[s]leep 4321' || exit 0; sleep 0.1; done; exit 1"
            self.assertEqual(gantry.inside("sh", "-c", gone).returncode, 0)

    def test_a_disabled_service_is_started_by_hand_only(self):
        with Pid1(boot(services=[service("ssh", enabled=False), service("app")])) as gantry:
            gantry.wait("gantry", "booted")
            self.assertNotIn("running", gantry.states("ssh"))
            gantry.ctl("start", "ssh")
            gantry.wait("ssh", "ready")


class Shutdown(unittest.TestCase):
    def services(self):
        trap = "trap 'echo {0} >> /t/down; exit 0' TERM; echo {0} >> /t/up; while :; do sleep 0.05; done"
        return [service("a", trap.format("a")), service("b", trap.format("b"), needs=["a"]),
                service("c", trap.format("c"), needs=["b"])]

    def test_services_stop_in_reverse_order(self):
        with Pid1(boot(services=self.services())) as gantry:
            gantry.wait("gantry", "booted")
            gantry.inside("sh", "-c", "until [ $(wc -l < /t/up) = 3 ]; do sleep 0.05; done")
            gantry.ctl("poweroff", "test is over")
            self.assertEqual(gantry.end(), "poweroff")
            self.assertEqual(gantry.read("down"), "c\nb\na\n")
            self.assertTrue([line for line in gantry.lines if "test is over" in line])

    def test_reboot_reboots(self):
        with Pid1(boot(services=self.services())) as gantry:
            gantry.wait("gantry", "booted")
            gantry.inside("/opt/reboot")
            self.assertEqual(gantry.end(), "reboot")

    def test_signals_mean_what_they_mean_to_an_init(self):
        for number, expected in ((15, "poweroff"), (2, "reboot")):
            with Pid1(boot(services=[service("a")])) as gantry:
                gantry.wait("gantry", "booted")
                os.kill(gantry.pid, number)
                self.assertEqual(gantry.end(), expected)

    def test_a_running_stage_does_not_hold_up_the_shutdown(self):
        with Pid1(boot([stage("long", "trap '' TERM; while :; do sleep 1; done", deadline_s=0)])) as gantry:
            gantry.wait("long", "running")
            os.kill(gantry.pid, 15)
            self.assertEqual(gantry.end(15), "poweroff")


class Hostile(unittest.TestCase):
    def test_orphans_are_reaped(self):
        script = ("exec python3 -c 'import os,time\n"
                  "for i in range(300):\n if os.fork()==0:\n  if os.fork()==0: os._exit(0)\n  os._exit(0)\n"
                  "while True:\n try: os.wait()\n except ChildProcessError: break\n"
                  "open(\"/run/forked\",\"w\").close(); time.sleep(1000)'")
        with Pid1(boot(services=[service("forks", script, ready={"path": "/run/forked"})])) as gantry:
            gantry.wait("gantry", "booted")
            gantry.wait("gantry", "booted")
            states = gantry.inside("ps", "-eo", "stat,comm").stdout
            self.assertEqual([line for line in states.splitlines() if line.startswith("Z")], [])

    def test_ten_thousand_events_arrive_in_order_and_none_is_lost(self):
        script = ("import socket\ns=socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
                  "s.connect('/run/gantry/events')\n"
                  "for i in range(10000): s.send(b'number %d' % i)\n")
        with Pid1(boot(services=[service("app")], events={"ring": 20000}), files={"many.py": script}) as gantry:
            gantry.wait("gantry", "booted")
            self.assertEqual(gantry.inside("python3", "/t/many.py").returncode, 0)
            out = gantry.ctl("events", "--json").stdout
            self.assertEqual(re.findall(r'"text":"number (\d+)"', out), [str(i) for i in range(10000)])

    def test_the_fifo_takes_lines_and_never_blocks_a_writer(self):
        with Pid1(boot(services=[service("app")], events={"fifo": "/run/gantry/fifo"})) as gantry:
            gantry.wait("gantry", "booted")
            gantry.inside("sh", "-c", "echo hello from the past > /run/gantry/fifo")
            gantry.wait("fifo", "hello from the past", kind="message")

    def test_a_child_that_sends_garbage_is_counted_and_harms_nothing(self):
        script = ("import os,socket,random,struct\n"
                  "s=socket.socket(fileno=3)\nrandom.seed(1)\n"
                  "for i in range(3000):\n"
                  "    n=random.randrange(0,2300)\n    b=random.randbytes(n)\n"
                  "    if i%2 and n>=8: b=struct.pack('<HBBI',random.randrange(10),random.randrange(6),0,n-8)+b[8:]\n"
                  "    try: s.send(b)\n    except OSError: pass\n"
                  "for i in range(50): socket.send_fds(s,[b'x'*20],[0,1,2][:i%4])\n")
        plan = [{"name": "garbage", "type": "exec", "required": False, "retry": {"limit": 1}, "deadline_s": 20,
                 "options": {"command": ["/usr/bin/python3", "/t/garbage.py"], "protocol": "report"}},
                stage("good", "exit 0", after=["garbage"])]
        with Pid1(boot(plan), files={"garbage.py": script}) as gantry:
            gantry.wait("gantry", "booted", timeout=40)
            descriptors = gantry.inside("ls", "/proc/1/fd").stdout.split()
            self.assertLess(len(descriptors), 40)
            self.assertTrue([line for line in gantry.lines if "dropped" in line], "drops are not said")

    def test_garbage_on_the_control_socket_harms_nothing(self):
        with Pid1(boot(services=[service("app")])) as gantry:
            gantry.wait("gantry", "booted")
            path = f"/proc/{gantry.pid}/root/run/gantry/control"
            for i in range(200):
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
                    peer.connect(path)
                    peer.send(os.urandom(i * 10 + 1))
            self.assertIn("app", gantry.ctl("status").stdout)

    def test_a_full_descriptor_table_is_waited_out_and_is_not_the_services_fault(self):
        gate = stage("gate", "until [ -e /t/go ]; do sleep 0.1; done", deadline_s=60)
        crowd = [service(f"s{i}", needs=["gate"]) for i in range(20)]
        with Pid1(boot([gate], crowd)) as gantry:
            gantry.wait("gate", "running")
            limit = gantry.inside("prlimit", "--pid", "1", "--nofile=45:")
            self.assertEqual(limit.returncode, 0, limit.stderr)
            gantry.write("go", "")
            refused = gantry.wait("s19", "retrying")
            self.assertIn("not started: ", refused.text)
            gantry.inside("prlimit", "--pid", "1", "--nofile=1024:")
            gantry.wait("gantry", "booted")
            self.assertNotIn("failed", gantry.states("s19"))

    def test_a_failed_fork_is_tried_again_and_is_not_the_services_fault(self):
        gate = stage("gate", "until [ -e /t/go ]; do sleep 0.1; done", deadline_s=60)
        with Pid1(boot([gate], [service("app", needs=["gate"])])) as gantry:
            gantry.wait("gate", "running")
            with subprocess.Popen(["strace", "-p", str(gantry.forkserver()), "-e", "trace=clone3", "-e",
                                   "inject=clone3:error=EAGAIN:when=1..2"], stderr=subprocess.PIPE, text=True) as strace:
                self.assertIn("attached", strace.stderr.readline())
                gantry.write("go", "")
                gantry.wait("app", "retrying", count=2)
                gantry.wait("gantry", "booted")
                strace.terminate()
                strace.communicate()
            self.assertEqual(gantry.states("app"), ["running", "retrying", "running", "retrying", "running", "ready"])
            self.assertIn("not started: ", gantry.find("app", "retrying")[0].text)

    def test_a_flood_of_output_does_not_stop_pid_1(self):
        flood = service("flood", "exec yes flooding the log with lines")
        with Pid1(boot(services=[flood])) as gantry:
            gantry.wait("flood", "output limit of 100 lines/s exceeded", kind="message")
            begin = time.monotonic()
            self.assertIn("flood", gantry.ctl("status").stdout)
            assert_within(self, time.monotonic() - begin, 0, 3)
            gantry.ctl("poweroff")
            self.assertEqual(gantry.end(), "poweroff")


if __name__ == "__main__":
    unittest.main()
