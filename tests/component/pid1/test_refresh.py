# SPDX-License-Identifier: GPL-2.0-or-later
"""A change of the configuration on a machine that runs: the real PID 1 and its stages, the emulated hub in its network."""

import copy
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import unittest

import jsonschema

from fake_control import wait_for
from machine import Answer
from patience import PATIENCE
from pid1 import REPO, Pid1, boot, service, stage
from test_status import promtool, samples, schema

HUB = """
import json, sys
sys.path.insert(0, sys.argv[1])
from qemu.peers.hub import Hub
hub = Hub("127.0.0.1", 8443, 880)
hub.start()
for line in sys.stdin:
    for name, value in json.loads(line).items():
        setattr(hub, name, value.encode() if name == "document" and isinstance(value, str) else value)
    print("done", flush=True)
"""

# As a daemon that reads its file again on SIGHUP: it says which it has read, and is ready once it can be told.
DAEMON = r"""
say() { echo "$1 $(cat /t/%s.conf)" >> /t/%s.log; }
trap 'say hup' HUP
say start
touch /t/%s.up
while :; do sleep 1000 & wait $!; done
"""

DOCUMENT = {"alpha": {"word": "a1"}, "beta": {"word": "b1"}, "gamma": {"word": "c1", "enabled": True}}


def daemon(name, **more):
    return service(name, DAEMON % (name, name, name), needs=["render"], ready={"path": f"/t/{name}.up"},
                   before_start=[{"remove": f"/t/{name}.up"}], **more)


def on_change(name, action):
    return {"files": [f"/t/{name}.conf"], "action": action}


def files(*names):
    return {"files": [{"template": f"/t/{name}.mustache", "path": f"/t/{name}.conf"} for name in names]}


class Machine(Pid1):
    """Three services with a rendered file each; `hub` sets what the hub serves."""

    def __init__(self, services=None, refresh=None, render=None, templates=None, **more):
        names = ("alpha", "beta", "gamma")
        text = {f"{name}.mustache": f"{{{{{name}.word}}}}" for name in names}
        super().__init__(boot(
            [{"name": "config", "type": "config", "retry": {"min_s": 0.1, "max_s": 0.2},
              "options": {"url": "http://127.0.0.1:880/api/l1-builder/v1/configuration"}},
             {"name": "measure", "type": "measure", "needs": ["config"], "options": {"target": "none"}},
             *(render or [{"name": "render", "type": "render", "needs": ["config", "measure"], "options": files(*names),
                           "retry": {"min_s": 0.1, "max_s": 0.2, "limit": 2}}])],
            services if services is not None else [
                daemon("alpha", on_change=on_change("alpha", "signal")),
                daemon("beta", on_change=on_change("beta", "restart")),
                daemon("gamma", on_change=on_change("gamma", "none"))],
            refresh={"stage": "config", "every_s": 0, **(refresh or {})}, **more), files={**text, **(templates or {})})
        self.wait("gantry", "gantry", kind="message")
        self.peer = subprocess.Popen(["nsenter", "-t", str(self.pid), "-n", sys.executable, "-c", HUB, REPO],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.document = copy.deepcopy(DOCUMENT)

    def __exit__(self, kind, *rest):
        self.peer.kill()
        self.peer.wait()
        self.peer.stdin.close()
        self.peer.stdout.close()
        super().__exit__(kind, *rest)

    def hub(self, **settings):
        self.peer.stdin.write(json.dumps(settings) + "\n")
        self.peer.stdin.flush()
        if self.peer.stdout.readline() != "done\n":
            raise AssertionError("the hub has gone")

    def serve(self, **words):
        """Changes words of the document and serves it."""
        for name, value in words.items():
            self.document[name].update(value if isinstance(value, dict) else {"word": value})
        self.hub(document=self.document)

    def booted(self):
        self.serve()
        self.wait("gantry", "booted")
        return self

    def refresh(self, outcome=0):
        r = self.ctl("refresh")
        if r.returncode != outcome:
            raise AssertionError(f"gantryctl refresh: {r}")
        return (r.stdout if outcome == 0 else r.stderr).strip()

    def status(self):
        return {s["name"]: s for s in json.loads(self.ctl("status", "--json").stdout)["services"]}

    def pids(self):
        return {name: s["pid"] for name, s in self.status().items()}

    def log(self, name):
        return self.read(f"{name}.log").split("\n")[:-1]


class Change(unittest.TestCase):
    def test_of_three_services_exactly_the_one_whose_file_changed_is_told(self):
        with Machine().booted() as pid1:
            before = pid1.pids()
            pid1.serve(alpha="a2")
            self.assertEqual(pid1.refresh(), "configuration refreshed, 1 files changed")
            wait_for(lambda: pid1.log("alpha") == ["start a1", "hup a2"], "alpha has read its file again")
            self.assertEqual(pid1.pids(), before)
            pid1.serve(beta="b2")
            self.assertEqual(pid1.refresh(), "configuration refreshed, 1 files changed")
            wait_for(lambda: pid1.log("beta") == ["start b1", "start b2"], "beta runs again")
            after = pid1.pids()
            self.assertNotEqual(after.pop("beta"), before.pop("beta"))
            self.assertEqual(after, before)
            pid1.serve(gamma="c2")
            self.assertEqual(pid1.refresh(), "configuration refreshed, 1 files changed")
            self.assertEqual(pid1.read("gamma.conf"), "c2")
            self.assertEqual((pid1.log("alpha"), pid1.log("beta"), pid1.log("gamma")),
                             (["start a1", "hup a2"], ["start b1", "start b2"], ["start c1"]))
            after = pid1.pids()
            after.pop("beta")
            self.assertEqual(after, before)

    def test_files_that_do_not_change_are_not_touched(self):
        with Machine().booted() as pid1:
            before = {n: os.stat(os.path.join(pid1.shared, f"{n}.conf")) for n in ("alpha", "beta", "gamma")}
            pid1.serve(alpha="a2", beta="b2")
            pid1.refresh()
            changed = [n for n, st in before.items() if os.stat(os.path.join(pid1.shared, f"{n}.conf")).st_ino != st.st_ino]
            self.assertEqual(changed, ["alpha", "beta"])

    def test_the_same_document_does_nothing_and_one_that_changes_no_file_tells_nobody(self):
        with Machine().booted() as pid1:
            before = pid1.pids()
            self.assertEqual(pid1.refresh(), "configuration is unchanged")
            self.assertEqual(pid1.find("measure", "refresh", kind="message"), [])
            pid1.serve(alpha={"unused": 1})
            self.assertEqual(pid1.refresh(), "configuration refreshed, 0 files changed")
            self.assertEqual(pid1.refresh(), "configuration is unchanged")
            self.assertEqual(pid1.pids(), before)
            self.assertEqual(pid1.log("alpha"), ["start a1"])

    def test_it_is_checked_then_measured_then_applied(self):
        with Machine().booted() as pid1:
            pid1.serve(alpha="a2")
            pid1.refresh()
            lines = [e.source + " " + e.text for e in pid1.events if e.text.startswith("refresh, ")]
            self.assertEqual([re.sub(":.*", "", line) for line in lines],
                             ["config refresh, fetch", "render refresh, check", "measure refresh, measure",
                              "render refresh, apply"])

    def test_a_service_that_is_not_ready_gets_its_signal_once_it_is(self):
        slow = DAEMON.replace("trap ", "echo waits >> /t/alpha.log; read line < /t/gate; trap ") % (("alpha",) * 3)
        with Machine(services=[service("alpha", slow, needs=["render"], ready={"path": "/t/alpha.up"}, required=False,
                                       on_change=on_change("alpha", "signal"))]) as pid1:
            os.mkfifo(os.path.join(pid1.shared, "gate"))
            pid1.serve()
            wait_for(lambda: os.path.exists(os.path.join(pid1.shared, "alpha.log")) and pid1.log("alpha"), "alpha waits")
            before = pid1.pids()
            pid1.serve(alpha="a2")
            pid1.refresh()
            with open(os.path.join(pid1.shared, "gate"), "w", encoding="ascii") as gate:
                gate.write("go\n")
            wait_for(lambda: pid1.log("alpha") == ["waits", "start a2", "hup a2"], "alpha was told")
            self.assertEqual(pid1.pids(), before)


class Refusal(unittest.TestCase):
    """What goes wrong changes nothing, and says why."""

    def stays(self, pid1, why, before):
        self.assertRegex(pid1.refresh(1), "^refresh failed, keeping the current configuration: " + why)
        self.assertEqual(pid1.pids(), before)
        self.assertEqual([pid1.read(f"{n}.conf") for n in ("alpha", "beta", "gamma")], ["a1", "b1", "c1"])

    def test_a_bad_document_keeps_the_old_one_and_says_why(self):
        with Machine().booted() as pid1:
            before = pid1.pids()
            for document, why in (("{", ""), ("[]", ""), ('{"a":1,"a":2}', ".*twice"), ("", ""),
                                  ('{"a":"' + "x" * (1 << 20) + '"}', "longer than 1048576 bytes")):
                pid1.hub(document=document)
                self.stays(pid1, "config: configuration refused: " + why, before)
            pid1.hub(allowed=False)
            self.stays(pid1, r"config: hub refused this node \(403\): not allowed yet", before)
            pid1.hub(allowed=True)
            pid1.serve(beta="b2")
            pid1.refresh()
            wait_for(lambda: pid1.log("beta") == ["start b1", "start b2"], "the next good one is used")

    def test_a_template_that_fails_leaves_every_file_of_every_stage(self):
        render = [{"name": "first", "type": "render", "needs": ["config"], "options": files("alpha", "beta")},
                  {"name": "render", "type": "render", "needs": ["first"], "options": files("gamma")}]
        with Machine(render=render).booted() as pid1:
            before = pid1.pids()
            pid1.serve(alpha="a2", beta="b2", gamma="c\u0007")     # no text for a file
            self.stays(pid1, r"render: /t/gamma\.mustache:1", before)
            self.assertEqual(pid1.find("first", "refresh, apply", kind="message"), [])
            self.assertEqual([n for n in os.listdir(pid1.shared) if n.endswith("-new")], [])

    def test_a_folder_that_has_gone_is_found_before_anything_is_written(self):
        render = [{"name": "render", "type": "render", "needs": ["made"], "options": {"files": [
            {"template": "/t/alpha.mustache", "path": "/t/alpha.conf"}, {"template": "/t/beta.mustache", "path": "/t/beta.conf"},
            {"template": "/t/gamma.mustache", "path": "/t/gamma.conf"}, {"template": "/t/alpha.mustache", "path": "/t/deep/x"}]}},
            stage("made", "mkdir /t/deep", needs=["config"])]
        with Machine(render=render).booted() as pid1:
            before = pid1.pids()
            os.remove(os.path.join(pid1.shared, "deep", "x"))
            os.rmdir(os.path.join(pid1.shared, "deep"))
            pid1.serve(alpha="a2")
            self.stays(pid1, "render: /t/deep/x: No such file or directory", before)
            self.assertEqual([e for e in pid1.events if e.text.startswith(("refresh, measure", "refresh, apply"))], [])

    def test_a_stage_that_cannot_write_puts_back_what_others_wrote(self):
        """The file that blocks the second stage's temporary name is a folder: check mode cannot see it coming."""
        render = [{"name": "first", "type": "render", "needs": ["config"], "options": files("alpha", "beta")},
                  {"name": "render", "type": "render", "needs": ["first"], "options": files("gamma")}]
        with Machine(render=render).booted() as pid1:
            before = pid1.pids()
            os.mkdir(os.path.join(pid1.shared, "gamma.conf.gantry-new"))
            pid1.serve(alpha="a2", beta="b2", gamma="c2")
            self.stays(pid1, r"render: /t/gamma\.conf: ", before)
            self.assertEqual(len(pid1.find("first", "refresh, apply", kind="message")), 1)
            self.assertEqual((pid1.log("alpha"), pid1.log("beta")), (["start a1"], ["start b1"]))
            os.rmdir(os.path.join(pid1.shared, "gamma.conf.gantry-new"))
            self.assertEqual(pid1.refresh(), "configuration refreshed, 3 files changed")

    def test_before_the_boot_has_its_configuration_there_is_no_refresh(self):
        with Machine() as pid1:
            pid1.hub(allowed=False)
            pid1.wait("config", "retrying")
            self.assertEqual(pid1.refresh(1), "gantryctl: refresh: the boot has not used its configuration yet")
            pid1.hub(allowed=True)
            pid1.booted()
            self.assertEqual(pid1.refresh(), "configuration is unchanged")

    def test_without_the_object_there_is_no_refresh(self):
        with Pid1(boot([stage("one")])) as pid1:
            pid1.wait("gantry", "booted")
            r = pid1.ctl("refresh")
            self.assertEqual((r.returncode, r.stderr), (1, 'gantryctl: refresh: boot.json has no "refresh"\n'))


class Secrets(unittest.TestCase):
    def kept(self, pid1):
        """{name: bytes} of the memory files that PID 1 has open."""
        found, folder = {}, f"/proc/{pid1.pid}/fd"
        for fd in os.listdir(folder):
            link = os.readlink(os.path.join(folder, fd))
            if link.startswith("/memfd:"):
                with open(os.path.join(folder, fd), "rb") as file:
                    found[link.split(":")[1].split(" ")[0]] = file.read()
        return found

    def test_neither_the_disk_s_key_nor_the_whole_document_is_kept_in_pid_1(self):
        with Machine() as pid1:
            pid1.document["disk_encryption"] = {"key": "TheDiskKey", "recovery": "TheRecoveryKey"}
            pid1.booted()
            for word in ("a2", "a3"):
                kept = self.kept(pid1)
                self.assertEqual([name for name, text in kept.items() if b"TheDiskKey" in text or b"TheRecovery" in text], [])
                self.assertEqual(sorted(n for n in kept if n.startswith("config")), ["config-digest", "config-without-keys"])
                pid1.serve(alpha=word)
                pid1.refresh()
                self.assertIn(word.encode(), self.kept(pid1)["config-without-keys"])


class EnabledIf(unittest.TestCase):
    def machine(self, **more):
        return Machine(services=[daemon("alpha"), daemon("gamma", enabled_if="gamma.enabled", **more)])

    def gamma(self, pid1):
        return pid1.status()["gamma"]

    def test_it_starts_when_it_turns_true_and_stops_when_it_turns_false(self):
        with self.machine() as pid1:
            pid1.serve(gamma={"enabled": False})
            pid1.wait("gantry", "booted")
            self.assertEqual([self.gamma(pid1)[k] for k in ("state", "reason", "pid")],
                             ["disabled", "gamma.enabled is false", None])
            alpha = pid1.pids()["alpha"]
            for count in range(1, 3):
                pid1.serve(gamma={"enabled": True})
                pid1.refresh()
                pid1.wait("gamma", "ready", count=count)
                pid1.serve(gamma={"enabled": False})
                pid1.refresh()
                pid1.wait("gamma", "disabled", count=count + 1)
                self.assertEqual(self.gamma(pid1)["reason"], "gamma.enabled is false")
            self.assertEqual(pid1.pids()["alpha"], alpha)
            self.assertEqual(pid1.log("gamma"), ["start c1", "start c1"])

    def test_only_true_is_true(self):
        neither, absent = "is neither true nor false", "is not in the configuration"
        for value, why in (("true", neither), (1, neither), (None, neither), ({}, neither), (..., absent)):
            with self.subTest(value=value), self.machine() as pid1:
                pid1.document["gamma"]["enabled"] = value
                if value is ...:
                    del pid1.document["gamma"]["enabled"]
                pid1.booted()
                self.assertEqual([self.gamma(pid1)[k] for k in ("state", "reason")], ["disabled", "gamma.enabled " + why])
                pid1.wait("gamma", "not enabled: gamma.enabled " + why, kind="message")

    def test_a_key_that_goes_away_stops_the_service(self):
        with self.machine().booted() as pid1:
            self.assertEqual(self.gamma(pid1)["state"], "ready")
            del pid1.document["gamma"]["enabled"]
            pid1.serve()
            pid1.refresh()
            pid1.wait("gamma", "disabled")
            self.assertEqual(self.gamma(pid1)["reason"], "gamma.enabled is not in the configuration")

    def test_a_refused_document_switches_nothing(self):
        with self.machine().booted() as pid1:
            pid1.serve(gamma={"enabled": False}, alpha="a\u0007")
            self.assertIn("keeping the current configuration: render: ", pid1.refresh(1))
            self.assertEqual(self.gamma(pid1)["state"], "ready")

    def test_what_is_done_by_hand_stays(self):
        with self.machine().booted() as pid1:
            pid1.ctl("stop", "gamma")
            pid1.wait("gamma", "stopped")
            pid1.serve(gamma={"enabled": False})
            pid1.refresh()
            pid1.serve(gamma={"enabled": True})
            pid1.refresh()
            self.assertEqual(self.gamma(pid1)["state"], "stopped")
            pid1.ctl("start", "gamma")
            pid1.wait("gamma", "ready", count=2)
            pid1.serve(gamma={"enabled": False})
            pid1.refresh()
            pid1.wait("gamma", "disabled")
            pid1.ctl("start", "gamma")
            pid1.wait("gamma", "ready", count=3)
            pid1.serve(alpha="a2")
            pid1.refresh()
            self.assertEqual(self.gamma(pid1)["state"], "ready")


class Held(unittest.TestCase):
    def test_a_boot_that_is_held_by_a_bad_document_is_mended_by_a_good_one(self):
        with Machine() as pid1:
            pid1.serve(gamma="c\u0007")
            pid1.wait("gantry", "held")
            pid1.serve(gamma="c1")
            pid1.refresh()
            pid1.wait("gantry", "booted")
            self.assertEqual(pid1.read("gamma.conf"), "c1")


class Timer(unittest.TestCase):
    def test_it_comes_by_itself_and_a_reason_is_told_once(self):
        with Machine(refresh={"every_s": 0.3, "jitter": 0.2}).booted() as pid1:
            pid1.serve(alpha="a2")
            wait_for(lambda: pid1.log("alpha") == ["start a1", "hup a2"], "the timer's refresh")
            pid1.hub(allowed=False)
            pid1.wait("gantry", "refresh failed", kind="message", count=3)
            told = pid1.find("gantry", "refresh failed", kind="message")
            self.assertEqual([e.level for e in told[:3]], ["warning", "debug", "debug"])
            # each further failure doubles the wait
            self.assertGreater(told[2].time - told[1].time, 1.3 * (told[1].time - told[0].time))
            pid1.hub(document="{", allowed=True)
            pid1.wait("gantry", "refresh failed, keeping the current configuration: config: configuration refused",
                      kind="message")
            self.assertEqual(len([e for e in pid1.find("gantry", "refresh failed", kind="message")
                                  if e.level == "warning"]), 2)


class Api(unittest.TestCase):
    def curl(self, pid1, name):
        r = pid1.inside("curl", "-sS", "-k", "-i", "--http1.1", "--max-time", "60",
                        f"https://127.0.0.1:3535/api/v1/actions/{name}", timeout=90)
        self.assertEqual(r.returncode, 0, r.stderr)
        return Answer(r.stdout)

    def test_the_verb_is_answered_when_the_refresh_is_over(self):
        api = {"listen": "127.0.0.1:3535", "actions": [{"name": "fetch_config", "verb": "@refresh-config"}]}
        with Machine(api=api).booted() as pid1:
            pid1.wait("system-api", "listens on", kind="message")
            wait_for(lambda: self.curl(pid1, "nothing").status != 503, "the api is unlocked")
            pid1.serve(alpha="a2")
            r = self.curl(pid1, "fetch_config")
            self.assertEqual((r.status, r.json()), (200, {"message": "Action executed successfully"}))
            self.assertEqual(pid1.read("alpha.conf"), "a2")
            pid1.hub(allowed=False)
            r = self.curl(pid1, "fetch_config")
            self.assertEqual((r.status, r.json()["message"]), (500, "Failed to execute action: fetch_config - error: "
                                                                    "config: hub refused this node (403): not allowed yet"))
            wait_for(lambda: pid1.find("gantry", "refresh failed", kind="message"), "the event")


class Visible(unittest.TestCase):
    """What the status, /metrics and gantryctl's table say of it."""

    def look(self, pid1):
        """(the status' `refresh`, gantryctl's line), and both documents and the metrics agree with each other."""
        document = json.loads(pid1.ctl("status", "--json").stdout)
        jsonschema.validate(document, schema())
        refresh, now = document["refresh"], document["boot"]["now_s"]
        self.assertEqual(json.loads(self.get(pid1, "/api/v1/status"))["refresh"], refresh)
        body = self.get(pid1, "/metrics")
        promtool(self, body)
        found = {(name, *(value for _, value in labels)): n for (name, labels), n in samples(body).items() if "_refresh_" in name}
        self.assertEqual({result: found.pop(("gantry_refresh_runs_total", result)) for result in refresh["runs"]},
                         refresh["runs"])
        self.assertAlmostEqual(found.pop(("gantry_refresh_success_age_seconds",)), now - refresh["success_s"], delta=5 * PATIENCE)
        if refresh["next_s"] is not None:
            self.assertAlmostEqual(found.pop(("gantry_refresh_next_seconds",)), refresh["next_s"] - now, delta=5 * PATIENCE)
        self.assertEqual(found, {})
        return refresh, next(line for line in pid1.ctl("status").stdout.splitlines() if line.startswith("configuration: "))

    def get(self, pid1, path):
        r = pid1.inside("curl", "-sS", "-k", "-f", f"https://127.0.0.1:3535{path}", timeout=30)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def test_how_each_ended_what_is_in_use_and_when_the_next_begins(self):
        def digest():
            return hashlib.sha256(json.dumps(pid1.document, indent=1).encode()).hexdigest()

        with Machine(api={"listen": "127.0.0.1:3535"}, refresh={"every_s": 3000, "jitter": 0}).booted() as pid1:
            pid1.wait("system-api", "listens on", kind="message")
            boot_s = pid1.find("config", "done")[0].time
            now, line = self.look(pid1)
            self.assertAlmostEqual(now.pop("success_s"), boot_s, delta=0.5 * PATIENCE)
            self.assertAlmostEqual(now.pop("next_s"), 3000 + pid1.find("render", "done")[0].time, delta=PATIENCE)
            self.assertEqual(now, {"state": "idle", "sha256": digest(), "ended_s": None, "result": None, "reason": "",
                                   "runs": {"changed": 0, "unchanged": 0, "failed": 0}})
            self.assertRegex(line, rf"^configuration: {digest()[:12]}, up to date \d+ s ago; the next in \d+ s$")

            pid1.refresh()
            now, line = self.look(pid1)
            self.assertGreater(now["ended_s"], boot_s)
            self.assertEqual((now["result"], now["success_s"], now["sha256"]), ("unchanged", now["ended_s"], digest()))
            self.assertAlmostEqual(now["next_s"], now["ended_s"] + 3000, delta=0.1)
            self.assertRegex(line, r", up to date \d+ s ago; refresh unchanged \d+ s ago; the next in \d+ s$")

            pid1.serve(alpha="a2")
            pid1.refresh()
            good, _ = self.look(pid1)
            used = digest()
            self.assertEqual((good["result"], good["sha256"], good["runs"]),
                             ("changed", used, {"changed": 1, "unchanged": 1, "failed": 0}))

            pid1.serve(alpha="a\u0007")         # fetched, and no text for a file
            pid1.refresh(1)
            now, _ = self.look(pid1)
            self.assertRegex(now["reason"], r"^render: /t/alpha\.mustache:1")
            self.assertEqual((now["result"], now["sha256"], now["success_s"]), ("failed", used, good["success_s"]))

            pid1.peer.send_signal(signal.SIGSTOP)
            asked = subprocess.Popen(["nsenter", "-t", str(pid1.pid), "-p", "-m", "-r", "-w", "/opt/gantryctl", "refresh"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for(lambda: '"state":"fetch"' in pid1.ctl("status", "--json").stdout, "it runs")
            now, line = self.look(pid1)
            self.assertIsNone(now["next_s"])
            self.assertRegex(line, "; refresh failed .*; now: fetch$")
            pid1.peer.send_signal(signal.SIGCONT)
            self.assertEqual(asked.wait(20 * PATIENCE), 1)

            pid1.hub(allowed=False)
            pid1.refresh(1)
            now, line = self.look(pid1)
            why = "config: hub refused this node (403): not allowed yet"
            self.assertEqual((now["state"], now["result"], now["reason"], now["sha256"], now["success_s"], now["runs"]),
                             ("idle", "failed", why, used, good["success_s"], {"changed": 1, "unchanged": 1, "failed": 3}))
            self.assertAlmostEqual(now["next_s"], now["ended_s"] + 3600, delta=0.1)
            self.assertRegex(line, rf"; refresh failed \d+ s ago: {re.escape(why)}; the next in \d+ s$")

    def test_where_there_are_none_there_is_nothing(self):
        with Pid1(boot([stage("one")], api={"listen": "127.0.0.1:3535"})) as pid1:
            pid1.wait("system-api", "listens on", kind="message")
            self.assertIsNone(json.loads(self.get(pid1, "/api/v1/status"))["refresh"])
            self.assertNotIn("\ngantry_refresh", self.get(pid1, "/metrics"))
            self.assertNotIn("configuration:", pid1.ctl("status").stdout)


if __name__ == "__main__":
    unittest.main()
