# SPDX-License-Identifier: GPL-2.0-or-later
"""gantryctl, poweroff, reboot and halt as a person or the kernel runs them."""

import json
import os
import subprocess
import tempfile
import unittest

import fake_control
from fake_control import FakeControl, INIT
from patience import PATIENCE


class Ctl(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.control = FakeControl("", {})
        self.path = os.path.join(self.folder, "control")
        self.addCleanup(self.control.listen(self.path))
        self.acts = []

        def act(kind, body):
            self.acts.append((kind, body))
            return (-2, b"no such stage or service") if body == b"nothing" else (0, b"")
        self.control.act = act

    def run_as(self, *argv, name="gantryctl", **more):
        return subprocess.run([name, *argv], executable=INIT, env={"GANTRY_CONTROL": self.path}, capture_output=True,
                              text=True, timeout=20 * PATIENCE, **more)

    def test_status_is_a_table_and_a_json_document(self):
        r = self.run_as("status")
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        lines = r.stdout.splitlines()
        self.assertEqual(lines[0], "gantry 0.1.0 on testhost: booted (after 8.00 s, up 9 s)")
        self.assertRegex(lines[1], r"^NAME +TYPE +STATE +STARTED +TOOK +TRIES +PID +MEMORY +CPU +REASON$")
        self.assertEqual(len(lines), 202)
        status = json.loads(self.run_as("status", "--json").stdout)
        self.assertEqual(status["stages"][0]["name"], "node-0")

    def test_each_command_prints_its_usage_and_does_nothing(self):
        for command, usage in (("check", "check [--root DIR] FILE | --keys"), ("status", "status [--json]"), ("chart", "chart"),
                               ("poweroff", "poweroff [REASON]"), ("stop", "stop NAME")):
            for word in "--help", "-h":
                r = self.run_as(command, word)
                self.assertEqual((r.returncode, r.stderr, r.stdout.splitlines()[0]), (0, "", "usage: gantryctl " + usage))
        self.assertEqual(self.acts, [])
        r = self.run_as("post", "--help")       # a text like any other
        self.assertEqual((r.returncode, r.stdout), (0, ""))

    def test_as_a_login_shell_it_takes_a_line_of_words(self):
        self.assertEqual(self.run_as("-c", "  status --json ").stdout, self.run_as("status", "--json").stdout)
        r = self.run_as("-c", "start nothing")
        self.assertEqual((r.returncode, self.acts[-1][1]), (1, b"nothing"))
        r = self.run_as("-c", "/bin/sh -c id")
        self.assertEqual((r.returncode, r.stdout, r.stderr), (2, "", "gantryctl: /bin/sh: no such command; see gantryctl help\n"))
        r = self.run_as("-c", "words " * 1000)
        self.assertEqual((r.returncode, r.stdout), (2, ""))
        self.assertEqual(self.run_as("-c", "").stdout, self.run_as("help").stdout)
        self.assertEqual(self.run_as(name="-gantryctl").stdout, self.run_as("help").stdout)

    def test_chart_has_a_bar_for_each(self):
        r = self.run_as("chart")
        self.assertEqual((r.returncode, len(r.stdout.splitlines())), (0, 202))
        self.assertTrue(all(len(line) <= 100 for line in r.stdout.splitlines()[1:]))

    def test_events_are_console_lines_or_json(self):
        self.control.add("one", "disk")
        self.control.add("done", "disk", kind=1, fields=b"text=fine\0")
        self.assertEqual(self.run_as("events").stdout, "[    1.500000] info disk message: one\n"
                                                       "[    1.500000] info disk state: done text=fine\n")
        self.assertEqual(self.run_as("events", "--since", "2").stdout, "[    1.500000] info disk state: done text=fine\n")
        self.assertEqual([json.loads(line)["text"] for line in self.run_as("events", "--json").stdout.splitlines()],
                         ["one", "done"])
        self.assertEqual(self.run_as("events", "--nonsense").returncode, 2)

    def test_follow_shows_what_comes(self):
        self.control.add("before")
        process = subprocess.Popen(["gantryctl", "events", "-f"], executable=INIT, env={"GANTRY_CONTROL": self.path},
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.assertIn("before", process.stdout.readline())
        self.control.add("after")
        self.assertIn("after", process.stdout.readline())
        self.control.close()
        self.assertEqual(process.wait(10 * PATIENCE), 0)

    def test_start_stop_restart_and_post(self):
        for verb, kind in ("start", fake_control.START), ("stop", fake_control.STOP), ("restart", fake_control.RESTART):
            self.assertEqual(self.run_as(verb, "reth").returncode, 0)
            self.assertEqual(self.acts[-1], (kind, b"reth"))
        r = self.run_as("start", "nothing")
        self.assertEqual((r.returncode, r.stderr), (1, "gantryctl: nothing: no such stage or service\n"))
        self.assertEqual(self.run_as("start").returncode, 2)
        self.assertEqual(self.run_as("post", "two", "words").returncode, 0)
        self.assertEqual(self.control.posts[-1], (1, 0, b"two words"))

    def test_post_takes_a_level_an_object_and_cuts_what_is_too_long(self):
        def posted(*words):
            r = self.run_as("post", *words)
            self.assertEqual((r.returncode, r.stderr), (0, ""))
            return self.control.posts[-1]
        self.assertEqual(posted("<4>the disk is warm"), (3, 0, b"the disk is warm"))
        self.assertEqual(posted("<3>two", "words"), (4, 0, b"two words"))
        self.assertEqual(posted('{"message":"warm \\u00e9","level":"notice","fields":{"lun":10,"where":"rack 4"}}'),
                         (2, 0, "warm é\0lun=10\0where=rack 4".encode()))
        self.assertEqual(posted('{"message":"warm","lun":10}'), (1, 0, b'{"message":"warm","lun":10}'))
        self.assertEqual(posted("x" * 9000), (1, 0, b"x" * 1032))
        self.assertEqual(posted(json.dumps({"fields": {"a": "y" * 3000}, "message": "x" * 3000})),
                         (1, 0, b"x" * 1032 + b"\0a=" + b"y" * (2048 - 1032 - 3)))
        self.assertEqual(self.run_as("post").returncode, 2)

    def test_power_by_verb_and_by_name(self):
        for name, kind in (("poweroff", fake_control.POWEROFF), ("reboot", fake_control.REBOOT),
                           ("halt", fake_control.HALT)):
            self.assertEqual(self.run_as(name, "a", "reason").returncode, 0)
            self.assertEqual(self.acts[-1], (kind, b"a reason"))
            self.assertEqual(self.run_as("-w", "host", name=f"/sbin/{name}").returncode, 0)
            self.assertEqual(self.acts[-1], (kind, b"host"))

    def test_poweroff_works_without_any_open_descriptor(self):
        def close_all():
            os.closerange(0, 256)
        r = subprocess.run(["/sbin/poweroff"], executable=INIT, env={"GANTRY_CONTROL": self.path}, preexec_fn=close_all,
                           close_fds=False, timeout=20 * PATIENCE)
        self.assertEqual(r.returncode, 0)
        self.assertEqual(self.acts, [(fake_control.POWEROFF, b"")])

    def test_check_says_ok_or_the_place(self):
        path = os.path.join(self.folder, "boot.json")
        with open(path, "w") as f:
            f.write('{"hostname": "x", "stages": [], "services": []}')
        r = self.run_as("check", path)
        self.assertEqual((r.returncode, r.stdout), (0, f"{path}: ok\n"), r.stderr)
        with open(path, "w") as f:
            f.write('{\n"nonsense": 1}')
        r = self.run_as("check", path)
        self.assertEqual((r.returncode, r.stdout), (1, ""))
        self.assertRegex(r.stderr, r"boot.json:2: .*nonsense")
        self.assertEqual(self.run_as("check", path + "x").returncode, 1)

    def test_without_gantry_it_says_so(self):
        self.path += "-not"
        r = self.run_as("status")
        self.assertEqual(r.returncode, 1)
        self.assertIn("PID 1 of this system is not Gantry", r.stderr)

    def test_help_lists_every_command(self):
        r = self.run_as("help")
        self.assertEqual(r.returncode, 0)
        for word in "status events chart start stop restart post poweroff reboot halt check".split():
            self.assertIn(f"  {word} ", r.stdout)
        self.assertEqual(self.run_as("nonsense").returncode, 2)


if __name__ == "__main__":
    unittest.main()
