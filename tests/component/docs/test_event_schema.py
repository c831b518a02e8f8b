# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/event.schema.json describes what really comes out of a real PID 1, by every way out, and nothing else."""

import copy
import json
import os
import unittest

import jsonschema

from pid1 import REPO, Pid1, boot, service, stage
from test_pid1_api import API, LOG

HOSTILE = r"""
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for text in (b"<3>red\x1b[31m \x00\xff\n\r\t\xe2\x80\xa8\xe2\x80\xae\xc2\x85\x7f<b>&amp;\"\\", b"",
             b"\xf0\x9f\x98\x80" * 1000, b"x" * 2000, b"<7>debug", b"<9>no level", b"\xed\xa0\x80", b"\xe2\x81\xa6isolate"):
    s.sendto(text, "/run/gantry/events")
"""


def load_schema():
    with open(os.path.join(REPO, "docs", "event.schema.json"), encoding="utf-8") as file:
        return json.load(file)


class EventSchema(unittest.TestCase):
    def setUp(self):
        self.validator = jsonschema.Draft202012Validator(load_schema())

    def test_it_is_a_schema_and_refuses_what_no_event_is(self):
        jsonschema.Draft202012Validator.check_schema(load_schema())
        good = {"received_at": "2026-11-23T08:00:00.12Z", "message": "[disk] done attempt=1", "seq": 17, "boot_s": 3.104,
                "level": "info", "kind": "state", "source": "disk", "text": "done", "fields": {"attempt": 1, "text": "opened"}}
        self.validator.validate(good)
        self.validator.validate({name: value for name, value in good.items() if name != "fields"})
        for name in good:
            if name != "fields":
                self.assertFalse(self.validator.is_valid({n: v for n, v in good.items() if n != name}), name)
        for name, value in (("received_at", "2026-11-23 08:00:00Z"), ("received_at", "2026-11-23T08:00:00.10Z"),
                            ("seq", 0), ("seq", "1"), ("seq", 1.5), ("boot_s", "3"), ("boot_s", -1), ("level", "loud"),
                            ("kind", "thing"), ("source", "x" * 33), ("text", "x" * 1025), ("text", "a\nb"), ("text", "\u202e"),
                            ("message", 5), ("fields", {}), ("fields", {"Key": 1}), ("fields", {"k": None}),
                            ("fields", {"k": -1}), ("fields", {"k": 1.5}), ("fields", []), ("more", 1)):
            bad = copy.deepcopy(good)
            bad[name] = value
            self.assertFalse(self.validator.is_valid(bad), (name, value))

    def test_every_way_out_gives_events_of_this_schema_and_the_same_ones(self):
        with Pid1(boot([stage("one"), stage("two", "exit 75", required=False)], [service("words", "exec python3 /t/words.py")],
                       api=API, log=LOG), files={"words.py": HOSTILE}) as pid1:
            pid1.wait("system-api", "listens on", kind="message")
            pid1.wait("words", "", kind="message", count=8)
            got = {}
            for name, arguments in ("api", ["/api/v1/events"]), ("stream", ["/api/v1/events/stream?since=0", "-N", "-m", "2"]):
                body = pid1.inside("curl", "-sk", "https://127.0.0.1:3535" + arguments[0], *arguments[1:]).stdout
                got[name] = json.loads(body) if name == "api" else [json.loads(line.removeprefix("data: "))
                                                                    for line in body.split("\n") if line.startswith("data: ")]
            got["gantryctl"] = [json.loads(line) for line in pid1.ctl("events", "--json").stdout.splitlines()]
            pid1.ctl("poweroff")
            self.assertEqual(pid1.end(), "poweroff")
            lines = [json.loads(line) for line in pid1.read("log/events.log").splitlines()]
            got["log"] = [line for line in lines if "boot_id" not in line]
        for name, events in got.items():
            self.assertGreater(len(events), 15, name)
            for event in events:
                self.validator.validate(event)
            self.assertEqual(events[:len(got["api"])], got["api"][:len(events)], name)


if __name__ == "__main__":
    unittest.main()
