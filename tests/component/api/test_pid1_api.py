# SPDX-License-Identifier: GPL-2.0-or-later
"""PID 1, its API and its log together: what one says, all say, whatever is killed in between."""

import json
import os
import re
import threading
import unittest

from fake_control import wait_for
from patience import assert_within
from pid1 import Pid1, boot, stage, service

API = {"listen": "127.0.0.1:3535", "tls_hosts": ["localhost"]}
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

    def process(self, pid1, name="gantry-api"):
        """The pid of the role, once there is one."""
        found = wait_for(lambda: pid1.inside("sh", "-c", f"grep -lx {name} /proc/[0-9]*/comm").stdout.split(), f"{name} runs")
        self.assertEqual(len(found), 1)
        return found[0].split("/")[2]

    def log(self, pid1):
        return [json.loads(line) for line in pid1.read("log/events.log").splitlines()]

    def test_an_event_by_http_is_on_the_console_in_the_log_and_in_every_answer(self):
        with Pid1(boot([stage("one")], api=API, log=LOG)) as pid1:
            pid1.wait("system-api", "listens on", kind="message")
            self.get(pid1, "/api/v1/new_event", "--get", "--data-urlencode", "message=hello \x1b[1mworld")
            event = pid1.wait("http", "hello world", kind="message")
            self.assertEqual(event.level, "info")
            self.assertIn(" \t hello world\n", self.get(pid1, "/logs"))
            self.assertIn("info http message: hello world", pid1.ctl("events").stdout)
            pid1.ctl("poweroff")
            self.assertEqual(pid1.end(), "poweroff")
            self.assertIn("hello world", [e.get("message") for e in self.log(pid1)])

    def test_new_events_of_fifty_clients_are_limited_and_the_boot_stays_in_sight(self):
        flood = ("import http.client, json, ssl, threading\n"
                 "context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n"
                 "context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n"
                 "answers = []\n"
                 "def run():\n"
                 "  c = http.client.HTTPSConnection('127.0.0.1', 3535, timeout=60, context=context)\n"
                 "  for i in range(40):\n"
                 "    c.request('GET', '/api/v1/new_event?message=flood')\n"
                 "    r = c.getresponse()\n"
                 "    answers.append((r.status, r.read().decode()))\n"
                 "threads = [threading.Thread(target=run) for _ in range(50)]\n"
                 "for t in threads: t.start()\n"
                 "for t in threads: t.join()\n"
                 "print(json.dumps(answers))\n")
        events = {"rate_per_s": 20, "burst": 300, "ring": 100}
        with Pid1(boot([stage("one")], api=API, events=events), files={"flood.py": flood}) as pid1:
            pid1.wait("system-api", "listens on", kind="message")
            own = [e for e in json.loads(self.get(pid1, "/api/v1/events")) if e["kind"] == "state"]
            self.assertIn(("gantry", "booted"), [(e["source"], e["text"]) for e in own])
            answers = json.loads(pid1.inside("python3", "/t/flood.py", timeout=60).stdout)
            self.assertEqual(len(answers), 2000)
            refused = [text for status, text in answers if status == 429]
            self.assertEqual({text for status, text in answers if status == 200}, {""})
            self.assertEqual([status for status, _ in answers if status not in (200, 429)], [])
            self.assertEqual({text for text in refused}, {'{"code":429,"message":"Too many new events, try again later"}\n'})
            self.assertGreater(len(refused), 1000)
            wait_for(lambda: sum(int(e.text.split()[0]) for e in pid1.find("http", kind="message")
                                 if " dropped: more than 20 a second" in e.text) == len(refused), "the count", 20)
            self.assertEqual(json.loads(self.get(pid1, "/api/v1/status"))["boot"]["dropped"], len(refused))
            now = json.loads(self.get(pid1, "/api/v1/events"))
            self.assertEqual([e for e in now if e["kind"] == "state"], own)
            self.assertEqual([e["seq"] for e in now], sorted({e["seq"] for e in now}))
            newest = json.loads(self.get(pid1, "/api/v1/events?source=gantry&limit=2"))
            self.assertEqual(newest[-1]["text"], "booted")

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
            pid1.wait("system-api", "listens on", kind="message")
            certificate = json.loads(self.get(pid1, "/api/v1/status"))["api"]["certificate_sha256"]
            for i in range(1, 5):
                process = self.process(pid1)
                killed = float(pid1.inside("sh", "-c", f"kill -9 {process}; cut -d' ' -f1 /proc/uptime").stdout)
                pid1.wait("system-api", "api exited (signal 9)", kind="message", count=i)
                # A client that comes in between waits for it, at a listener that was never gone.
                r = pid1.inside("curl", "-sS", "-k", "-w", "%{http_code}", "-o", "/dev/null", "https://127.0.0.1:3535/livez")
                self.assertEqual((r.stdout, r.stderr), ("200", ""))
                back = float(pid1.inside("cut", "-d ", "-f1", "/proc/uptime").stdout)
                assert_within(self, back - killed, 1, 1)
            self.assertEqual(json.loads(self.get(pid1, "/api/v1/status"))["api"]["certificate_sha256"], certificate)
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
            pid1.wait("system-api", "listens on", kind="message")
            got = {}
            follower = threading.Thread(target=lambda: got.update(r=pid1.inside("python3", "/t/follow.py", timeout=100)))
            follower.start()
            for i in range(1, 16):
                process = self.process(pid1)
                if i % 3:       # every third time at once, while it still reads the events
                    pid1.write("begun", "")
                    wait_for(lambda: pid1.read("begun"), "an event on the stream", 20)
                pid1.inside("kill", "-9", process)
                pid1.wait("system-api", "api exited (signal 9)", kind="message", count=i)
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

    def test_the_api_s_roles_run_as_their_own_user_with_nothing(self):
        with Pid1(boot([], api=API)) as pid1:
            pid1.wait("system-api", "listens on", kind="message")
            self.get(pid1, "/livez")
            for name in "gantry-api", "gantry-api-tls":
                process = self.process(pid1, name)
                script = f"grep -E '^(Uid|Gid|Groups|CapEff|CapBnd|NoNewPrivs|Seccomp)' /proc/{process}/status"
                users = pid1.inside("sh", "-c", script).stdout
                self.assertRegex(re.sub(r"\s+", " ", users).strip(),
                                 "^Uid: 900 900 900 900 Gid: 900 900 900 900 Groups: CapEff: 0000000000000000 "
                                 "CapBnd: [0-9a-f]+ NoNewPrivs: 1 Seccomp: 2")
                self.assertEqual(pid1.inside("readlink", f"/proc/{process}/root").stdout.strip(), "/run/gantry/empty")
                self.assertEqual(pid1.inside("ls", "-A", f"/proc/{process}/root/").stdout, "")
            # Descriptors 0 to 4 and its own sockets; HTTP has a network namespace in which there is nothing, TLS PID 1's.
            spaces = [pid1.inside("readlink", f"/proc/{process}/ns/net").stdout
                      for process in (self.process(pid1), self.process(pid1, "gantry-api-tls"), 1)]
            self.assertNotEqual(spaces[0], spaces[2])
            self.assertEqual(spaces[1], spaces[2])


if __name__ == "__main__":
    unittest.main()
