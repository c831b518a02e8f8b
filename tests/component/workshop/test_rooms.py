# SPDX-License-Identifier: GPL-2.0-or-later
"""`make lint-rooms`: each violation of the tables in docs/architecture.md is found in a small tree that has only that one."""

import os
import subprocess
import sys
import unittest

from support import temporary_folder

LINT = os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 3, ".ci", "lint-rooms")
PAGE = """<!-- subjects-since: %s -->
| room | promise | may include | lines, budget |
|---|---|---|---|
| `init/lib` | ground | | 1,0%d0 |
| `init/top` | above | `lib` | 40 |
| `init/main.c` | the roles | `all` | 40 |
| `stages/lib` | shared | | 40 |
| `stages/one` | a stage | `lib` | 40 |
| `stages/two` | a stage | `lib` | 40 |
"""
GOOD = {
    "init/main.c": '#include "init/top/top.h"\nint main(void) { return top(); }\n',
    "init/lib/ground.h": "int ground(void);\n",
    "init/lib/ground.c": '#include "ground.h"\nint ground(void) { return 0; }\n',
    "init/top/top.h": "int top(void);\n",
    "init/top/top.c": '#include "init/lib/ground.h"\n#include "top.h"\nint top(void) { return ground(); }\n',
    "stages/lib/shared.h": "int shared(void);\n",
    "stages/lib/shared.c": '#include "shared.h"\nint shared(void) { return 0; }\n',
    "stages/one/one.c": '#include "stages/lib/shared.h"\nint one(void) { return shared(); }\n',
    "stages/two/two.c": '#include "stages/lib/shared.h"\nint two(void) { return shared(); }\n',
}


class Rooms(unittest.TestCase):
    def lint(self, changes, since="0" * 40, tens=1):
        """(status, output) over the good tree with these files in place of others, or None for one that is missing."""
        self.folder = getattr(self, "folder", None) or temporary_folder(self)
        files = {"docs/architecture.md": PAGE % (since, tens), "include/gantry/meet.h": "", **GOOD, **changes}
        for path, text in files.items():
            place = os.path.join(self.folder, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            if text is not None:
                with open(place, "w", encoding="utf-8") as file:
                    file.write(text)
        for path in [path for path, text in files.items() if text and path.endswith(".c")]:
            out = os.path.join(self.folder, "build/obj", path[:-1] + "o")
            os.makedirs(os.path.dirname(out), exist_ok=True)
            subprocess.run(["gcc", "-c", "-w", "-I.", "-Iinclude", "-o", out, path], cwd=self.folder, check=True)
        done = subprocess.run([sys.executable, LINT], cwd=self.folder, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def refused(self, why, changes, **options):
        status, output = self.lint(changes, **options)
        self.assertEqual(1, status, output)
        self.assertIn(why, output)

    def test_a_tree_that_keeps_the_rules_passes_and_its_lines_are_printed(self):
        status, output = self.lint({})
        self.assertEqual(0, status, output)
        self.assertIn("init/lib 3/1010", output)

    def test_an_include_of_a_room_above_is_refused(self):
        self.refused("init/lib may not include init/top", {"init/lib/ground.h": '#include "init/top/top.h"\nint ground(void);\n'})

    def test_a_call_into_a_room_above_is_refused_where_no_include_shows_it(self):
        self.refused("init/lib may not call into init/top/top.c", {
            "init/lib/ground.c": "extern int top(void);\nint ground(void) { return top(); }\n"})

    def test_what_include_gantry_declares_may_be_called_by_all(self):
        status, output = self.lint({
            "include/gantry/meet.h": "int one(void);\n",
            "init/top/top.c": '#include <gantry/meet.h>\n#include "top.h"\nint top(void) { return one(); }\n'})
        self.assertEqual(0, status, output)

    def test_a_circle_of_calls_inside_a_room_is_refused(self):
        self.refused("init/top: these modules call each other: other top", {
            "init/top/other.c": '#include "top.h"\nint other(void) { return top(); }\n',
            "init/top/top.c": '#include "top.h"\nint other(void);\nint top(void) { return other(); }\n'})

    def test_a_file_outside_the_rooms_is_refused(self):
        self.refused("init/stray.c: init is not a room", {"init/stray.c": "int stray;\n"})

    def test_an_include_that_is_neither_a_bare_name_nor_a_path_from_the_top_is_refused(self):
        self.refused("includes ../lib/nothing.h", {
            "init/top/top.h": '#ifdef NEVER\n#include "../lib/nothing.h"\n#endif\nint top(void);\n'})

    def test_a_shared_module_that_one_room_uses_is_refused(self):
        self.refused("stages/lib/shared: a module of stages/lib is for 2 rooms or more", {"stages/two/two.c": "int two;\n"})

    def test_a_room_over_its_budget_is_refused(self):
        self.refused("init/top: 41 lines, its budget is 40", {"init/top/top.h": "\n" * 37 + "int top(void);\n"})

    def test_a_room_without_files_is_refused(self):
        self.lint({})
        os.remove(os.path.join(self.folder, "stages/one/one.c"))
        status, output = self.lint({"stages/one/one.c": None})
        self.assertEqual(1, status, output)
        self.assertIn("room stages/one has no file", output)

    def test_a_long_commit_subject_is_refused_since_the_rule(self):
        def git(*words):
            return subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=self.folder, check=True,
                                  capture_output=True, text=True).stdout.strip()
        self.lint({})
        git("init", "-q")
        git("commit", "-q", "--allow-empty", "-m", "x" * 90)
        since = git("rev-parse", "HEAD")
        git("commit", "-q", "--allow-empty", "-m", "y" * 72)
        status, output = self.lint({}, since=since)
        self.assertEqual(0, status, output)
        git("commit", "-q", "--allow-empty", "-m", "z" * 73)
        self.refused("this one 73: zzz", {}, since=since)


if __name__ == "__main__":
    unittest.main()
