# SPDX-License-Identifier: GPL-2.0-or-later
"""The services' logs: what is in the files, whatever the services, the disk and the role that writes them do."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

from fake_control import wait_for
from patience import SCALE, assert_within
from pid1 import Pid1, boot, service, stage
from support import waits
from within import ask

ROLE = "gantry-log"


def pids(name):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
                if file.read().strip() == name:
                    found.append(int(pid))
        except OSError:
            pass
    return found


class Logged(Pid1):
    """With the logs in /t/log, which the test sees as well."""

    def __init__(self, services, logs=None, stages=(), **more):
        super().__init__(boot(stages, services, logs={"directory": "/t/log", **(logs or {})}, **more))

    def path(self, name):
        return os.path.join(self.shared, "log", name)

    def text(self, name):
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def wait_text(self, name, word, timeout=20):
        wait_for(lambda: word in self.text(name), f"{word!r} in {name}", timeout)
        return self.text(name)

    def status(self, name):
        return next(s for s in json.loads(self.ctl("status", "--json").stdout)["services"] if s["name"] == name)

    def role(self):
        """The pid of the role's process in this namespace."""
        mine = os.readlink(f"/proc/{self.pid}/ns/pid")

        def own(pid):
            try:
                return os.readlink(f"/proc/{pid}/ns/pid") == mine
            except OSError:
                return False
        wait_for(lambda: [p for p in pids(ROLE) if own(p)], "the role")
        return next(p for p in pids(ROLE) if own(p))


class Files(unittest.TestCase):
    def test_without_a_service_there_is_no_log_and_no_role_for_it(self):
        with Pid1(boot(logs={"directory": "/t/log"})) as gantry:
            gantry.wait("gantry", "booted")
            self.assertEqual(gantry.ctl("status").returncode, 0)      # the loop has turned, so an exit would have been seen
            self.assertFalse(gantry.find("service-log", kind="message"))

    def test_each_service_has_a_file_with_its_lines_and_they_are_no_events(self):
        with Logged([service("one", "echo to stdout; echo to stderr >&2; exec sleep 1000"),
                     service("two", "printf 'no end of line'; exec sleep 1000", log={"events": True}),
                     service("three", "echo said; exec sleep 1000", log={"events": True})]) as gantry:
            self.assertEqual(gantry.wait_text("one.log", "stderr"), "to stdout\nto stderr\n")
            gantry.wait("three", "said", kind="message")
            gantry.ctl("stop", "two")
            gantry.wait("two", "stopped")
            gantry.wait("two", "no end of line", kind="message")
            self.assertEqual(gantry.wait_text("two.log", "line"), "no end of line\n")
            self.assertEqual(gantry.find("one", kind="message"), [])
            info = os.stat(gantry.path("one.log"))
            self.assertEqual((info.st_mode & 0o777, info.st_uid, info.st_gid), (0o640, 901, 0))
            info = os.stat(gantry.path(""))
            self.assertEqual((info.st_mode & 0o7777, info.st_uid), (0o2750, 901))

    def test_json_lines_tell_time_stream_and_text(self):
        script = r"""printf 'out "quoted" \\ \001 \377 <b>\n'; printf 'err\n' >&2; exec sleep 1000"""
        with Logged([service("one", script, log={"format": "json"})]) as gantry:
            wait_for(lambda: gantry.text("one.log").count("\n") == 2, "two lines")
            lines = {line["stream"]: line for line in map(json.loads, gantry.text("one.log").splitlines())}
            self.assertEqual(lines["stdout"]["text"], "out \"quoted\" \\ \ufffd \ufffd <b>")
            self.assertEqual(lines["stderr"]["text"], "err")
            self.assertRegex(lines["stdout"]["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")

    def test_what_is_no_text_is_replaced_and_an_endless_line_is_cut(self):
        script = r"""printf 'a\033[31mred\033[0m\000b\tc\r\n'; head -c 20000 /dev/zero | tr '\0' x; echo; echo end"""
        with Logged([service("one", script + "; exec sleep 1000")]) as gantry:
            text = gantry.wait_text("one.log", "end\n")
            first, *pieces = text.splitlines()
            self.assertEqual(first, "ared\ufffdb c")
            self.assertEqual(pieces, [8192 * "x" + " [...]"] * 2 + [(20000 - 2 * 8192) * "x", "end"])

    def test_files_rotate_at_their_size_and_only_so_many_are_kept(self):
        script = "i=0; while [ $i -lt 5000 ]; do echo line $i $(printf %080d $i); i=$((i+1)); done; echo end; exec sleep 1000"
        with Logged([service("one", script, log={"max_bytes": 65536, "files": 3})]) as gantry:
            gantry.wait_text("one.log", "end\n", 60)
            names = sorted(os.listdir(gantry.path("")))
            self.assertEqual(names, ["one.log", "one.log.1", "one.log.2"])
            for name in names:
                self.assertLessEqual(os.path.getsize(gantry.path(name)), 65536)
            text = gantry.text("one.log.2") + gantry.text("one.log.1") + gantry.text("one.log")
            numbers = [int(line.split()[1]) for line in text.splitlines()[:-1]]
            self.assertEqual(numbers, list(range(numbers[0], 5000)))
            self.assertGreater(len(numbers), 600)

    def test_a_torn_line_of_an_earlier_boot_is_ended_and_surplus_files_go(self):
        gantry = Logged([service("one", "echo new; exec sleep 1000", log={"files": 2})],
                        stages=[stage("disk", "mkdir -p /t/log; printf torn > /t/log/one.log; touch /t/log/one.log.1 "
                                              "/t/log/one.log.2 /t/log/one.log.7; chown -R 901 /t/log")],
                        logs={"needs": ["disk"]})
        with gantry:
            self.assertEqual(gantry.wait_text("one.log", "new"), "torn\nnew\n")
            self.assertEqual(sorted(os.listdir(gantry.path(""))), ["one.log", "one.log.1"])

    def test_a_link_in_the_directory_is_not_followed(self):
        prepare = "mkdir -p /t/log; echo mine > /t/victim; chown 901 /t/victim; ln -s /t/victim /t/log/one.log; " \
                  "ln /t/victim /t/log/two.log; mkdir /t/log/three.log"
        with Logged([service("one", "echo evil; exec sleep 1000"), service("two", "echo evil; exec sleep 1000"),
                     service("three", "echo evil; exec sleep 1000")],
                    stages=[stage("disk", prepare)], logs={"needs": ["disk"]}) as gantry:
            for name in "one", "two", "three":
                gantry.wait(name, f"log: {name}.log: ", kind="message")
                gantry.wait(name, "ready")
            self.assertEqual(gantry.read("victim"), "mine\n")


class Trouble(unittest.TestCase):
    def test_what_is_printed_before_the_disk_is_open_is_written_then(self):
        with Logged([service("one", "echo early; echo more; exec sleep 1000"),
                     service("much", "i=0; while [ $i -lt 6000 ]; do echo line $i $(printf %080d 0); i=$((i+1)); done; "
                                     "echo end; touch /t/printed; exec sleep 1000")],
                    stages=[stage("disk", "while [ ! -e /t/go ]; do sleep 0.05; done")],
                    logs={"needs": ["disk"]}) as gantry:
            gantry.wait("much", "log: dropping lines: its disk is not open yet", kind="message")
            wait_for(lambda: os.path.exists(os.path.join(gantry.shared, "printed")), "all to be printed", 60)
            wait_for(lambda: gantry.status("much")["last_lines"][-1:] == ["end"], "the last line")
            self.assertFalse(os.path.exists(gantry.path("")))
            gantry.write("go", "")
            self.assertEqual(gantry.wait_text("one.log", "more"), "early\nmore\n")
            wait_for(lambda: len(gantry.text("much.log")) > 200000, "what was held")
            gantry.ctl("restart", "much")       # what comes next says what is missing before it
            text = gantry.wait_text("much.log", "are missing here")
            held = text[:text.index("gantry: ")].count("\n")
            missing = int(re.search(r"gantry: (\d+) lines \(\d+ bytes\) are missing here", text)[1])
            self.assertEqual(held + missing, 6001)
            gantry.wait("much", f"log: {missing} lines", kind="message")

    def test_the_role_killed_while_a_service_prints_costs_the_service_nothing(self):
        script = "i=0; while [ ! -e /t/stop ]; do echo line $i; i=$((i+1)); done; echo $i lines > /t/count; exec sleep 1000"
        with Logged([service("one", script)]) as gantry:
            for _ in range(3):
                before = len(gantry.text("one.log"))
                wait_for(lambda before=before: len(gantry.text("one.log")) > before + 20000, "lines")
                os.kill(gantry.role(), signal.SIGKILL)
                gantry.wait("service-log", "service-log exited (signal 9)", kind="message")
            wait_for(lambda: gantry.text("one.log").count("interrupted") >= 3, "the log to go on", 30)
            gantry.write("stop", "")
            wait_for(lambda: os.path.exists(os.path.join(gantry.shared, "count")), "the service's own end")
            last = int(gantry.read("count").split()[0]) - 1
            lines = gantry.wait_text("one.log", f"line {last}\n").splitlines()
            self.assertEqual(gantry.states("one").count("retrying"), 0)
            # Nothing twice, nothing out of order; what is missing is missing where the log says so.
            gaps, previous, interrupted = [], -1, False
            for line in lines:
                if line.startswith("gantry: the log was interrupted"):
                    interrupted = True
                    continue
                found = re.fullmatch(r"line (\d+)", line)
                if not found:       # a torn one
                    continue
                self.assertGreater(int(found[1]), previous)
                if int(found[1]) != previous + 1:
                    gaps.append(interrupted)
                previous, interrupted = int(found[1]), False
            self.assertTrue(all(gaps), "a gap that the log does not tell")
            self.assertLessEqual(len(gaps), 3)

    def test_a_full_disk_is_said_and_services_go_on_and_so_does_the_log_once_there_is_room(self):
        prepare = "mkdir -p /t/log && mount -t tmpfs -o size=1m log /t/log && " \
                  "head -c 990000 /dev/zero > /t/log/ballast && touch /t/mounted"
        script = "i=0; while [ $i -lt 8000 ]; do echo line $i $(printf %080d 0); i=$((i+1)); done; touch /t/printed; " \
                 "while :; do echo tick; sleep 0.1; done"
        with Logged([service("one", script, needs=["disk"])], stages=[stage("disk", prepare)],
                    logs={"needs": ["disk"]}) as gantry:
            gantry.wait("one", "log: one.log: No space left on device; trying again", kind="message")
            gantry.wait("one", "log: dropping lines: no space left on device", kind="message")
            wait_for(lambda: os.path.exists(os.path.join(gantry.shared, "printed")), "the service to go on", 60)
            wait_for(lambda: gantry.status("one")["last_lines"][-1:] == ["tick"], "the last line")
            gantry.inside("rm", "/t/log/ballast")
            gantry.wait("one", "log: one.log: works again", kind="message")
            wait_for(lambda: "are missing here" in gantry.inside("cat", "/t/log/one.log").stdout, "the gap", 30)
            text = gantry.inside("cat", "/t/log/one.log").stdout
            numbers = [int(n) for n in re.findall(r"^line (\d+)", text, re.M)]
            self.assertEqual(numbers, list(range(len(numbers))))

    @waits(5)
    def test_a_directory_that_cannot_be_is_said_and_tried_again(self):
        with Logged([service("one", "echo hello; exec sleep 1000")], stages=[stage("disk", "touch /t/log")],
                    logs={"needs": ["disk"]}) as gantry:
            gantry.wait("service-log", "log directory: Not a directory; trying again", kind="message")
            gantry.wait("one", "ready")
            os.unlink(gantry.path("")[:-1])
            gantry.wait("service-log", "log directory: works again", kind="message")
            gantry.wait_text("one.log", "hello")

    def test_a_directory_that_vanishes_is_made_again(self):
        with Logged([service("one", "while :; do printf '%01000d\\n' 1; sleep 0.01; done",
                             log={"max_bytes": 65536})]) as gantry:
            gantry.wait_text("one.log", "1\n")
            shutil.rmtree(gantry.path(""))
            gantry.wait("one", "log: one.log: No such file or directory", kind="message")
            text = gantry.wait_text("one.log", "interrupted")
            self.assertTrue(text.startswith("gantry: the log was interrupted here"))

    def test_a_file_or_directory_that_somebody_removes_is_missed_at_the_next_line(self):
        with Logged([service("one", "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.1; done")]) as gantry:
            for remove in (os.unlink, lambda path: shutil.rmtree(os.path.dirname(path))):
                gantry.wait_text("one.log", "line")
                remove(gantry.path("one.log"))
                gantry.wait_text("one.log", "line")

    def test_a_service_may_close_its_pipes_and_leave_them_to_others(self):
        with Logged([service("one", "echo before; exec >&- 2>&-; exec sleep 1000"),
                     service("two", "(setsid sh -c 'while :; do sleep 1; echo orphan; done' &); echo main; exit 3",
                             restart={"policy": "never"}, required=False)]) as gantry:
            gantry.wait_text("one.log", "before")
            gantry.wait("one", "ready")
            gantry.wait("two", "failed")
            self.assertIn("main", gantry.status("two")["reason"])
            gantry.ctl("restart", "one")
            wait_for(lambda: gantry.text("one.log").count("before") == 2, "the next process")

    def test_the_end_of_the_machine_leaves_no_line_behind(self):
        script = "trap 'for i in $(seq 500); do echo last $i; done; printf bye; exit 0' TERM; while :; do sleep 0.05; done"
        with Logged([service("one", script), service("two", "exec sleep 1000")]) as gantry:
            gantry.wait("one", "ready")
            gantry.wait("two", "ready")
            time.sleep(0.3 * SCALE)     # the trap is set: the shell has nothing to tell it by
            gantry.ctl("poweroff")
            self.assertEqual(gantry.end(), "poweroff")
            lines = gantry.text("one.log").splitlines()
            self.assertEqual(lines, [f"last {i}" for i in range(1, 501)] + ["bye"])
            self.assertEqual([e for e in gantry.find("service-log", kind="message") if "ended" in e.text], [])


class Status(unittest.TestCase):
    def test_the_last_lines_are_in_the_status_and_bounded(self):
        with Logged([service("one", "for i in $(seq 50); do echo line $i; done; exec sleep 1000"),
                     service("long", "for i in 1 2 3; do head -c 3000 /dev/zero | tr '\\0' $i; echo; done; exec sleep 1000"),
                     service("none")]) as gantry:
            gantry.wait("none", "ready")
            wait_for(lambda: gantry.status("one")["last_lines"][-1:] == ["line 50"], "the last line")
            self.assertEqual(gantry.status("one")["last_lines"], [f"line {i}" for i in range(31, 51)])
            wait_for(lambda: gantry.status("long")["last_lines"][-1:] == ["3" * 512], "the last line")
            self.assertEqual(gantry.status("long")["last_lines"], [n * 512 for n in "123"])
            self.assertEqual(gantry.status("none")["last_lines"], [])
            self.assertEqual(gantry.status("one")["log_dropped"], 0)

    def test_a_service_that_fails_has_its_last_line_as_reason(self):
        with Logged([service("one", "echo first; echo the disk is on fire >&2; exit 7", restart={"policy": "never"},
                             required=False),
                     service("quiet", "[ -e /t/second ] && exit 9; touch /t/second; echo other words; exit 8",
                             required=False)]) as gantry:
            gantry.wait("one", "failed")
            self.assertIn("the disk is on fire", gantry.status("one")["reason"])
            event = gantry.wait("quiet", "retrying")
            self.assertIn("other words", event.text)
            event = gantry.wait("quiet", "retrying", count=2)
            self.assertNotIn("other words", event.text)     # it printed nothing this time

    def test_the_exit_is_told_though_the_role_does_not_answer(self):
        with Logged([service("one", "echo up; while [ ! -e /t/go ]; do sleep 0.02; done; exit 4",
                             restart={"policy": "never"}, required=False)]) as gantry:
            gantry.wait_text("one.log", "up")
            role = gantry.role()
            os.kill(role, signal.SIGSTOP)
            try:
                gantry.write("go", "")
                gantry.wait("one", "failed", timeout=5)
            finally:
                os.kill(role, signal.SIGCONT)

    def test_the_role_is_nobody_and_alone(self):
        with Logged([service("one", "echo up; exec sleep 1000")]) as gantry:
            gantry.wait_text("one.log", "up")
            role = gantry.role()
            with open(f"/proc/{role}/status", encoding="ascii") as file:
                fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            self.assertEqual(set(fields["Uid"].split()), {"901"})
            self.assertEqual(set(fields["Gid"].split()), {"901"})
            self.assertEqual(fields["CapEff"], "0" * 16)
            self.assertEqual((fields["NoNewPrivs"], fields["Seccomp"]), ("1", "2"))
            self.assertNotEqual(os.readlink(f"/proc/{role}/ns/net"), os.readlink(f"/proc/{gantry.pid}/ns/net"))
            with open(f"/proc/{role}/stat", encoding="ascii") as file:
                self.assertEqual(file.read().rsplit(") ", 1)[1].split()[16], "10")      # its nice value


class Readers(unittest.TestCase):
    LINES = "for i in $(seq %d); do echo line $i $(printf %%080d $i); done; exec sleep 1000"

    def logged(self, n, **more):
        gantry = Logged([service("one", self.LINES % n, log={"max_bytes": 65536, "files": 4}), service("none"),
                         service("never", enabled=False)], **more)
        self.addCleanup(gantry.__exit__, None)
        gantry.wait_text("one.log", f"line {n} ", 60)
        return gantry

    def numbers(self, text):
        return [int(line.split()[1]) for line in text.splitlines()]

    def test_gantryctl_shows_the_newest_lines_across_files(self):
        gantry = self.logged(2000)
        self.assertEqual(self.numbers(gantry.ctl("logs", "one").stdout), list(range(1981, 2001)))
        self.assertEqual(self.numbers(gantry.ctl("logs", "one", "-n", "1").stdout), [2000])
        self.assertEqual(self.numbers(gantry.ctl("logs", "-n", "1500", "one").stdout), list(range(501, 2001)))
        every = self.numbers(gantry.ctl("logs", "one", "-n", "100000").stdout)
        self.assertEqual(every, list(range(every[0], 2001)))
        for words, told in ((["two"], "two: no such service"), (["none"], "there is no log yet"), ([], "usage:"),
                            (["one", "-n", "0"], "usage:"), (["one", "-n", "1x"], "usage:"), (["../one"], "no such service")):
            r = gantry.ctl("logs", *words)
            self.assertNotEqual(r.returncode, 0)
            self.assertIn(told, r.stderr)

    def test_gantryctl_shows_nothing_that_a_terminal_would_obey(self):
        gantry = self.logged(3)
        with open(gantry.path("one.log"), "ab") as file:
            file.write(b"\x1b]0;title\x07 \xff\0 end\n")
        self.assertEqual(gantry.ctl("logs", "one", "-n", "1").stdout, "\ufffd]0;title\ufffd \ufffd\ufffd end\n")

    def test_gantryctl_follows_across_a_rotation(self):
        with Logged([service("one", "i=0; while :; do echo line $i $(printf %0200d $i); i=$((i+1)); sleep 0.005; done",
                             log={"max_bytes": 65536, "files": 3})]) as gantry:
            gantry.wait_text("one.log", "line")
            follower = subprocess.Popen(["nsenter", "-t", str(gantry.pid), "-p", "-m", "-r", "-w", "/opt/gantryctl", "logs",
                                         "one", "-f"], stdout=subprocess.PIPE, text=True)
            try:
                seen = [int(follower.stdout.readline().split()[1])]
                while not (os.path.exists(gantry.path("one.log.1")) and len(seen) > 400):
                    seen.append(int(follower.stdout.readline().split()[1]))
            finally:
                follower.kill()
                follower.wait()
                follower.stdout.close()
            self.assertEqual(seen, list(range(seen[0], seen[0] + len(seen))))

    def test_the_api_shows_them_to_whoever_may_read(self):
        gantry = self.logged(2000, api={"listen": "127.0.0.1:3535", "tls_hosts": ["localhost"]})
        r = ask(gantry, "/api/v1/logs/one?lines=1500")
        self.assertEqual((r.status, r.type), (200, "text/plain; charset=utf-8"))
        self.assertEqual(self.numbers(r.body.decode()), list(range(501, 2001)))
        self.assertEqual(self.numbers(ask(gantry, "/api/v1/logs/one").body.decode()), list(range(1901, 2001)))
        for path, status in (("two", 404), ("none", 404), ("never", 404), ("..%2Fone", 404), ("one?lines=0", 400), ("", 404),
                             ("one?lines=", 200), ("one?lines=-1", 400), ("one?lines=1000000", 400), ("one/x", 404)):
            self.assertEqual(ask(gantry, f"/api/v1/logs/{path}").status, status, path)
        self.assertEqual(ask(gantry, "/api/v1/logs/one", method="POST").status, 405)

    def test_the_api_shows_none_before_the_password_is_known(self):
        gantry = self.logged(3, api={"listen": "127.0.0.1:3535", "tls_hosts": ["localhost"], "needs": ["disk"],
                                     "password_file": "/t/password"}, stages=[stage("disk", "sleep 1000")])
        self.assertEqual(ask(gantry, "/api/v1/logs/one").status, 503)


class Flood(unittest.TestCase):
    def test_a_flood_does_not_hold_up_pid_1_nor_other_logs(self):
        with Logged([service("flood", "exec yes 'a line like many others, of sixty-four bytes with its end....'",
                             log={"max_bytes": 1 << 20, "files": 2}),
                     service("calm", "while :; do echo tick; sleep 0.05; done")]) as gantry:
            wait_for(lambda: os.path.exists(gantry.path("flood.log.1")), "the flood")
            before = gantry.text("calm.log").count("tick")
            slowest = 0.0
            for i in range(20):
                start = time.monotonic()
                gantry.ctl("post", f"number {i}")
                slowest = max(slowest, time.monotonic() - start)
            assert_within(self, slowest, 0, 2)
            wait_for(lambda: gantry.text("calm.log").count("tick") > before + 10, "the other log")
            self.assertEqual(gantry.find("flood", "log: dropping lines", "message"), [])
            with open(f"/proc/{gantry.role()}/status", encoding="ascii") as file:
                rss = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
            self.assertLess(rss, 8192)


if __name__ == "__main__":
    unittest.main()
