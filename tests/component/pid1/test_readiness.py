# SPDX-License-Identifier: GPL-2.0-or-later
"""How a real PID 1 knows that a service is ready, that it still works, and whom it believes."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pid1 import Pid1, boot, service  # noqa: E402
from support import waits  # noqa: E402

# Says each of its arguments on the notify socket: a number is a time to wait, "stay" is for ever.
SAY = r"""
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for word in sys.argv[1:]:
    if word == "stay":
        time.sleep(1000)
    elif word.replace(".", "").isdigit():
        time.sleep(float(word))
    else:
        s.sendto(word.encode(), os.environ.get("NOTIFY_SOCKET", "/run/gantry/notify"))
"""
FILES = {"say.py": SAY}
# The first life of one listens and gives its socket to the other, which holds it.
LISTEN_ONCE = """
import os, socket, time
if os.path.exists('/t/second'):
    time.sleep(1000)
open('/t/second', 'w').close()
listener = socket.create_server(('127.0.0.1', 7001))
holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
holder.connect('/run/hold')
socket.send_fds(holder, [b'x'], [listener.fileno()])
while not os.path.exists('/t/end'):
    time.sleep(0.05)
"""
HOLD = """
import socket, time
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind('/run/hold')
held = socket.recv_fds(receiver, 1, 1)
time.sleep(1000)
"""


def says(name, *words, **more):
    return {"name": name, "command": ["/usr/bin/python3", "/t/say.py", *words],
            "restart": {"min_s": 0.1, "max_s": 0.8}, **more}

# Listens, takes one connection and closes both at once, again and again.
CLOSES = """
import socket, time
open('/t/listens', 'w').close()
while True:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(('127.0.0.1', 7001))
    except OSError:
        time.sleep(0.01)
        continue
    listener.listen(1)
    listener.setblocking(False)
    while True:
        try:
            connection, _ = listener.accept()
            break
        except BlockingIOError:
            pass
    listener.close()
    connection.close()
"""


class Descriptor(unittest.TestCase):
    def test_a_newline_on_the_descriptor_of_any_number_and_no_other_descriptor_is_there(self):
        numbers = (3, 4, 5, 6, 60)
        plan = [{"name": f"fd{n}", "command": ["/usr/bin/python3", "-c",
                 f"import os,time; time.sleep(0.3); l=sorted(map(int, os.listdir('/proc/self/fd'))); "
                 f"l=[f for f in l if os.path.exists('/proc/self/fd/%d' % f)]; open('/t/fds{n}','w').write(repr(l)); "
                 f"os.write({n}, b'\\n'); time.sleep(1000)"], "ready": {"fd": n}} for n in numbers]
        with Pid1(boot(services=plan)) as gantry:
            gantry.wait("gantry", "booted")
            for n in numbers:
                self.assertEqual(gantry.read(f"fds{n}"), repr([0, 1, 2, n]))
                self.assertGreater(gantry.wait(f"fd{n}", "ready").time - gantry.wait(f"fd{n}", "running").time, 0.29)

    def test_without_a_newline_it_is_not_ready(self):
        plan = [service("a", "printf x >&3; exec 3>&-; exec sleep 1000", ready={"fd": 3}, ready_deadline_s=0.5)]
        with Pid1(boot(services=plan)) as gantry:
            gantry.wait("a", "closed its readiness descriptor", kind="message")
            self.assertIn("not ready after", gantry.wait("a", "retrying").text)
            self.assertNotIn("ready", gantry.states("a"))

    def test_a_descriptor_kept_open_leaves_none_behind_in_pid_1(self):
        plan = [service("a", "echo >&3; sleep 0.05; exit 1", ready={"fd": 3}, restart={"min_s": 0.01, "max_s": 0.01,
                                                                                      "burst": 0})]
        with Pid1(boot(services=plan)) as gantry:
            def descriptors():
                return len(os.listdir(f"/proc/{gantry.pid}/fd"))
            gantry.wait("a", "ready", count=3)
            before = descriptors()
            gantry.wait("a", "ready", count=30)
            self.assertLessEqual(descriptors(), before + 4)


class Probe(unittest.TestCase):
    def test_a_probe_is_asked_until_it_is_good_as_the_service_s_user_in_its_environment(self):
        ready = {"exec": ["/bin/sh", "-c", 'echo "$(id -u) $WORD" > /t/who; echo x >> /t/asked; [ -e /t/go ]'],
                 "interval_s": 0.1}
        plan = [service("db", user="reth", environment={"WORD": "hello"}, ready=ready), service("app", needs=["db"])]
        with Pid1(boot(services=plan, users=[{"name": "reth", "uid": 1001, "gid": 1001}])) as gantry:
            gantry.wait("db", "running")
            gantry.inside("sh", "-c", "until [ $(wc -l < /t/asked) -ge 3 ]; do sleep 0.05; done")
            self.assertEqual(gantry.states("app"), [])
            self.assertEqual(gantry.read("who"), "1001 hello\n")
            gantry.write("go", "")
            gantry.wait("db", "ready")
            gantry.wait("gantry", "booted")
            asked = gantry.read("asked")
            gantry.inside("sleep", "0.5")
            self.assertEqual(gantry.read("asked"), asked)

    def test_a_probe_that_hangs_is_ended_with_all_it_started(self):
        ready = {"exec": ["/bin/sh", "-c", "[ -e /t/again ] && exit 0; touch /t/again; sleep 54321 & sleep 54321"],
                 "interval_s": 0.1, "timeout_s": 0.5}
        with Pid1(boot(services=[service("db", ready=ready)])) as gantry:
            self.assertGreater(gantry.wait("db", "ready").time - gantry.wait("db", "running").time, 0.55)
            self.assertEqual(gantry.inside("pgrep", "-f", "sleep 54321").stdout, "")

    def test_a_probe_that_cannot_be_run_leaves_the_service_to_its_deadline(self):
        plan = [service("db", ready={"exec": ["/no/such/probe"], "interval_s": 0.1}, ready_deadline_s=1)]
        with Pid1(boot(services=plan)) as gantry:
            self.assertIn("not ready after 1 s: exit status 125: /no/such/probe: no such file",
                          gantry.wait("db", "retrying").text)

    def test_how_its_last_probe_failed_is_said_at_the_deadline(self):
        script = "echo x >> /t/asked; echo after $(wc -l < /t/asked); exit 7"
        probed = service("db", "echo of its own; exec sleep 1000", ready={"exec": ["/bin/sh", "-c", script], "interval_s": 0.1},
                         ready_deadline_s=1)
        with Pid1(boot(services=[probed])) as gantry:
            self.assertRegex(gantry.wait("db", "retrying").text, r"not ready after 1 s: exit status 7: after \d+")


class Earlier(unittest.TestCase):
    """Readiness is of this life: what an earlier one left, or another process has, does not count."""

    def again(self, gantry, name):
        gantry.inside("/bin/sh", "-c", f"echo 1 > /sys/fs/cgroup/gantry/{name}/cgroup.kill")
        gantry.wait(name, "retrying")

    def path(self, first, second, **more):
        """Two lives: the first one is killed once it is ready."""
        script = f"if [ -e /t/second ]; then {second}; exec sleep 1000; fi; : > /t/second; {first}; exec sleep 1000"
        return boot(services=[service("db", script, ready={"path": "/run/db/sock"}, before_start=[
            {"directory": "/run/db"}], **more), service("client", needs=["db"], follows_needs=True)])

    def test_what_an_earlier_life_left_at_the_path_is_not_ready(self):
        with Pid1(self.path(": > /run/db/sock", ":", ready_deadline_s=1.5)) as gantry:
            gantry.wait("client", "ready")
            self.again(gantry, "db")
            self.assertIn("not ready after 1 s", gantry.wait("db", "retrying", count=2).text)
            self.assertEqual(gantry.states("db").count("ready"), 1)
            self.assertEqual(gantry.states("client").count("running"), 1)

    def test_nor_is_it_when_a_step_or_the_program_gives_it_to_a_user(self):
        plan = self.path(": > /run/db/sock", "chown -R 1001 /run/db; chmod 700 /run/db/sock", ready_deadline_s=1.5)
        with Pid1(plan) as gantry:
            gantry.wait("client", "ready")
            self.again(gantry, "db")
            self.assertIn("not ready after 1 s", gantry.wait("db", "retrying", count=2).text)

    def test_what_this_life_makes_anew_writes_again_or_renames_there_is_ready(self):
        for second in ("rm -f /run/db/sock; sleep 0.3; : > /run/db/sock", "sleep 0.3; echo $$ > /run/db/sock",
                       "sleep 0.3; : > /run/db/new; mv /run/db/new /run/db/sock",
                       "ln -s /etc/passwd /run/db/new; sleep 0.3; mv /run/db/new /run/db/sock"):
            with self.subTest(second), Pid1(self.path(": > /run/db/sock", second)) as gantry:
                gantry.wait("client", "ready")
                self.again(gantry, "db")
                again = gantry.wait("db", "running", count=2)
                self.assertGreater(gantry.wait("db", "ready", count=2).time - again.time, 0.28)
                gantry.wait("client", "ready", count=2)

    def test_a_clock_that_is_set_back_makes_it_neither_ready_nor_late(self):
        # The second life's file is older than the first one's, as after a step of the clock.
        second = "sleep 0.3; : > /run/db/new; touch -d 2001-01-01 /run/db/new; mv /run/db/new /run/db/sock"
        with Pid1(self.path(": > /run/db/sock", second)) as gantry:
            gantry.wait("client", "ready")
            self.again(gantry, "db")
            gantry.wait("db", "ready", count=2)

    def test_another_services_listener_is_not_its_own(self):
        serve = "exec python3 -m http.server -b 127.0.0.1 -d /run 7001"
        plan = [service("other", serve), service("db", "sleep 1000", ready={"tcp": "127.0.0.1:7001"}, ready_deadline_s=3,
                                                 after=["other"]),
                service("client", "touch /t/client; exec sleep 1000", needs=["db"])]
        with Pid1(boot(services=plan)) as gantry:
            gantry.wait("db", "not ready: port 7001 of 127.0.0.1 is open, but no process of this service listens there",
                        kind="message")
            self.assertIn("not ready after 3 s", gantry.wait("db", "retrying").text)
            self.assertNotIn("ready", gantry.states("db"))
            self.assertFalse(os.path.exists(os.path.join(gantry.shared, "client")))
            self.assertEqual(len(gantry.find("db", "not ready: port", kind="message")), 1)

    @waits(12)
    def test_nor_is_one_that_has_closed_when_it_is_looked_for(self):
        evil = service("evil", "exec python3 /t/closes.py", ready={"path": "/t/listens"})
        web = service("web", ready={"tcp": "127.0.0.1:7001"}, required=False, ready_deadline_s=12, needs=["evil"],
                      restart={"policy": "never"})
        with Pid1(boot(services=[evil, web]), files={"closes.py": CLOSES}) as gantry:
            gantry.wait("web", "failed", timeout=5)
            self.assertNotIn("ready", gantry.states("web"))

    def test_nor_is_that_of_an_earlier_life_which_another_service_holds(self):
        plan = [service("holder", "exec python3 /t/hold.py", ready={"path": "/run/hold"}),
                service("db", "exec python3 /t/listen.py", ready={"tcp": "127.0.0.1:7001"}, ready_deadline_s=5,
                        needs=["holder"])]
        with Pid1(boot(services=plan), files={"hold.py": HOLD, "listen.py": LISTEN_ONCE}) as gantry:
            gantry.wait("db", "ready")
            gantry.write("end", "")
            self.assertIn("not ready after 5 s", gantry.wait("db", "retrying", count=2).text)
            self.assertEqual(gantry.states("db").count("ready"), 1)

    def test_its_own_is_found_in_any_of_its_processes_of_any_user_for_any_of_its_addresses(self):
        listen = ("import os, socket, sys, time\nos.setuid(1001)\ns = socket.create_server((sys.argv[1], 7001), family="
                  "socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, dualstack_ipv6=sys.argv[1] == '::')\n"
                  "os.fork() and time.sleep(1000)\ntime.sleep(1000)\n")
        for bound, asked in (("127.0.0.1", "127.0.0.1:7001"), ("0.0.0.0", "127.0.0.1:7001"), ("::1", "[::1]:7001"),
                             ("::", "[::1]:7001"), ("::", "127.0.0.1:7001")):
            script = (f"mkdir /sys/fs/cgroup/gantry/db/inner; sh -c 'echo $$ > /sys/fs/cgroup/gantry/db/inner/cgroup.procs; "
                      f"exec python3 /t/listen.py {bound}' & sleep 1000")
            plan = [service("db", script, ready={"tcp": asked}), service("app", needs=["db"])]
            with self.subTest(bound=bound, asked=asked), Pid1(boot(services=plan), files={"listen.py": listen}) as gantry:
                gantry.wait("app", "ready")
                self.assertEqual(gantry.find("db", "not ready", kind="message"), [])


class Exit(unittest.TestCase):
    def test_a_oneshot_is_done_at_status_0_and_what_needs_it_starts_then(self):
        script = "echo x >> /t/runs; sleep 0.2; [ $(wc -l < /t/runs) -ge 3 ]"
        plan = [service("migrate", script, ready={"exit": True}), service("app", needs=["migrate"])]
        with Pid1(boot(services=plan)) as gantry:
            gantry.wait("gantry", "booted")
            self.assertEqual(gantry.states("migrate"), ["running", "retrying", "running", "retrying", "running", "done"])
            self.assertGreater(gantry.wait("app", "running").time, gantry.wait("migrate", "done").time)

    def test_status_0_before_it_was_ready_is_a_failure(self):
        plan = [service("db", "exit 0", ready={"fd": 3}, restart={"policy": "on-failure", "min_s": 0.1}),
                service("app", needs=["db"])]
        with Pid1(boot(services=plan)) as gantry:
            self.assertIn("exited before it was ready", gantry.wait("db", "retrying", count=2).text)
            self.assertEqual(gantry.states("app"), [])


@unittest.skipIf("GANTRY_USERNS" in os.environ, "a user namespace may not do what this needs")
class Notify(unittest.TestCase):
    def test_what_it_says_is_told(self):
        plan = [says("db", "STATUS=loading\nREADY=1", "0.2", "RELOADING=1", "0.2", "READY=1", "stay",
                     ready={"notify": True})]
        with Pid1(boot(services=plan), files=FILES) as gantry:
            for words in ("loading", "reloading", "reloaded"):
                gantry.wait("db", words, kind="message")
            self.assertEqual(gantry.states("db"), ["running", "ready"])

    def test_who_says_that_it_stops_is_stopping_and_its_policy_decides(self):
        plan = [says("db", "READY=1", "STOPPING=1", "0.3", ready={"notify": True}, restart={"policy": "on-failure"})]
        with Pid1(boot(services=plan), files=FILES) as gantry:
            gantry.wait("db", "done")
            self.assertEqual(gantry.states("db"), ["running", "ready", "stopping", "done"])

    def test_who_says_that_it_stops_and_does_not_is_killed_after_its_grace(self):
        plan = [says("db", "READY=1", "STOPPING=1", "stay", ready={"notify": True}, stop_grace_s=0.5)]
        with Pid1(boot(services=plan), files=FILES) as gantry:
            self.assertIn("SIGKILL", gantry.wait("db", "retrying").text)

    def test_nobody_else_is_believed(self):
        words = ("READY=1", "STOPPING=1", "WATCHDOG=trigger", "STATUS=nonsense")
        plan = [says("db", "READY=1", "stay", ready={"notify": True}),
                service("late", "exec sleep 1000", ready={"notify": True}, ready_deadline_s=0, required=False)]
        with Pid1(boot(services=plan), files=FILES) as gantry:
            gantry.wait("db", "ready")
            # A process of the machine that belongs to no service, and one that belongs to another.
            self.assertEqual(gantry.inside("python3", "/t/say.py", *words, "0.3").returncode, 0)
            self.assertEqual(gantry.states("db"), ["running", "ready"])
            self.assertEqual(gantry.states("late"), ["running"])
            self.assertEqual([e for e in gantry.events if "nonsense" in e.text], [])


@unittest.skipIf("GANTRY_USERNS" in os.environ, "a user namespace may not do what this needs")
class Flap(unittest.TestCase):
    def flap(self, script, **more):
        plan = [{"name": "db", "command": ["/usr/bin/python3", "-c", "import os, socket, time\n"
                 "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
                 "s.connect(os.environ['NOTIFY_SOCKET'])\n" + script], "ready": {"notify": True},
                 "restart": {"policy": "never"}, "required": False, **more}]
        return Pid1(boot(services=plan))

    def reloads(self, gantry):
        """How many its events have in all, and how many events there are."""
        texts = [e.text for e in gantry.events if e.source == "db" and e.kind == "message"]
        more = sum(int(text.split()[1]) for text in texts if " more reload" in text)
        return sum(text == "reloading" for text in texts) + more, len(texts)

    def test_a_service_that_reloads_without_end_makes_few_events_and_the_count_is_exact(self):
        script = ("s.send(b'READY=1')\n"
                  "for i in range(1000): s.send(b'RELOADING=1\\nREADY=1\\n' * 50)\n"
                  "s.send(b'STATUS=over'); time.sleep(1000)\n")
        with self.flap(script) as gantry:
            gantry.wait("db", "over", kind="message", timeout=60)
            before = len(gantry.events)
            self.assertLessEqual(self.reloads(gantry)[1], 20)
            gantry.ctl("stop", "db")
            gantry.wait("db", "stopped")
            self.assertEqual(self.reloads(gantry)[0], 50000)
            self.assertLess(len(gantry.events), before + 10)
            self.assertEqual(gantry.states("db")[:2], ["running", "ready"])

    @waits(62)
    def test_the_newest_state_is_reported_later(self):
        script = ("s.send(b'READY=1')\n"
                  "for i in range(100): s.send(b'RELOADING=1\\nREADY=1')\n"
                  "s.send(b'RELOADING=1'); time.sleep(1000)\n")
        with self.flap(script) as gantry:
            self.assertEqual(gantry.wait("db", "reloading; ", kind="message", timeout=80).text,
                             "reloading; 93 more reloads since the last report")
            self.assertEqual(self.reloads(gantry), (101, 17))


class Watchdog(unittest.TestCase):
    def test_who_falls_silent_is_stopped_and_started_again(self):
        plan = [says("db", "READY=1", "0.6", "WATCHDOG=1", "0.6", "WATCHDOG=1", "stay", ready={"notify": True},
                     watchdog={"notify_s": 1})]
        with Pid1(boot(services=plan), files=FILES) as gantry:
            stopping = gantry.wait("db", "stopping")
            self.assertIn("watchdog: no keep-alive for 1 s", stopping.text)
            self.assertGreater(stopping.time - gantry.wait("db", "ready").time, 2.1)
            self.assertIn("no keep-alive", gantry.wait("db", "retrying").text)
            gantry.wait("db", "ready", count=2)

    def test_it_is_told_how_often(self):
        plan = [service("db", 'echo "$WATCHDOG_USEC $NOTIFY_SOCKET" > /t/env; exec sleep 1000',
                        watchdog={"notify_s": 2.5})]
        with Pid1(boot(services=plan)) as gantry:
            gantry.wait("gantry", "booted")
            gantry.inside("sh", "-c", "until [ -s /t/env ]; do sleep 0.05; done")
            self.assertEqual(gantry.read("env"), "2500000 /run/gantry/notify\n")

    def test_who_says_that_it_does_not_work_is_believed(self):
        plan = [says("db", "READY=1", "0.2", "WATCHDOG=trigger", "stay", ready={"notify": True},
                     restart={"policy": "never"}, required=False)]
        with Pid1(boot(services=plan), files=FILES) as gantry:
            self.assertIn("watchdog", gantry.wait("db", "failed").text)

    def test_probes_that_fail_in_a_row_stop_it_and_one_that_hangs_has_failed(self):
        watchdog = {"exec": ["/bin/sh", "-c", "echo x >> /t/asked; [ -e /t/ill ] || exit 0; [ -e /t/hang ] && "
                             "exec sleep 1000; echo the disk is gone; exit 7"], "interval_s": 0.1, "failures": 2,
                    "timeout_s": 0.5}
        plan = [service("db", "trap '' TERM; while :; do sleep 0.1; done", watchdog=watchdog, stop_grace_s=0.3)]
        with Pid1(boot(services=plan)) as gantry:
            gantry.wait("db", "running")
            gantry.inside("sh", "-c", "until [ $(wc -l < /t/asked) -ge 3 ]; do sleep 0.05; done")
            self.assertEqual(gantry.states("db"), ["running", "ready"])
            gantry.write("ill", "")
            stopping = gantry.wait("db", "stopping")
            self.assertIn("watchdog: 2 probes in a row failed: exit status 7: the disk is gone", stopping.text)
            self.assertIn("watchdog", gantry.wait("db", "retrying").text)
            gantry.write("hang", "")
            gantry.wait("db", "ready", count=2)
            self.assertIn("timed out after 0.5 s", gantry.wait("db", "stopping", count=2).text)

    def test_a_probe_ends_with_the_service(self):
        watchdog = {"exec": ["/bin/sh", "-c", "touch /t/begun; exec sleep 54321"], "interval_s": 0.05, "timeout_s": 3600}
        with Pid1(boot(services=[service("db", watchdog=watchdog)])) as gantry:
            gantry.wait("db", "running")
            gantry.inside("sh", "-c", "until [ -e /t/begun ]; do sleep 0.05; done")
            gantry.ctl("stop", "db")
            gantry.wait("db", "stopped")
            gantry.inside("sh", "-c", "while pgrep -f 'sleep 5432[1]'; do sleep 0.05; done")


class Machine(unittest.TestCase):
    """The device is a pipe here: what PID 1 writes to it is what a driver would see."""

    def fed(self, command):
        config = boot(services=[service("a")], watchdog={"device": "/t/watchdog", "timeout_s": 5})
        with Pid1(config) as gantry:
            path = os.path.join(gantry.shared, "watchdog")
            os.mkfifo(path)
            with open(path, "rb", buffering=0) as device:
                gantry.wait("gantry", "watchdog: /t/watchdog resets the machine", kind="message")
                begin = time.monotonic()
                seen = device.read(1) + device.read(1) + device.read(1)
                self.assertEqual(seen, b"\n\n\n")
                self.assertGreater(time.monotonic() - begin, 3)     # a third of the timeout, twice
                gantry.wait("a", "ready")
                gantry.ctl(command)
                gantry.end()
                rest = device.read(100)
        return rest

    @waits(4)
    def test_the_machine_s_watchdog_is_fed_and_disarmed_by_a_power_off(self):
        self.assertTrue(self.fed("poweroff").endswith(b"V"))

    @waits(4)
    def test_a_reboot_leaves_it_armed(self):
        rest = self.fed("reboot")
        self.assertTrue(rest and b"V" not in rest, rest)

    @waits(31)
    def test_a_machine_without_one_goes_without_and_says_so(self):
        with Pid1(boot(services=[service("a")], watchdog={"device": "/t/none"})) as gantry:
            gantry.wait("gantry", "booted")
            self.assertIn("/t/none: No such file", gantry.wait("gantry", "watchdog:", kind="message", timeout=40).text)


if __name__ == "__main__":
    unittest.main()
