# SPDX-License-Identifier: GPL-2.0-or-later
"""Nobody who holds a pipe keeps another waiting. A process that splices from a silent socket into a pipe has the pipe's lock as
long as it likes, and each read(2) of that pipe waits for it, also a non-blocking one.

It costs the one whose pipe it is its output: not PID 1, no other service's lines, no stop, no restart, no power-off."""

import contextlib
import json
import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from patience import PATIENCE  # noqa: E402
from pid1 import Pid1, boot, service, stage  # noqa: E402

# Holds the pipe at PATH while there is something in it to read, then makes the file DONE.
HOLD = r"""
import os, select, socket, sys, threading, time
path, done = sys.argv[1:3]
into = os.open(path, os.O_WRONLY)
seen = select.poll()
seen.register(os.open(path, os.O_RDONLY | os.O_NONBLOCK), select.POLLIN)
written = 0
def flood():
    global written
    while True:
        os.write(into, b"a line of the holder\n")
        written += 1
threading.Thread(target=flood, daemon=True).start()
while True:
    mine, silent = socket.socketpair()
    splice = threading.Thread(target=os.splice, args=(silent.fileno(), into, 4096), daemon=True)
    splice.start()
    while True:
        before = written
        time.sleep(0.3)
        if written == before: break
    if splice.is_alive() and seen.poll(0): break
    mine.send(b"\n")
    splice.join()
open(done, "w").close()
time.sleep(1000)
"""
HOLD_STDOUT = "exec python3 /t/hold.py /proc/self/fd/1 /t/held"
FILES = {"hold.py": HOLD}
NOBODY = ("setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
          "--no-new-privs")
TICKS = service("good", "while :; do echo tick; sleep 0.1; done")
HELD = "its output cannot be read: a process holds the pipe"


class Case(unittest.TestCase):
    def start(self, config, until=("gantry", "booted"), **more):
        """Whoever holds a pipe ends with the test, or PID 1 could not end if it waited for them."""
        gantry = self.enterContext(Pid1(config, files=FILES | more))
        self.addCleanup(self.kill_all, gantry)
        gantry.wait(*until)
        return gantry

    def kill_all(self, gantry):
        with contextlib.suppress(OSError, IndexError):     # PID 1 has ended
            inside = os.readlink(f"/proc/{gantry.pid}/ns/pid")
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as line:
                    if b"/t/hold.py" in line.read() and os.readlink(f"/proc/{pid}/ns/pid") == inside:
                        os.kill(int(pid), signal.SIGKILL)

    def assert_answers(self, gantry):
        start = time.monotonic()
        status = gantry.ctl("status", "--json")
        self.assertEqual(status.returncode, 0, status.stderr)
        self.assertLess(time.monotonic() - start, 4 * PATIENCE, "PID 1 did not answer")
        return json.loads(status.stdout)

    def pid_of(self, gantry, name):
        """As it is inside."""
        return next(s["pid"] for s in self.assert_answers(gantry)["services"] if s["name"] == name)

    def until(self, true, what):
        end = time.monotonic() + 20 * PATIENCE
        while not true():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.02)

    def wait_held(self, gantry):
        path = os.path.join(gantry.shared, "held")
        self.until(lambda: os.path.exists(path), "nobody holds the pipe")
        os.remove(path)

    def hold(self, gantry, path, by=()):
        """Somebody who belongs to no service."""
        gantry.inside(*by, "sh", "-c", f"python3 /t/hold.py {path} /t/held > /dev/null 2>&1 &")
        self.wait_held(gantry)

    def assert_ticks(self, gantry):
        """Another service's lines go on."""
        before = len(gantry.find("good", "tick", "message"))
        gantry.wait("good", "tick", kind="message", count=before + 3)

    def relay(self, gantry):
        """As this side sees it."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/comm", encoding="ascii") as name, \
                     open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                    if name.read() == "relay\n" and int(stat.read().rpartition(")")[2].split()[1]) == gantry.pid:
                        return int(pid)
        raise AssertionError("no relay")


class Outputs(Case):
    def test_a_service_that_holds_its_output_loses_it_and_nobody_else_does(self):
        once = "[ -e /t/once ] && { echo second life; exec sleep 1000; }; touch /t/once; "
        gantry = self.start(boot(services=[service("bad", once + HOLD_STDOUT), TICKS]))
        self.wait_held(gantry)
        self.assert_answers(gantry)
        gantry.wait("bad", HELD, kind="message")
        self.assert_ticks(gantry)
        start = time.monotonic()
        self.assertEqual(gantry.ctl("restart", "bad").returncode, 0)
        gantry.wait("bad", "second life", kind="message")
        self.assertLess(time.monotonic() - start, 3 * PATIENCE)

    def test_somebody_else_who_holds_it_keeps_no_stop_no_start_and_no_power_off_waiting(self):
        gantry = self.start(boot(services=[service("bad", "echo begun; exec sleep 1000"), TICKS]))
        for count in range(1, 5):
            gantry.wait("bad", "begun", kind="message", count=count)
            self.hold(gantry, f"/proc/{self.pid_of(gantry, 'bad')}/fd/1")
            gantry.wait("bad", HELD, kind="message", count=count)
            start = time.monotonic()
            self.assertEqual(gantry.ctl("restart", "bad").returncode, 0)
            gantry.wait("bad", "running", count=count + 1)
            self.assertLess(time.monotonic() - start, 2 * PATIENCE)
            gantry.wait("bad", "its last output is lost", kind="message", count=count)
            self.assert_ticks(gantry)
        gantry.wait("bad", "its output goes to /dev/null", kind="message")     # so nobody can have the relay grow
        self.assertEqual(len(gantry.find("bad", "begun", "message")), 4)
        with open(f"/proc/{self.relay(gantry)}/status", encoding="ascii") as status:
            threads = int(next(line.split()[1] for line in status if line.startswith("Threads")))
        self.assertLessEqual(threads, 2 + 4)
        self.kill_all(gantry)
        self.until(lambda: gantry.ctl("restart", "bad").returncode == 0 and
                   len(gantry.find("bad", "begun", "message")) > 4, "it is not read again")
        self.hold(gantry, f"/proc/{self.pid_of(gantry, 'bad')}/fd/1")
        start = time.monotonic()
        self.assertEqual(gantry.ctl("poweroff").returncode, 0)
        self.assertEqual(gantry.end(), "poweroff")
        self.assertLess(time.monotonic() - start, 8 * PATIENCE)

    def test_an_output_that_is_released_is_read_again(self):
        gantry = self.start(boot(services=[service("bad", "while :; do echo line; sleep 0.1; done")]))
        self.hold(gantry, f"/proc/{self.pid_of(gantry, 'bad')}/fd/1")
        gantry.wait("bad", HELD, kind="message")
        self.kill_all(gantry)
        gantry.wait("bad", "its output is read again", kind="message")
        before = len(gantry.find("bad", "line", "message"))
        gantry.wait("bad", "line", kind="message", count=before + 3)

    def test_a_stage_that_holds_its_output_ends_at_its_deadline(self):
        gantry = self.start(boot([stage("wild", HOLD_STDOUT, required=False, deadline_s=5)], [TICKS]), ("good", "ready"))
        self.wait_held(gantry)
        self.assert_answers(gantry)
        self.assertIn("deadline", gantry.wait("wild", "retrying").text)
        self.assert_ticks(gantry)

    def test_the_last_words_come_before_the_exit_however_many_they_are(self):
        gantry = self.start(boot(services=[service("app", "seq -f 'word %g' 1 900; echo the very last; exit 3",
                                                   restart={"policy": "never"}, required=False)]))
        ended = gantry.wait("app", "failed")
        self.assertIn("the very last", ended.text)
        mine = [e for e in gantry.events if e.source == "app"]
        self.assertEqual([e.text for e in mine if e.kind == "message"], [*(f"word {i}" for i in range(1, 901)), "the very last"])
        self.assertIs(mine[-1], ended)


class Others(Case):
    def test_anybody_who_holds_the_fifo_has_it_replaced(self):
        gantry = self.start(boot(services=[TICKS], events={"fifo": "/run/gantry/fifo"}))
        for count in (1, 2):
            self.hold(gantry, "/run/gantry/fifo", by=NOBODY)
            self.assert_answers(gantry)
            gantry.wait("fifo", "a process holds /run/gantry/fifo", kind="message", count=count)
            gantry.wait("fifo", "/run/gantry/fifo is a new FIFO", kind="message", count=count)
            self.assertEqual(gantry.inside(*NOBODY, "sh", "-c", f"echo hello {count} > /run/gantry/fifo").returncode, 0)
            gantry.wait("fifo", f"hello {count}", kind="message")
        self.assert_ticks(gantry)

    def test_a_readiness_descriptor_that_is_held_is_its_service_s_own_trouble(self):
        bad = service("bad", "echo > /proc/self/fd/7; exec python3 /t/hold.py /proc/self/fd/7 /t/held", ready={"fd": 7},
                      ready_deadline_s=3, required=False)
        bad["command"][2] = "exec python3 /t/hold.py /proc/self/fd/7 /t/held"
        gantry = self.start(boot(services=[bad, TICKS]), **{"hold.py": HOLD.replace(r"\n", " ")})
        self.wait_held(gantry)
        self.assert_answers(gantry)
        gantry.wait("bad", "its readiness descriptor cannot be read", kind="message")
        self.assertIn("not ready after", gantry.wait("bad", "retrying").text)
        self.assert_ticks(gantry)

    def test_a_service_with_a_log_that_holds_its_output(self):
        once = "[ -e /t/once ] && { echo second life; exec sleep 1000; }; touch /t/once; "
        good = service("good", "while :; do echo tick; sleep 0.1; done", log={"events": True})
        gantry = self.start(boot(services=[service("bad", once + HOLD_STDOUT), good], logs={"directory": "/t/logs"}))
        self.wait_held(gantry)
        self.assert_answers(gantry)
        gantry.wait("bad", "log: " + HELD, kind="message")
        self.assert_ticks(gantry)
        self.assertEqual(gantry.ctl("restart", "bad").returncode, 0)
        self.until(lambda: gantry.read("logs/bad.log").endswith("second life\n"), "its log does not go on")
        self.hold(gantry, f"/proc/{self.pid_of(gantry, 'bad')}/fd/1")
        gantry.wait("bad", "log: " + HELD, kind="message", count=2)
        start = time.monotonic()
        self.assertEqual(gantry.ctl("poweroff").returncode, 0)
        self.assertEqual(gantry.end(), "poweroff")
        self.assertLess(time.monotonic() - start, 8 * PATIENCE)

    def test_flags_of_a_pipe_that_is_held_are_not_pid_1_s_to_change(self):
        """With O_ASYNC set, fcntl(2) waits like read(2)."""
        bad = service("bad", "python3 -c 'import fcntl; fcntl.fcntl(1, fcntl.F_SETFL, 0o20001)'; exec sleep 1000")
        gantry = self.start(boot(services=[bad, service("a")], logs={"directory": "/t/logs"}))
        self.hold(gantry, f"/proc/{self.pid_of(gantry, 'bad')}/fd/1")
        self.assertEqual(gantry.ctl("restart", "bad").returncode, 0)
        gantry.wait("bad", "running", count=2)
        self.assert_answers(gantry)


class Relay(Case):
    def test_it_has_no_rights(self):
        gantry = self.start(boot(services=[TICKS]))
        self.assert_ticks(gantry)
        with open(f"/proc/{self.relay(gantry)}/status", encoding="ascii") as file:
            status = {key: value.strip() for key, _, value in (line.partition(":\t") for line in file)}
        self.assertEqual({status[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}, {"0" * 16})
        self.assertEqual((status["Uid"].split(), status["NoNewPrivs"], status["Seccomp"]), (["908"] * 4, "1", "2"))
        self.assertEqual(status["Groups"], "")

    def test_another_one_goes_on(self):
        quiet = service("quiet", "while ! [ -e /t/go ]; do sleep 0.1; done; echo as ever; exec sleep 1000")
        gantry = self.start(boot(services=[quiet], events={"fifo": "/run/gantry/fifo"}))
        os.kill(self.relay(gantry), signal.SIGKILL)
        gantry.wait("gantry", "the relay of the processes' output has ended", kind="message")
        gantry.write("go", "")
        gantry.wait("quiet", "as ever", kind="message")
        gantry.inside("sh", "-c", "echo hello > /run/gantry/fifo")
        gantry.wait("fifo", "hello", kind="message")
        self.assertEqual(gantry.ctl("restart", "quiet").returncode, 0)
        gantry.wait("quiet", "as ever", kind="message", count=2)


if __name__ == "__main__":
    unittest.main()
