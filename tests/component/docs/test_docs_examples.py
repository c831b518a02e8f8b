# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands in docs/system-api.md, in their order, as somebody who reads it would type them, against a machine that has
the page's own configuration: each works, and what the page shows below it is what comes."""

import json
import os
import re
import unittest

from fake_control import REPO
from pid1 import boot, service, stage
from machine import Machine, api
from test_api_bootlog import NEWER, event

COMMANDS = ("curl", "openssl")


def read():
    with open(os.path.join(REPO, "docs", "system-api.md"), encoding="utf-8") as file:
        return file.read()


def blocks(page):
    """The indented blocks, each a list of lines without the indent."""
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", page, re.M)
    return [[line[4:] for line in block.strip("\n").split("\n")] for block in found if block.strip()]


def examples(page):
    """[command, what is shown below it] of those commands that the page runs on a machine's API."""
    found = []
    for lines in blocks(page):
        at_command = False
        for line in lines:
            if line.startswith(COMMANDS):
                found.append([line, ""])
                at_command = True
            elif at_command:
                found[-1][1] += line + "\n"
    return found


def pattern(shown):
    """A regular expression for what is shown, without white space: numbers are others each time, and `...` is anything."""
    shown = re.sub(r"^: heartbeat$", "", shown, flags=re.M)
    text = re.escape(re.sub(r"\s+", "", shown)).replace(r"\.\.\.", ".*")
    return re.sub(r"\d+", r"\\d+", text)


class Examples(unittest.TestCase):
    def test_every_command_of_the_page_works_and_answers_what_the_page_shows(self):
        page = read()
        given = next(lines for lines in blocks(page) if lines[0].startswith('"actions"'))
        config = json.loads("{" + "\n".join(given) + "}")
        for action in config["actions"]:
            if "command" in action:         # the build root has no logrotate, and here it has to fail
                action["command"] = ["/bin/sh", "-c", "echo 'error: cannot rotate' >&2; exit 1"]
        disk = stage("disk", "until [ -e /t/go ]; do sleep 0.02; done; "
                     "mkdir -p /persistent/rbuilder; echo '{\"blocked\":[]}' > /list.json; echo opened")
        log = {"directory": "/t", "max_bytes": 1 << 20, "needs": []}
        with Machine(boot([disk], [service("rbuilder", needs=["disk"])], log=log, api=api(needs=["disk"], **config)),
                     files={"events.log": NEWER + event(4, "no key", level="error")}) as machine:
            machine.wait("gantry", "unclean: previous boot", kind="message")    # then the newest notice is the page's
            machine.write("go", "")
            machine.unlocked()
            machine.wait("gantry", "booted")
            found = examples(page)
            self.assertGreater(len(found), 12)
            closed = False
            for command, shown in found:
                runs = command.replace("MACHINE", "127.0.0.1").replace("curl ", "timeout 2 curl -sS ")
                if closed and "-u " not in command and shown != '{"code":401,"message":"Unauthorized"}\n':
                    runs = runs.replace("curl ", "curl -u 'admin:correct horse' ")
                r = machine.inside("sh", "-c", runs)
                self.assertEqual((r.returncode in (0, 124), r.stderr), (True, ""), command)
                if "> " not in command:
                    self.assertTrue(r.stdout, command)
                said = re.sub(r"\s+", "", r.stdout)
                self.assertTrue(re.search(pattern(shown), said), f"{command} says {r.stdout}, not {shown}")
                self.assertTrue("Unauthorized" not in r.stdout or "Unauthorized" in shown, command)
                closed |= "set-basic-auth" in command


if __name__ == "__main__":
    unittest.main()
