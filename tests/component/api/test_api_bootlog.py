# SPDX-License-Identifier: GPL-2.0-or-later
"""Earlier boots over the System API, with the real PID 1 and its worker: log files that lie there before it starts, whole,
rotated, hostile, in the wrong shape or not at all."""

import json
import os
import threading
import unittest

import jsonschema

from fake_control import wait_for
from pid1 import REPO, Pid1, boot, stage
from within import ask

API = {"listen": "127.0.0.1:3535", "tls_hosts": ["localhost"]}
LOG = {"directory": "/t", "max_bytes": 1 << 20, "needs": []}
LEVELS = ("debug", "info", "notice", "warning", "error")
NONE = (404, "application/json", b'{"code":404,"message":"No such boot in the log"}\n')


def begins(name, continued=False):
    return json.dumps({"boot_id": f"{name}-0000", "opened_at": "2026-11-23T08:00:00Z", "version": "0.1.0",
                       "continued": continued}, separators=(",", ":")) + "\n"


def event(number, text, source="disk", level="info", **more):
    made = {"received_at": f"2026-11-23T08:{number // 60 % 60:02}:{number % 60:02}Z", "message": f"[{source}] {text}",
            "seq": number, "boot_s": number + 0.5, "level": level, "kind": "message", "source": source, "text": text}
    return json.dumps({**made, **more}, ensure_ascii=False, separators=(",", ":")) + "\n"


# Three boots: the first one whole, the second one goes on in the newer file, the third one ended in a power cut.
OLDER = begins("first") + event(1, "first 1") + event(2, "first 2", level="error") + begins("second") + "".join(
    event(i, f"second {i}", "network" if i % 3 else "disk", LEVELS[i % 5]) for i in range(1, 41))
NEWER = begins("second", True) + "".join(
    event(i, f"second {i}", "network" if i % 3 else "disk", LEVELS[i % 5]) for i in range(41, 61)) + begins("third") + event(
    1, "third 1") + event(2, "third 2") + '{"received_at":"2026-11-23T08:00:03Z","message":"[disk] third 3","se\n'


class Log(Pid1):
    """No stage or service; the log's files lie in the shared folder."""

    def __init__(self, log=LOG, **files):
        names = {"newer": "events.log", "older": "events.log.1"}
        super().__init__(boot([stage("one")], api=API, log=log),
                         files={names[name]: content for name, content in files.items()})

    def get(self, arguments, path="/api/v1/events"):
        return ask(self, f"{path}?{arguments}")

    def texts(self, arguments):
        r = self.get(arguments)
        return [e["text"] for e in r.json()] if r.status == 200 else r.status


class BootLog(unittest.TestCase):
    def log(self, *args, **more):
        pid1 = Log(*args, **more)
        self.addCleanup(pid1.__exit__, None)
        return pid1

    def assert_none(self, pid1, arguments="boot=-1"):
        r = pid1.get(arguments)
        self.assertEqual((r.status, r.type, r.body), NONE, arguments)

    def test_each_earlier_boot_is_found_whole_also_across_both_files(self):
        pid1 = self.log(older=OLDER, newer=NEWER)
        self.assertEqual(pid1.texts("boot=-1"), ["third 1", "third 2"])
        self.assertEqual(pid1.texts("boot=-2"), [f"second {i}" for i in range(1, 61)])
        self.assertEqual(pid1.texts("boot=-3"), ["first 1", "first 2"])
        for n in 4, 5, 999999:
            self.assert_none(pid1, f"boot=-{n}")
        with open(os.path.join(REPO, "docs", "event.schema.json"), encoding="utf-8") as file:
            validator = jsonschema.Draft202012Validator(json.load(file))
        for e in pid1.get("boot=-2").json():
            validator.validate(e)
        self.assertEqual(pid1.get("boot=-3").json(), [json.loads(line) for line in OLDER.splitlines()[1:3]])

    def test_the_boot_that_runs_is_none_of_them_though_its_log_is_in_the_same_file(self):
        pid1 = self.log(older=OLDER, newer=NEWER)
        ask(pid1, "/api/v1/new_event?message=of-today")
        wait_for(lambda: '"of-today"' in pid1.read("events.log"), "today's event in the log")
        self.assertEqual(pid1.texts("boot=-1"), ["third 1", "third 2"])
        for zero in "boot=0", "boot=-0":
            self.assertIn("of-today", pid1.texts(zero))
            self.assertNotIn("third 1", pid1.texts(zero))

    def test_text_limit_source_level_and_since_choose_among_them(self):
        pid1 = self.log(older=OLDER, newer=NEWER)
        lines = "2026-11-23T08:00:01Z \t [disk] third 1\n2026-11-23T08:00:02Z \t [disk] third 2\n"
        for path, arguments in (("/api/v1/events", "boot=-1&format=text"), ("/logs", "boot=-1")):
            r = pid1.get(arguments, path)
            self.assertEqual((r.status, r.type, r.text), (200, "text/plain; charset=utf-8", lines), path)
        second = {i: ("network" if i % 3 else "disk", LEVELS[i % 5]) for i in range(1, 61)}
        for arguments, wanted in (("limit=3", [58, 59, 60]), ("limit=0", []), ("since=57", [58, 59, 60]),
                                  ("source=disk", [i for i in second if second[i][0] == "disk"]),
                                  ("source=disk&source=network", list(second)), ("source=nobody", []),
                                  ("level=error", [i for i in second if second[i][1] == "error"]),
                                  ("source=disk&level=warning&limit=2&since=10",
                                   [i for i in second if i > 10 and second[i][0] == "disk" and i % 5 >= 3][-2:])):
            self.assertEqual(pid1.texts(f"boot=-2&{arguments}"), [f"second {i}" for i in wanted], arguments)
        self.assertEqual(pid1.get("boot=-2&limit=0").body, b"[]\n")
        self.assertEqual(pid1.get("boot=-2&limit=0&format=text").body, b"")

    def test_an_action_of_an_earlier_boot_is_found_by_its_id(self):
        pid1 = self.log(newer=begins("first") + event(1, "begin", fields={"action": "x", "id": 7}) +
                        event(2, "other", fields={"action": "x", "id": 8}) + event(3, "id alone", fields={"id": 7}))
        self.assertEqual(pid1.texts("boot=-1&action=7"), ["begin"])

    def test_without_a_log_there_is_no_earlier_boot(self):
        put = stage("put", "mkdir -p /persistent/gantry/log && cp /t/events.log /persistent/gantry/log")
        with Pid1(boot([put], api=API), files={"events.log": NEWER}) as pid1:
            pid1.wait("put", "done")
            r = ask(pid1, "/api/v1/events?boot=-1")
            self.assertEqual((r.status, r.type, r.body), NONE)

    def test_a_directory_that_is_missing_is_no_log_and_nobody_makes_it(self):
        pid1 = Pid1(boot([stage("disk", "sleep 1000")], api=API, log={**LOG, "directory": "/t/none", "needs": ["disk"]}))
        self.addCleanup(pid1.__exit__, None)
        r = ask(pid1, "/api/v1/events?boot=-1")
        self.assertEqual((r.status, r.type, r.body), NONE)
        self.assertFalse(os.path.exists(os.path.join(pid1.shared, "none")))

    def test_an_empty_directory_and_an_empty_log_have_no_earlier_boot(self):
        self.assert_none(self.log())
        self.assert_none(self.log(newer="", older=""))

    def test_a_log_of_strangers_gives_what_is_valid_in_it_and_no_more(self):
        garbage = b"\0" * 100000 + b"\n" + bytes(range(256)) * 40 + b"\n" + b"[" * 30000 + b"\n" + b"{" * 9000 + b"\n"
        bad = [begins("x")[:-3], '{"boot_id":5,"opened_at":"x","version":"x","continued":false}\n',
               event(3, "level", level="loud"), event(4, "x", seq="4"), event(5, "year", received_at="99999-11-23T08:00:00Z"),
               event(6, "x" * 1025), event(7, "kind", kind="thing"), '{"lost":12}\n', '{"lost":-1}\n',
               "[" + event(8, "list")[:-1] + "]\n", event(9, "fields", fields={"K": 1}),
               event(10, "deep", fields={"k": {"l": 1}}), event(11, "open")[:-2] + ',"text":}\n', "\n", " \n", "null\n"]
        good = [event(12, "a\0b"), event(13, "more", more=1), event(14, "red\x1b[31m \u202e back")]
        newer = b"".join([garbage, begins("first").encode(), event(1, "good 1").encode(), "".join(bad + good).encode(),
                          b"\xff\xfe\n", event(15, "torn")[:40].encode(), b"\n", garbage, event(16, "good 2").encode(),
                          event(17, "no end")[:-1].encode()])
        pid1 = self.log(newer=newer)
        path = os.path.join(pid1.shared, "events.log")
        wait_for(lambda: os.path.getsize(path) > len(newer), "the logger has ended the last line")
        r = pid1.get("boot=-1")
        self.assertEqual(r.status, 200)
        self.assertEqual([e["text"] for e in r.json()],
                         ["good 1", "a\ufffdb", "more", "red \ufffd back", "good 2", "no end"])      # cleaned again
        with open(os.path.join(REPO, "docs", "event.schema.json"), encoding="utf-8") as file:
            validator = jsonschema.Draft202012Validator(json.load(file))
        for e in r.json():
            validator.validate(e)
        self.assert_none(pid1, "boot=-2")

    def test_what_is_no_regular_file_is_not_read_and_said(self):
        failed = (500, "application/json", b'{"code":500,"message":"Failed to read the log"}\n')
        for make, expected in ((lambda path: os.symlink("/t/elsewhere", path), NONE), (os.mkfifo, failed), (os.mkdir, failed)):
            with Pid1(boot([stage("disk", "read line < /t/gate")], api=API, log={**LOG, "needs": ["disk"]}),
                      files={"elsewhere": NEWER}) as pid1:
                make(os.path.join(pid1.shared, "events.log"))
                r = ask(pid1, "/api/v1/events?boot=-1")
                self.assertEqual((r.status, r.type, r.body), expected)
                if expected is failed:
                    event = pid1.wait("system-api", "log of an earlier boot: exit status 1: log: Invalid argument",
                                      kind="message")
                    self.assertEqual(event.level, "warning")

    def test_many_readers_at_once_get_it_whole_or_are_told_to_come_again(self):
        big = begins("first") + "".join(event(i, f"event {i} " + "x" * 200) for i in range(1, 2001))
        pid1 = self.log({**LOG, "max_bytes": 4 << 20}, newer=big)
        answers = []
        readers = [threading.Thread(target=lambda: answers.append(pid1.get("boot=-1"))) for _ in range(40)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        self.assertEqual(len(answers), 40)
        whole = [a for a in answers if a.status == 200]
        self.assertGreaterEqual(len(whole), 4)
        for a in whole:
            self.assertEqual([e["seq"] for e in a.json()], list(range(1, 2001)))
        for a in answers:
            self.assertIn(a.status, (200, 503))
        self.assertEqual(len(pid1.get("boot=-1").json()), 2000)     # every place is free again
        self.assertEqual(pid1.get("limit=1").status, 200)


if __name__ == "__main__":
    unittest.main()
