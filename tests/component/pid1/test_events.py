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


if __name__ == "__main__":
    unittest.main()
