# SPDX-License-Identifier: GPL-2.0-or-later
"""What `make` makes of the variables that it is given: each reaches what it is for, and one that nothing reads is an error."""

import os
import re
import subprocess
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def make(*arguments):
    """The host's half of the Makefile, which prints what it would hand to the build root."""
    environment = {name: value for name, value in os.environ.items() if name not in ("GANTRY_INSIDE", "MAKEFLAGS", "MAKELEVEL")}
    return subprocess.run(["make", "-e", *arguments], cwd=TOP, capture_output=True, text=True, timeout=60,
                          env={**environment, "BUILDROOT": "echo PASS=$$GANTRY_PASS"})


class Variables(unittest.TestCase):
    def assert_refused(self, name, arguments, takes):
        refused = make(*arguments)
        self.assertNotEqual(refused.returncode, 0, arguments)
        self.assertIn(f"{name}: not a variable of ", refused.stderr)
        for word in takes:
            self.assertRegex(refused.stderr, rf"which takes .*\b{word}\b")
        self.assertNotIn("PASS=", refused.stdout)

    def test_one_that_a_target_does_not_take_is_refused_and_those_it_takes_are_named(self):
        self.assert_refused("BOOT", ["measurements", "BOOT=x"], ("KERNEL", "PINNED"))
        self.assert_refused("TIER", ["bench", "TIER=1", "N=1"], ("N", "ONLY"))
        self.assert_refused("T", ["run", "T=x"], ("EXIT", "DISK_AFTER", "FAULTS"))
        self.assert_refused("KYE", ["sign-policy", "KYE=x"], ("KEY", "VERSION"))
        self.assert_refused("DRY", ["security", "DRY=1"], ("MIRROR", "MIRROR_SECURITY", "KEYRING"))
        self.assert_refused("EXIT", ["EXIT=1"], ("V",))
        self.assert_refused("EXIT", ["clean", "EXIT=1"], ("V",))

    def test_a_target_that_does_not_exist_is_refused_before_the_build_root_is_made(self):
        refused = make("tset")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("tset: not a target; `make help` lists them", refused.stderr)
        self.assertNotIn("PASS=", refused.stdout)
        for target in "test", "lint", "lint-rooms", "build/init", "import-systemapi":
            self.assertNotIn("not a target", make("-n", target, "FILE=x" if target == "import-systemapi" else "V=1").stderr)

    def test_those_that_it_takes_are_passed_on(self):
        for arguments in (["run", "EXIT=1", "TIER=1", "GANTRY_SEED=4"], ["test", "T=unit/"], ["bench", "N=1", "ONLY=sizes"],
                          ["test", "bench", "T=x", "N=1"], ["image", "PINNED=1", "V=1"]):
            passed = make(*arguments)
            self.assertEqual(passed.returncode, 0, passed.stderr)
            given = {word.split("=")[0] for word in arguments if "=" in word}
            self.assertEqual(set(re.match(r"PASS=(.*?) make ", passed.stdout)[1].split()), given)

    def test_the_pins_are_moved_and_judged_on_the_host(self):
        for arguments, action in ((["update-deps", "DRY=1", "ONLY=sources"], "update"),
                                  (["security", "KEYRING=x", "MIRROR_SECURITY=y"], "security")):
            done = make(*arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, rf"^PASS=(ONLY DRY|DRY ONLY|) {action}$")

    def test_help_names_every_variable(self):
        with open(os.path.join(TOP, "Makefile"), encoding="utf-8") as file:
            taken = re.findall(r"^TAKES(?:_\S+)? := (.*)$", file.read(), re.M)
        text = make("help").stdout
        for name in " ".join(taken).split():
            self.assertRegex(text, rf"\b{name}=")


if __name__ == "__main__":
    unittest.main()
