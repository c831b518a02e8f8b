# SPDX-License-Identifier: GPL-2.0-or-later
"""The event socket and the FIFO in a real PID 1: whose words they are, and what becomes of those who say too much."""

import json
import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from patience import assert_within  # noqa: E402
from pid1 import Pid1, boot, service, stage  # noqa: E402

SAY = "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('/run/gantry/events')\n"
ONCE = {"restart": {"policy": "never"}, "required": False}


def say(text, count):
    return SAY + f"for i in range({count}): s.send({text!r} % i)\n"


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return file.read().split()


def state(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


class Events(unittest.TestCase):
    def events(self, gantry, **wanted):
        """All that the ring has, as objects, with these members."""
        lines = [json.loads(line) for line in gantry.ctl("events", "--json").stdout.splitlines()]
        return [e for e in lines if all(e.get(name) == value for name, value in wanted.items())]

    def wait(self, gantry, count, **wanted):
        for _ in range(200):
            found = self.events(gantry, **wanted)
            if len(found) >= count:
                return found
            time.sleep(0.05)
        self.fail(f"{len(found)} of {count} {wanted}; all: {self.events(gantry)[-20:]}")

    def last_words(self, script):
        """Says more than PID 1 takes in one turn and ends, all while PID 1 sleeps: so it sees words and end at once."""
        say_and_end = ("import os, socket\nfor i in range(500):\n"
                       "  if i % 100 == 0:         # one socket may not have so many under way\n"
                       "    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('/run/gantry/events')\n"
                       "  s.send(b'word %d' % i)\nos._exit(0)\n")
        brief = service("brief", "until [ -e /t/go ]; do sleep 0.05; done; " + script, **ONCE)
        with Pid1(boot(services=[brief]), files={"say": say_and_end}) as gantry:
            gantry.wait("brief", "ready")
            pid = gantry.pid
            os.kill(pid, signal.SIGSTOP)
            gantry.write("go", "")
            while not any(state(child) == "Z" for child in children(pid)):
                time.sleep(0.02)
            os.kill(pid, signal.SIGCONT)
            self.wait(gantry, 1, text="word 499")
            return {e["source"] for e in self.events(gantry) if e["text"].startswith("word ")}

    def test_last_words_of_a_service_are_its_own(self):
        self.assertEqual(self.last_words("exec python3 /t/say"), {"brief"})

    @unittest.skipIf("GANTRY_USERNS" in os.environ, "a user namespace may not do what this needs")
    def test_last_words_of_an_orphan_are_its_services(self):
        self.assertEqual(self.last_words("(python3 /t/say &); exec sleep 1000"), {"brief"})

    def test_post_from_a_script_has_its_source_whatever_the_hurry(self):
        script = "for i in 1 2 3 4 5; do /opt/gantryctl post \"<4>try $i\"; done"
        with Pid1(boot([stage("hurry", script)])) as gantry:
            gantry.wait("gantry", "booted")
            found = self.events(gantry, source="hurry", kind="message", level="warning")
            self.assertEqual([e["text"] for e in found], [f"try {i}" for i in range(1, 6)])

    def test_an_object_has_level_and_fields(self):
        script = say(b'{"message":"warm","level":"warning","fields":{"lun":10,"where":"rack 4","n":%d}}', 1)
        with Pid1(boot(services=[service("app", "exec python3 /t/say", **ONCE)]), files={"say": script}) as gantry:
            gantry.wait("gantry", "booted")
            found = self.wait(gantry, 1, source="app", text="warm")[0]
            self.assertEqual((found["level"], found["fields"]), ("warning", {"lun": 10, "where": "rack 4", "n": 0}))
            self.assertEqual(gantry.ctl("post", '{"message":"by hand","level":"error","fields":{"a":true}}').returncode, 0)
            found = self.wait(gantry, 1, source="gantryctl")[0]
            self.assertEqual((found["level"], found["text"], found["fields"]), ("error", "by hand", {"a": "true"}))

    def test_a_flood_is_dropped_and_said_and_no_other_is_hurt(self):
        services = [service("wild", "exec python3 /t/wild", **ONCE), service("calm", "exec python3 /t/calm", **ONCE)]
        calm = SAY + "import time\nfor i in range(20): s.send(b'calm %d' % i); time.sleep(0.05)\ntime.sleep(1000)"
        files = {"wild": say(b"flood %d", 20000) + "import time; time.sleep(1000)", "calm": calm}
        with Pid1(boot(services=services, events={"rate_per_s": 50, "burst": 200}), files=files) as gantry:
            gantry.wait("gantry", "booted")
            said = self.wait(gantry, 1, source="wild", level="warning")[0]
            self.assertRegex(said["text"], r"^\d+ messages dropped: more than 50 a second$")
            self.wait(gantry, 1, source="calm", text="calm 19")
            self.assertEqual(len([e for e in self.events(gantry, source="calm", kind="message")]), 20)
            kept = len([e for e in self.events(gantry, source="wild") if e["text"].startswith("flood")])
            self.assertGreaterEqual(kept, 200)
            self.assertLess(kept, 1000)
            dropped = sum(int(e["text"].split()[0]) for e in self.events(gantry, source="wild", level="warning"))
            self.assertEqual(kept + dropped, 20000)
            self.assertEqual(json.loads(gantry.ctl("status", "--json").stdout)["boot"]["dropped"], dropped)

    def test_a_flood_into_the_fifo_blocks_nobody(self):
        config = boot(events={"fifo": "/run/fifo", "rate_per_s": 10, "burst": 100})
        with Pid1(config) as gantry:
            gantry.wait("gantry", "booted")
            began = time.monotonic()
            self.assertEqual(gantry.inside("sh", "-c", "seq 1 50000 > /run/fifo").returncode, 0)
            assert_within(self, time.monotonic() - began, 0, 10)
            said = self.wait(gantry, 1, source="fifo", level="warning")[0]
            self.assertRegex(said["text"], r"^49\d\d\d messages dropped: more than 10 a second$")

    def test_no_flood_takes_the_boots_own_history_from_the_ring_or_the_log(self):
        script = SAY + "t = b'x' * 1000\nfor i in range(60000): s.send(t)\nopen('/t/over', 'w').close()\ntime.sleep(1000)"
        log = {"directory": "/t/log", "max_bytes": 1 << 20, "needs": ["disk"]}
        with Pid1(boot([stage("disk", "echo opened")], [service("wild", "until [ -e /t/go ]; do sleep 0.05; done; "
                                                        "exec python3 /t/wild", **ONCE)],
                       events={"rate_per_s": 0}, log=log), files={"wild": "import time\n" + script}) as gantry:
            gantry.wait("gantry", "booted")
            gantry.wait("wild", "ready")
            own = self.events(gantry, kind="state")
            self.assertGreaterEqual({(e["source"], e["text"]) for e in own},
                                    {("disk", "running"), ("disk", "done"), ("wild", "ready"), ("gantry", "booted")})
            gantry.write("go", "")
            gantry.inside("sh", "-c", "until [ -e /t/over ]; do sleep 0.1; done", timeout=60)
            self.assertGreater(self.events(gantry)[-1]["seq"], 60000)
            self.assertEqual(self.events(gantry, kind="state"), own)
            gantry.ctl("poweroff")
            self.assertEqual(gantry.end(), "poweroff")
            lines = [json.loads(line) for name in ("events.log.kept", "events.log.1", "events.log")
                     for line in gantry.read("log/" + name).splitlines()]
            self.assertEqual([e for e in lines if e.get("kind") == "state"][:len(own)], own)

    def test_the_default_limits_keep_a_sender_to_its_burst_and_rate(self):
        script = SAY + "import time\nfor i in range(50000): s.send(b'flood')\ntime.sleep(1000)"
        with Pid1(boot(services=[service("wild", "exec python3 /t/wild", **ONCE)]), files={"wild": script}) as gantry:
            gantry.wait("gantry", "booted")
            began = time.monotonic()
            self.wait(gantry, 1, source="wild", level="warning")
            last = self.events(gantry)[-1]["seq"]
            self.assertLess(last, 10000 + 1000 * (5 + time.monotonic() - began))
            self.assertEqual([e["text"] for e in self.events(gantry, source="gantry", kind="state")], ["booted"])

    def test_a_new_pid_for_every_message_gains_nothing(self):
        script = SAY + ("import os\nfor i in range(1000):\n  pid = os.fork()\n  if pid == 0:\n    s.send(b'flood'); os._exit(0)\n"
                        "  os.waitpid(pid, 0)\n")
        with Pid1(boot(events={"rate_per_s": 5, "burst": 100}), files={"wild": script}) as gantry:
            gantry.wait("gantry", "booted")
            began = time.monotonic()
            self.assertEqual(gantry.inside("python3", "/t/wild", timeout=60).returncode, 0)
            self.wait(gantry, 1, source="gantry", level="warning")
            end = time.monotonic() + 20
            while True:
                came = len([e for e in self.events(gantry) if e["text"] == "flood"])
                told = [e["text"] for e in self.events(gantry, source="gantry", level="warning")]
                dropped = sum(int(text.split()[0]) for text in told)
                if came + dropped == 1000 or time.monotonic() > end:
                    break
                time.sleep(0.2)
            self.assertEqual(came + dropped, 1000)
            self.assertLess(came, 100 + 5 * (2 + time.monotonic() - began))
            for text in told:
                self.assertRegex(text, r"^\d+ messages? dropped: more than 5 a second, from processes of no stage or service$")
            self.assertEqual(json.loads(gantry.ctl("status", "--json").stdout)["boot"]["dropped"], dropped)

    def test_a_stage_that_is_broken_into_cannot_flood_by_its_report_socket(self):
        # Descriptor 3, as include/gantry/report.h describes it: events, progress, and artifacts that it may not take.
        script = ("import os, struct\n"
                  "def say(kind, body): os.write(3, struct.pack('<HBBI', kind, 1, 0, len(body)) + body)\n"
                  "for i in range(10000):\n"
                  "  say(1, b'flood'); say(2, struct.pack('<QQQII', 1, 2, 3, 4, 0) + b'flood'); say(5, b'config')\n")
        wild = {"name": "wild", "type": "exec", "needs": ["first"],
                "options": {"command": ["/usr/bin/python3", "/t/wild"], "protocol": "report"}}
        with Pid1(boot([stage("first"), wild],
                       events={"rate_per_s": 10, "burst": 300, "ring": 100}), files={"wild": script}) as gantry:
            gantry.wait("gantry", "booted", timeout=60)
            self.wait(gantry, 1, source="wild", level="warning")
            texts = [e.text for e in gantry.events if e.source == "wild" and e.kind != "state"]
            told = [text for text in texts if "messages dropped: more than 10 a second" in text]
            end = time.monotonic() + 20
            while sum(int(text.split()[0]) for text in told) != 30000 - (len(texts) - len(told)):
                self.assertLess(time.monotonic(), end, told)
                time.sleep(0.2)
                texts = [e.text for e in gantry.events if e.source == "wild" and e.kind != "state"]
                told = [text for text in texts if "messages dropped: more than 10 a second" in text]
            self.assertLess(len(texts), 1000)
            self.assertEqual([(e["source"], e["text"]) for e in self.events(gantry, kind="state")],
                             [("first", "running"), ("first", "done"), ("wild", "running"),
                              ("wild", "done"), ("gantry", "booted")])

    def test_gantryctl_is_limited_too_and_says_so(self):
        with Pid1(boot(events={"rate_per_s": 1, "burst": 5})) as gantry:
            gantry.wait("gantry", "booted")
            r = gantry.inside("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do /opt/gantryctl post word$i || exit 9; done")
            self.assertEqual(r.returncode, 9)
            self.assertIn("too many messages from this sender: dropped", r.stderr)
            self.assertEqual(self.wait(gantry, 1, source="gantryctl", level="warning")[0]["text"],
                             "1 message dropped: more than 1 a second")


if __name__ == "__main__":
    unittest.main()
