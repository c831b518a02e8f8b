# SPDX-License-Identifier: GPL-2.0-or-later
"""The real PID 1 with its API and things that the API may do; requests are curl's, from inside PID 1's namespaces."""

import hashlib
import json
import os
import time

from fake_control import wait_for
from pid1 import Pid1, boot, service

SALT = "bb36ef0b6643"
URL = "https://127.0.0.1:3535"
ACTIONS = [
    {"name": "echo_test", "command": ["/bin/sh", "-c", "echo done >> /t/echoed"]},
    {"name": "fails", "command": ["/bin/sh", "-c", "echo first; echo 'no such <thing>' >&2; exit 3"]},
    {"name": "dies", "command": ["/bin/sh", "-c", "kill -9 $$"]},
    {"name": "missing", "command": ["/usr/bin/not-there"]},
    {"name": "hangs", "command": ["/bin/sh", "-c", "setsid sleep 1000 & echo $! > /t/hung; wait"], "deadline_s": 1},
    {"name": "waits", "command": ["/bin/sh", "-c", "read line < /t/gate"]},
    {"name": "as_reth", "command": ["/bin/sh", "-c", "id -un > /t/who; pwd >> /t/who; echo $COLOUR >> /t/who"], "user": "reth",
     "directory": "/tmp", "environment": {"COLOUR": "blue"}},
    {"name": "svc_restart", "verb": "@restart svc"},
    {"name": "svc_stop", "verb": "@stop svc"},
    {"name": "svc_start", "verb": "@start svc"},
]
UPLOADS = [{"name": "blocklist", "path": "/t/list.json", "max_bytes": 200000}, {"name": "nowhere", "path": "/t/no/such/file"}]


def api(**more):
    return {"listen": "127.0.0.1:3535", "tls_hosts": ["localhost", "127.0.0.1"], "password_file": "/t/secret",
            "password_salt": SALT, "actions": ACTIONS, "uploads": UPLOADS, **more}


def stored(password, salt=SALT):
    return hashlib.sha256(password.encode() + salt.encode()).hexdigest()


class Answer:
    def __init__(self, raw):
        head, _, self.body = raw.partition("\n\n")      # in text mode there is no carriage return
        while self.body.startswith("HTTP/"):        # after 100 Continue
            head, _, self.body = self.body.partition("\n\n")
        lines = head.split("\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}

    def json(self):
        return json.loads(self.body)


class Machine(Pid1):
    def __init__(self, config=None, files=None, devices=(), **api_more):
        users = [{"name": "reth", "uid": 1001, "gid": 1001}]
        super().__init__({"users": users, **(config or boot([], [service("svc")], api=api(**api_more)))}, files=files,
                         devices=devices)
        self.wait("gantry", "gantry", kind="message")       # it runs
        os.mkfifo(os.path.join(self.shared, "gate"))
        os.chmod(os.path.join(self.shared, "gate"), 0o666)

    def path(self, name):
        return os.path.join(self.shared, name)

    def curl(self, path, *options):
        def ask():
            return self.inside("curl", "-sS", "-k", "-i", "--http1.1", "--max-time", "60", *options, URL + path, timeout=90)
        r = ask()
        for _ in range(100):
            if r.returncode != 7:       # refused: it does not listen yet
                break
            time.sleep(0.1)
            r = ask()
        if r.returncode != 0:
            raise AssertionError(f"curl {path}: {r.stderr}")
        return Answer(r.stdout)

    def unlocked(self):
        """The role knows what is stored: an act gets its own answer."""
        wait_for(lambda: self.curl("/api/v1/actions/nothing").status != 503, "the api is unlocked")
        return self

    def messages(self, *options):
        return [e["message"] for e in self.curl("/api/v1/events", *options).json()]
