# SPDX-License-Identifier: GPL-2.0-or-later
"""PID 1, its API and its log together: what one says, all say, whatever is killed in between."""

import json
import os
import re
import threading
import unittest

from fake_control import wait_for
from pid1 import Pid1, SCALE, boot, stage, service

API = {"listen": "127.0.0.1:3535", "tls_hosts": ["localhost"]}
API_PROCESS = "for p in $(dirname $(grep -lx gantry-api /proc/[0-9]*/comm)); do "
LOG = {"directory": "/t/log", "max_bytes": 1 << 20, "needs": []}

FOLLOW = """
import http.client, json, ssl, time
from sse import Stream
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
events, last, connections = [], "0", 0
while not events or not events[-1]["text"].startswith("flow end"):
    try:
        s = Stream(http.client.HTTPSConnection("127.0.0.1", 3535, timeout=20, context=context), last_id=last)
        assert s.status == 200
        connections += 1
        for notice in s:
            assert notice.kind != "lost", notice
            events.append(notice.json)
            last = notice.last_id
            open("/t/begun", "w").write(str(connections))
            if events[-1]["text"].startswith("flow end"):
                break
    except (OSError, http.client.HTTPException):
        time.sleep(0.02)
print(json.dumps({"events": events, "connections": connections}))
"""


class Whole(unittest.TestCase):
    def get(self, pid1, path, *options):
        r = pid1.inside("curl", "-sS", "-k", "--retry", "5", "--retry-connrefused", "--retry-all-errors", *options,
                        f"https://127.0.0.1:3535{path}", timeout=30)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def log(self, pid1):
        return [json.loads(line) for line in pid1.read("log/events.log").splitlines()]

    def test_an_event_by_http_is_on_the_console_in_the_log_and_in_every_answer(self):
        with Pid1(boot([stage("one")], api=API, log=LOG)) as pid1:
            pid1.wait("api", "listens on", kind="message")
            self.get(pid1, "/api/v1/new_event", "--get", "--data-urlencode", "message=hello \x1b[1mworld")
            event = pid1.wait("http", "hello world", kind="message")
            self.assertEqual(event.level, "info")
            self.assertIn(" \t hello world\n", self.get(pid1, "/logs"))
            self.assertIn("info http message: hello world", pid1.ctl("events").stdout)
            pid1.ctl("poweroff")
            self.assertEqual(pid1.end(), "poweroff")
            self.assertIn("hello world", [e.get("message") for e in self.log(pid1)])

    def test_the_log_has_the_boot_from_its_first_event_to_the_end_of_the_log(self):
        with Pid1(boot([stage("one"), stage("two", needs=["one"])], log={**LOG, "needs": ["two"]})) as pid1:
            pid1.wait("gantry", "booted")
            pid1.ctl("poweroff", "enough")
            self.assertEqual(pid1.end(), "poweroff")
            events = [e for e in self.log(pid1) if "seq" in e]
            self.assertEqual([e["seq"] for e in events], list(range(1, len(events) + 1)))
            self.assertIn("stopping", [e["text"] for e in events])

    def test_a_held_boot_says_why_over_the_api(self):
        with Pid1(boot([stage("disk", "echo no key >&2; exit 125")], api=API, held={"action": "hold"})) as pid1:
            pid1.wait("gantry", "held")
            status = json.loads(self.get(pid1, "/api/v1/status"))
            self.assertEqual(status["boot"]["state"], "held")
            self.assertTrue(status["boot"]["reason"].startswith("disk: "), status["boot"])
            self.assertEqual(status["stages"][0]["state"], "failed")
            self.assertEqual(status, {**json.loads(pid1.ctl("status", "--json").stdout),
                                      "boot": {**status["boot"]}})
            self.assertIn("[disk] no key", self.get(pid1, "/logs"))

    def test_a_killed_api_is_back_within_a_second_and_no_event_is_lost_or_doubled(self):
        flow = ("import socket,time\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.connect('/run/gantry/events')\n"
                "for i in range(1500):\n s.send(b'flow %d' % i)\n time.sleep(0.003)\n")
        with Pid1(boot([], [service("flow", "exec python3 /t/flow.py", restart={"policy": "never"})], api=API,
                       events={"ring": 5000}), files={"flow.py": flow}) as pid1:
            for i in range(1, 6):
                up = pid1.wait("api", "listens on", kind="message", count=i)
                process = pid1.inside("sh", "-c", API_PROCESS + "echo ${p#/proc/}; done").stdout.split()
                self.assertEqual(len(process), 1, process)
                if i < 5:
                    killed = pid1.inside("sh", "-c", f"cut -d' ' -f1 /proc/uptime; kill -9 {process[0]}").stdout
                    again = pid1.wait("api", "listens on", kind="message", count=i + 1)
                    self.assertGreater(again.time, up.time)
                    self.assertLess(again.time - float(killed), 1.0 + 1.0 * SCALE)
            pid1.wait("flow", "flow 1499", kind="message", timeout=40)
            events = json.loads(self.get(pid1, "/api/v1/events"))
            self.assertEqual([e["seq"] for e in events], list(range(1, len(events) + 1)))
            flow = [e["text"] for e in events if e["source"] == "flow" and e["text"].startswith("flow ")]
            self.assertEqual(flow, [f"flow {i}" for i in range(1500)])

    def test_a_stream_that_is_resumed_has_every_event_once_however_often_the_api_is_killed(self):
        flow = ("import os,socket,time\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.connect('/run/gantry/events')\n"
                "i=0\nwhile not os.path.exists('/t/stop'):\n s.send(b'flow %d' % i)\n i+=1\n time.sleep(0.005)\n"
                "s.send(b'flow end %d' % i)\n")
        with open(os.path.join(os.path.dirname(__file__), "sse.py"), encoding="utf-8") as file:
            sse = file.read()
        with Pid1(boot([], [service("flow", "exec python3 /t/flow.py", restart={"policy": "never"})], api=API,
                       events={"ring": 20000}), files={"flow.py": flow, "sse.py": sse, "follow.py": FOLLOW}) as pid1:
            pid1.wait("api", "listens on", kind="message")
            got = {}
            follower = threading.Thread(target=lambda: got.update(r=pid1.inside("python3", "/t/follow.py", timeout=100)))
            follower.start()
            for i in range(1, 16):
                pid1.wait("api", "listens on", kind="message", count=i)
                if i % 3:       # every third time at once, while it still reads the events
                    pid1.write("begun", "")
                    wait_for(lambda: pid1.read("begun"), "an event on the stream", 20)
                pid1.inside("sh", "-c", API_PROCESS + "kill -9 ${p#/proc/}; done")
            pid1.wait("api", "listens on", kind="message", count=16)
            pid1.write("stop", "")
            end = pid1.wait("flow", "flow end", kind="message")
            follower.join()
            self.assertEqual(got["r"].returncode, 0, got["r"].stderr)
            seen = json.loads(got["r"].stdout)
            events = json.loads(self.get(pid1, "/api/v1/events"))
            self.assertEqual([e["seq"] for e in seen["events"]], list(range(1, len(seen["events"]) + 1)))
            self.assertGreater(seen["connections"], 10)
            texts = [e["text"] for e in seen["events"] if e["source"] == "flow" and e["text"].startswith("flow ")]
            self.assertEqual(texts, [f"flow {i}" for i in range(len(texts) - 1)] + [end.text])
            last = seen["events"][-1]["seq"]
            self.assertEqual(seen["events"], [e for e in events if e["seq"] <= last])

    def test_the_api_runs_as_its_own_user(self):
        with Pid1(boot([], api=API)) as pid1:
            pid1.wait("api", "listens on", kind="message")
            users = pid1.inside("sh", "-c", API_PROCESS +
                                "grep -E '^(Uid|Gid|Groups|CapEff|NoNewPrivs)' $p/status; done").stdout
            self.assertEqual(re.sub(r"\s+", " ", users).strip(),
                             "Uid: 900 900 900 900 Gid: 900 900 900 900 Groups: CapEff: 0000000000000000 NoNewPrivs: 1")


if __name__ == "__main__":
    unittest.main()
