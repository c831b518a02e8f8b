# SPDX-License-Identifier: GPL-2.0-or-later
"""The status document and /metrics, from a real PID 1 up: what stages found out, what was measured, and that
docs/status.schema.json and Prometheus' own checker accept it."""

import json
import os
import re
import shutil
import subprocess
import time
import unittest

import jsonschema

from fake_control import wait_for
from patience import PATIENCE, SCALE
from pid1 import Pid1, boot, service, stage
from support import waits
from test_api import Api

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
API = {"listen": "127.0.0.1:3535", "tls_hosts": ["localhost"]}
STATES = ["waiting", "running", "retrying", "ready", "done", "skipped", "stopping", "stopped", "disabled", "failed", "blocked"]
SAMPLE = re.compile(r'([a-z_0-9]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)$')

# The protocol of gantry/report.h, for a stage whose program speaks it itself.
TELL = """
import socket, struct, sys, time
s = socket.socket(fileno=3)
def send(kind, body, flags=0): s.send(struct.pack("=HBBI", kind, 1, flags, len(body)) + body)
def facts(*fields): send(9, b"".join(f + b"\\0" for f in fields))
def progress(done, total, text): send(2, struct.pack("=QQQII", done, total, 5, 7, 0) + text)
"""


def schema():
    with open(os.path.join(REPO, "docs", "status.schema.json"), encoding="utf-8") as file:
        return json.load(file)


def samples(text):
    """{(name, ((label, value), ...)): value}; every line must be of the format."""
    found = {}
    for line in text.splitlines():
        if line.startswith(("# HELP ", "# TYPE ")):
            continue
        name, labels, value = SAMPLE.match(line).groups()
        labels = tuple(re.findall(r'([a-z]+)="((?:[^"\\]|\\.)*)"', labels or ""))
        assert (name, labels) not in found, line
        found[name, labels] = float(value)
    return found


def promtool(test, body):
    if not shutil.which("promtool"):
        test.skipTest("promtool is not there: the format is checked by this test's own parser alone")
    r = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, text=True, timeout=30 * PATIENCE)
    test.assertEqual((r.returncode, r.stdout + r.stderr), (0, ""))


class StatusTest(unittest.TestCase):
    def get(self, pid1, path):
        r = pid1.inside("curl", "-sS", "-k", "-i", "--retry", "5", "--retry-connrefused", "--retry-all-errors",
                        f"https://127.0.0.1:3535{path}", timeout=30)
        self.assertEqual(r.returncode, 0, r.stderr)
        head, _, body = r.stdout.partition("\n\n")
        self.assertIn(" 200 ", head.splitlines()[0])
        return head, body

    def status(self, pid1):
        """What gantryctl prints, checked against the schema."""
        document = json.loads(pid1.ctl("status", "--json").stdout)
        jsonschema.validate(document, schema())
        return document

    def told(self, script, **more):
        """A stage that runs this Python with TELL in front."""
        return {"name": "told", "type": "exec", "retry": {"limit": 2, "min_s": 0.1},
                "options": {"command": ["/usr/bin/python3", "-c", TELL + script], "protocol": "report"}, **more}

    # ---- facts

    def test_facts_are_kept_after_the_stage_and_the_latest_count(self):
        script = 'facts(b"a=1"); facts(b"size_bytes=5", b"note=x\\x1b[31my\\x07", b"serial=007"); progress(10, 40, b"10 of 40")'
        with Pid1(boot([self.told(script)])) as pid1:
            pid1.wait("told", "done")
            told = self.status(pid1)["stages"][0]
            self.assertEqual(told["facts"], {"size_bytes": 5, "note": "xy\ufffd", "serial": "007"})
            progress = told["progress"]
            self.assertEqual(progress, {"told_s": progress["told_s"], "done_bytes": 10, "total_bytes": 40, "per_second": 5,
                                        "eta_s": 7, "text": "10 of 40"})
            self.assertGreater(progress["told_s"], 0)

    @waits(4)
    def test_facts_outlive_an_attempt_until_the_next_tells_some(self):
        script = 'import os\nif os.path.exists("/t/second"): facts(b"b=2"); sys.exit(0)\n' \
                 'open("/t/second", "w").close(); facts(b"a=1"); sys.exit(75)'
        with Pid1(boot([self.told(script, retry={"limit": 5, "min_s": 3 * SCALE})])) as pid1:
            pid1.wait("told", "retrying")
            self.assertEqual(self.status(pid1)["stages"][0]["facts"], {"a": "1"})
            pid1.wait("told", "done")
            self.assertEqual(self.status(pid1)["stages"][0]["facts"], {"b": "2"})

    def test_malformed_facts_are_dropped_and_counted(self):
        script = 'facts(b"good=1"); send(9, b"no_end=1"); facts(b"nothing"); facts(b"Upper=1"); facts(b"ok=1", b""); ' \
                 'facts(b"x=" + b"y" * 1022); facts(b"=1")'
        with Pid1(boot([self.told(script)])) as pid1:
            pid1.wait("told", "done")
            wait_for(lambda: sum(int(e.text.split()[0]) for e in pid1.find("gantry", kind="message")
                                 if "undeliverable; the last from told" in e.text) == 6, "all are said, within a second")
            status = self.status(pid1)
            self.assertEqual((status["stages"][0]["facts"], status["boot"]["dropped"]), ({"good": "1"}, 6))

    def test_the_most_facts_there_can_be_are_shown_whole(self):
        script = 'facts(*[b"k%d=" % i + b"<" * 124 for i in range(7)], b"k7=" + b"\\xff" * 124)'
        with Pid1(boot([self.told(script)])) as pid1:
            pid1.wait("told", "done")
            facts = self.status(pid1)["stages"][0]["facts"]
            self.assertEqual(list(facts), [f"k{i}" for i in range(8)])
            self.assertEqual(facts["k6"], "<" * 124)
            self.assertRegex(facts["k7"], "^\ufffd{41,43}$")    # cut between characters at the room that is left

    def test_a_running_stage_s_progress_is_in_the_table(self):
        with Pid1(boot([self.told('progress(3 << 20, 4 << 20, b"3 of 4 MiB"); time.sleep(1000)')])) as pid1:
            pid1.wait("told", "3 of 4 MiB", kind="progress")
            self.assertIn(" 75 %, 5.0 B/s, 7 s left: 3 of 4 MiB\n", pid1.ctl("status").stdout)

    # ---- the document

    def machine(self):
        again = 'test -e /t/once || { : > /t/once; exit 1; }; exec sleep 1000'
        return boot([stage("good"), stage("bad", "echo no luck >&2; exit 125", required=False),
                     stage("behind", needs=["bad"], required=False),
                     {"name": "clock", "type": "clock", "options": {"socket": "/run/none", "timeout_s": 1}},
                     {"name": "config", "type": "config", "required": False, "retry": {"limit": 1},
                      "options": {"url": "http://127.0.0.1:1/"}},
                     {"name": "measure", "type": "measure", "options": {"target": "none"}},
                     self.told('facts(b"size_bytes=64"); progress(10, 40, b"10 of 40"); time.sleep(1000)', required=False)],
                    [service("reth", again, restart={"policy": "always", "min_s": 0.1}), service("off", enabled=False)], api=API)

    def settled(self, pid1):
        pid1.wait("gantry", "booted")
        pid1.wait("bad", "failed")
        pid1.wait("config", "failed")
        pid1.wait("told", "10 of 40", kind="progress")
        pid1.wait("reth", "ready", count=2)
        pid1.wait("system-api", "listens on", kind="message")

    def test_the_api_and_gantryctl_give_the_same_document_and_it_fits_the_schema(self):
        jsonschema.Draft202012Validator.check_schema(schema())
        with Pid1(self.machine()) as pid1:
            self.settled(pid1)
            ours = self.status(pid1)
            head, body = self.get(pid1, "/api/v1/status")
            self.assertIn("application/json", head)
            theirs = json.loads(body)
            jsonschema.validate(theirs, schema())
            self.assertGreater(theirs["boot"]["now_s"], ours["boot"]["now_s"])
            for document in ours, theirs:       # what moves while one looks
                for name in "now_s", "loop", "memory_bytes":
                    self.assertTrue(document["boot"].pop(name))
                for node in document["stages"] + document["services"]:
                    if node["pid"]:
                        node.pop("duration_s", None), node.pop("uptime_s", None), node.pop("resources", None)
            self.assertEqual(ours, theirs)

            self.assertEqual(ours["boot"]["events"], sum(ours["boot"]["events_by_level"].values()))
            self.assertGreaterEqual(ours["boot"]["events_by_level"]["warning"], 1)
            self.assertEqual(ours["boot"]["children"], 5)       # told, reth, the API's two, the TPM's owner
            self.assertEqual((ours["disk"], ours["clock"]), (None, {"synchronised": False}))
            self.assertEqual(ours["measurements"], {"platform": "plain"})
            self.assertEqual(ours["versions"], {"gantry": ours["boot"]["version"], "kernel": os.uname().release, "image": None})
            reth, off = ours["services"]
            self.assertEqual((reth["restarts"], off["restarts"], off["uptime_s"], off["state"]), (1, 0, None, "disabled"))
            self.assertGreater(reth["ready_s"], 0)

    def test_name_and_version_of_the_image_are_told(self):
        with Pid1(boot([stage("one")], api=API), files={"image": "web 1.2.3\n"}) as pid1:
            pid1.wait("system-api", "listens on", kind="message")
            pid1.wait("gantry", "gantry 0.1.0, image web 1.2.3", kind="message")
            self.assertEqual(self.status(pid1)["versions"]["image"], {"name": "web", "version": "1.2.3"})
            self.assertIn('\ngantry_image_info{name="web",version="1.2.3"} 1\n', self.get(pid1, "/metrics")[1])
        for wrong in ("web\n", "web 1.2.3\nmore\n", f"{'w' * 64} 1\n", "we\x1bb 1\n"):
            with Pid1(boot([stage("one")]), files={"image": wrong}) as pid1:
                self.assertRegex(pid1.wait("gantry", "gantry 0.1.0", kind="message").text, "^gantry 0.1.0$", wrong)

    def test_the_status_names_the_certificate_that_clients_see(self):
        with Pid1(boot([stage("one")], api=API)) as pid1:
            pid1.wait("system-api", "listens on", kind="message")
            self.get(pid1, "/livez")
            seen = pid1.inside("sh", "-c", "openssl s_client -connect 127.0.0.1:3535 </dev/null 2>/dev/null | "
                                           "openssl x509 -outform DER | sha256sum").stdout.split()[0]
            told = self.status(pid1)["api"]
            self.assertEqual(told["certificate_sha256"], seen)
            self.assertAlmostEqual(told["certificate_end_s"], time.time() + 365 * 86400 - 3600, delta=600)
        with Pid1(boot([stage("one")])) as pid1:
            pid1.wait("gantry", "booted")
            self.assertEqual(self.status(pid1)["api"], {"certificate_sha256": None, "certificate_end_s": None})

    def test_pid_1_s_figures_are_the_kernel_s(self):
        with Pid1(boot([stage("one")])) as pid1:
            pid1.wait("gantry", "booted")
            self.status(pid1)
            figures = self.status(pid1)["boot"]
            with open(f"/proc/{pid1.pid}/status", encoding="ascii") as file:
                resident = int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) << 10
            self.assertLess(abs(figures["memory_bytes"] - resident), 256 << 10)
            loop = figures["loop"]
            turns = [bucket["turns"] for bucket in loop["buckets"]]
            self.assertEqual(turns, sorted(turns))
            self.assertEqual(turns[-1], loop["turns"])
            self.assertGreater(loop["turns"], 3)
            self.assertTrue(0 < loop["longest_s"] <= loop["sum_s"] <= figures["now_s"] - figures["started_s"], loop)

    # ---- metrics

    def test_metrics_are_prometheus_and_say_what_the_status_says(self):
        with Pid1(self.machine()) as pid1:
            self.settled(pid1)
            head, body = self.get(pid1, "/metrics")
            status = self.status(pid1)
        self.assertIn("text/plain; version=0.0.4; charset=utf-8", head)
        got = samples(body)

        def value(name, **labels):
            return got.get((f"gantry_{name}", tuple(labels.items())))
        for kind, nodes in ("stage", status["stages"]), ("service", status["services"]):
            for node in nodes:
                self.assertEqual([value(f"{kind}_state", **{kind: node["name"]}, state=state) for state in STATES],
                                 [float(state == node["state"]) for state in STATES], node)
        for node in status["stages"]:
            self.assertEqual(value("stage_attempts_total", stage=node["name"]), node["attempts"])
            duration = value("stage_duration_seconds", stage=node["name"])
            if node["duration_s"] is None:
                self.assertIsNone(duration)
            else:
                self.assertAlmostEqual(duration, node["duration_s"], delta=2 * PATIENCE if node["pid"] else 1e-5)
        self.assertEqual(value("stage_state", stage="bad", state="failed"), 1)
        self.assertEqual(value("stage_state", stage="behind", state="blocked"), 1)
        self.assertEqual(value("service_restarts_total", service="reth"), 1)
        self.assertAlmostEqual(value("service_uptime_seconds", service="reth"), status["services"][0]["uptime_s"],
                               delta=2 * PATIENCE)
        self.assertEqual(value("service_uptime_seconds", service="off"), 0)
        self.assertEqual((value("stage_progress_bytes", stage="told"), value("stage_progress_total_bytes", stage="told")),
                         (10, 40))
        self.assertEqual(sum(name == "gantry_stage_progress_bytes" for name, _ in got), 1)
        for level, n in status["boot"]["events_by_level"].items():
            self.assertEqual(value("events_total", level=level), n)
        self.assertEqual(value("messages_dropped_total"), 0)
        self.assertEqual([value("boot_state", state=s) for s in ("booting", "booted", "held", "stopping")], [0, 1, 0, 0])
        self.assertAlmostEqual(value("boot_duration_seconds"), status["boot"]["ended_s"] - status["boot"]["started_s"], 5)
        self.assertEqual(value("build_info", **{"version": status["versions"]["gantry"],
                                                "kernel": status["versions"]["kernel"]}), 1)
        self.assertAlmostEqual(value("pid1_resident_memory_bytes"), status["boot"]["memory_bytes"], delta=256 << 10)
        self.assertEqual(value("pid1_children"), 5)
        buckets = [n for (name, _), n in got.items() if name == "gantry_pid1_turn_seconds_bucket"]
        self.assertEqual((len(buckets), buckets), (8, sorted(buckets)))
        self.assertEqual(buckets[-1], value("pid1_turn_seconds_count"))
        self.assertLessEqual(buckets[-1], status["boot"]["loop"]["turns"])
        self.assertLessEqual(value("pid1_turn_longest_seconds"), status["boot"]["loop"]["longest_s"] + 1e-6)
        self.assertIsNone(value("clock_offset_seconds"))
        self.assertIsNone(value("disk_wait_seconds"))
        promtool(self, body)


class FakeTest(unittest.TestCase):
    """With a PID 1 that says what no real one would."""

    def started(self, nodes, **more):
        api = Api()
        api.nodes = nodes
        for name, value in more.items():
            setattr(api, name, value)
        api.start()
        self.addCleanup(api.kill)
        return api

    def test_disk_and_clock_are_in_both(self):
        pcr = b"0123456789" * 6 + b"abcd"
        api = self.started([
            (b"disk", b"disk", 0, 4, b"", b"device=/dev/sdc\0size_bytes=1099511627776\0rule=lun 10\0model=Virtual Disk\0"
             b"serial=600224\0wait_s=4.250\0luks_uuid=6f0e0d5e-1\0opened_by=tpm2\0formatted=false\0"
             b"filesystem=ext4\0mount=/persistent\0"),
            (b"network", b"network", 0, 4, b"lost: no IPv4 address on eth0", b"interface=eth0\0up=0\0"),
            (b"clock", b"clock", 0, 4, b"", b"synchronised=true\0offset_s=-0.000012345\0stratum=3\0source=10.0.0.1\0"),
            (b"measure", b"measure", 0, 4, b"", b"platform=azure\0pcr4=" + pcr + b"\0mrtd=" + b"1" * 96 + b"\0")])
        status = json.loads(api.request("/api/v1/status").body)
        jsonschema.validate(status, schema())
        self.assertEqual(status["disk"], {
            "device": "/dev/sdc", "size_bytes": 1 << 40, "rule": "lun 10", "model": "Virtual Disk", "serial": "600224",
            "wait_s": 4.25, "luks_uuid": "6f0e0d5e-1", "opened_by": "tpm2", "formatted": False, "filesystem": "ext4",
            "mount": "/persistent"})
        self.assertEqual(status["clock"], {"synchronised": True, "offset_s": -0.000012345, "stratum": 3, "source": "10.0.0.1"})
        self.assertEqual(status["measurements"], {"platform": "azure", "pcr4": pcr.decode(), "mrtd": "1" * 96})
        got = samples(api.request("/metrics").body.decode())
        self.assertEqual(got["gantry_disk_wait_seconds", ()], 4.25)
        self.assertEqual(got["gantry_clock_offset_seconds", ()], -0.000012345)
        self.assertEqual(got["gantry_network_up", ()], 0)
        self.assertEqual(got["gantry_pid1_turn_seconds_sum", ()], 0.25)

    def test_nothing_that_is_told_breaks_the_format(self):
        evil = b'a"} 1\nb\\"{x="'
        api = self.started([(evil, b"exec", 0, 9, evil, b""), (b"\xff\x00", b"exec", 1, 9, b"", b""),
                            (b"disk", b"disk", 0, 4, b"", b"wait_s=1\nup 1\0"),
                            (b"clock", b"clock", 0, 4, b"", b"offset_s=nan\0")], certificate=b"")
        body = api.request("/metrics").body.decode()
        got = samples(body)
        self.assertEqual(got["gantry_stage_state", (("stage", 'a\\"} 1 b\\\\\\"{x=\\"'), ("state", "failed"))], 1)
        self.assertEqual(got["gantry_service_state", (("service", "\ufffd"), ("state", "failed"))], 1)
        self.assertNotIn(("gantry_disk_wait_seconds", ()), got)
        self.assertNotIn(("gantry_clock_offset_seconds", ()), got)
        self.assertNotIn("up", {name for name, _ in got})
        promtool(self, body)

    def test_a_pid_1_of_another_making_is_a_503(self):
        api = self.started([(b"one", b"exec", 0, 4, b"", b"no field\0")])
        for path in "/metrics", "/api/v1/status":
            r = api.request(path)
            self.assertEqual((r.status, json.loads(r.body)["code"]), (503, 503), path)
        api.nodes = [(b"one", b"exec", 0, 4, b"", b"")]
        self.assertEqual(api.request("/metrics").status, 200)

    def test_the_role_tells_its_certificate_once(self):
        api = self.started([])
        wait_for(lambda: len(api.certificate) == 64, "the certificate is told")
        told = json.loads(api.request("/api/v1/status").body)["api"]
        self.assertEqual(told, {"certificate_sha256": api.certificate.decode(), "certificate_end_s": api.certificate_end_s})
        self.assertIn(f"gantry_api_certificate_end_timestamp_seconds {api.certificate_end_s}",
                      api.request("/metrics").body.decode())


if __name__ == "__main__":
    unittest.main()
