# SPDX-License-Identifier: GPL-2.0-or-later
"""Gantry as PID 1 of namespaces of its own: the real binary, the real loop, no virtual machine.

The root is a tmpfs with the build root's /usr below it, /t is a folder shared with the test, the console is a pipe.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import sanitizer
from patience import PATIENCE

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, REPO)
from qemu.accounts import group_lines, passwd_lines  # noqa: E402
INIT = os.environ.get("GANTRY_INIT", os.path.join(REPO, "build", "init"))

SETUP = r"""
set -e
R=$1
mount --make-rprivate /
mount -t tmpfs root "$R"
cd "$R"
mkdir usr dev proc sys run tmp etc etc/gantry t var persistent
mount --rbind /usr usr
for d in bin sbin lib lib64; do ln -s usr/$d $d; done
mount -t tmpfs dev dev
for d in null zero full urandom random $4; do : > dev/$d; mount --bind /dev/$d dev/$d; done
mkdir dev/pts dev/shm
cp "$2" init; chmod 755 init
for n in poweroff reboot halt gantryctl; do ln -s /init run/$n; done
mkdir opt; for n in poweroff reboot halt gantryctl dhcp-hook; do ln -s /init opt/$n; done
mount --bind "$3" t
cp t/boot.json etc/gantry/boot.json
if [ -e t/image ]; then cp t/image etc/gantry/image; fi
printf 'root:x:0:0::/:/bin/sh\nreth:x:1001:1001::/:/bin/false\n%s' "$5" > etc/passwd
printf 'root:x:0:\nreth:x:1001:\neth:x:1002:reth\n%s' "$6" > etc/group
exec chroot "$R" /init
"""

LINE = re.compile(r"\[\s*(\d+\.\d+)\] (\w+) (\S+) (state|progress|message): ?(.*)")


CGROUPS = "/tmp/gantry-cgroup2"

# The end of a Python program that runs in a service: what came of each of its TRIES is in /t/said.
TRY_EACH = r"""
with open("/t/said.new", "w") as said:
    for name, try_ in TRIES.items():
        try:
            try_()
            print(name, "done", sep=": ", file=said)
        except OSError as error:
            print(name, error.strerror, sep=": ", file=said)
os.rename("/t/said.new", "/t/said")
"""


def cgroup_of_our_own(name):
    """A cgroup v2 for one test, so that tests side by side do not stop each other's services; None: there is none."""
    os.makedirs(CGROUPS, exist_ok=True)
    if not os.path.ismount(CGROUPS):
        subprocess.run(["mount", "-t", "cgroup2", "none", CGROUPS], check=False, capture_output=True)
    path = os.path.join(CGROUPS, name)
    try:
        os.mkdir(path)
    except OSError:
        return None
    return path


def remove_cgroup(path):
    """With what may still run in it."""
    for folder, _, _ in os.walk(path, topdown=False):
        for _ in range(50):
            try:
                os.rmdir(folder)
                break
            except OSError:
                with open(os.path.join(folder, "cgroup.kill"), "w", encoding="ascii") as file:
                    file.write("1")
                time.sleep(0.02)


class Event:
    def __init__(self, time, level, source, kind, text):
        self.time, self.level, self.source, self.kind, self.text = float(time), level, source, kind, text
        self.word = text.split(" ")[0]

    def __repr__(self):
        return f"[{self.time}] {self.level} {self.source} {self.kind}: {self.text}"


class Pid1:
    """Starts with `config` (a dict or the file's text), and more of the machine's `devices`; use as a context manager."""

    def __init__(self, config, wrap=(), files=None, devices=()):
        self.folder = tempfile.mkdtemp(prefix="pid1-")
        self.shared = os.path.join(self.folder, "t")
        self.root = os.path.join(self.folder, "root")
        os.mkdir(self.shared)
        os.mkdir(self.root)
        os.chmod(self.folder, 0o755)
        os.chmod(self.shared, 0o777)
        for name, content in (files or {}).items():
            self.write(name, content)
        self.write("boot.json", config if isinstance(config, str) else json.dumps(config))
        self.events, self.lines = [], []
        self.changed = threading.Condition()
        self.closed = False
        self.cgroup = cgroup_of_our_own(os.path.basename(self.folder))
        join = f"echo $$ > {self.cgroup}/cgroup.procs && " if self.cgroup else ""
        self.process = subprocess.Popen(
            [*wrap, "sh", "-c", join + 'exec "$@"', "join", "unshare", "--fork", "--kill-child", "--pid",
             "--mount", "--net", "--uts", "--ipc", "--cgroup", "sh", "-c", SETUP, "setup", self.root, INIT, self.shared,
             " ".join(devices), passwd_lines(), group_lines()],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.process.stdout.close()
        if self.cgroup:
            remove_cgroup(self.cgroup)
        if kind:
            print("console:", *self.lines[-60:], sep="\n  ")
        shutil.rmtree(self.folder, ignore_errors=True)
        sanitizer.check(self.lines)

    def _read(self):
        for raw in self.process.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            found = LINE.search(line)
            with self.changed:
                self.lines.append(line)
                if found:
                    self.events.append(Event(*found.groups()))
                self.changed.notify_all()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def write(self, name, content):
        path = os.path.join(self.shared, name)
        with open(path, "wb" if isinstance(content, bytes) else "w") as file:
            file.write(content)
        os.chmod(path, 0o755)

    def read(self, name):
        with open(os.path.join(self.shared, name), encoding="utf-8") as file:
            return file.read()

    def wait(self, source, word, kind="state", timeout=20, count=1, after=0.0):
        """The count-th event of source whose text starts with `word`."""
        end = time.monotonic() + timeout * PATIENCE
        with self.changed:
            while True:
                found = [e for e in self.events if e.source == source and e.kind == kind and e.time >= after
                         and e.text.startswith(word)]
                if len(found) >= count:
                    return found[count - 1]
                if self.closed or not self.changed.wait(max(0, end - time.monotonic())):
                    raise AssertionError(f"no {source} {kind} {word!r} (x{count}); last lines:\n" +
                                         "\n".join(self.lines[-40:]))

    def find(self, source, word="", kind="state"):
        return [e for e in self.events if e.source == source and e.kind == kind and e.text.startswith(word)]

    def states(self, source):
        return [e.word for e in self.events if e.source == source and e.kind == "state"]

    @property
    def pid(self):
        """PID 1, as this side of the namespace sees it."""
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(children, encoding="ascii") as file:
            return int(file.read().split()[0])

    def forkserver(self):
        """The process that forks for PID 1, as this side sees it; None: there is none. The kernel's list may lack one while
        others come and go, so one look is not enough."""
        for _ in range(20):
            with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
                for pid in file.read().split():
                    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="ascii") as name:
                        if name.read() == "forkserver\n":
                            return int(pid)
            time.sleep(0.005)
        return None

    def inside(self, *command, timeout=20, **more):
        """Runs a command in PID 1's namespaces and root."""
        return subprocess.run(["nsenter", "-t", str(self.pid), "-p", "-m", "-n", "-u", "-i", "-C", "-r", "-w",
                               *command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout * PATIENCE, **more)

    def ctl(self, *arguments):
        return self.inside("/opt/gantryctl", *arguments)

    def end(self, timeout=40):
        """Waits for the end of PID 1: "poweroff" or "reboot", as the kernel tells the namespace's parent."""
        status = self.process.wait(timeout * PATIENCE)
        self.reader.join(5)
        return {-signal.SIGINT: "poweroff", -signal.SIGHUP: "reboot"}.get(status, f"status {status}")


def stage(name, script="exit 0", **more):
    return {"name": name, "type": "exec", "options": {"command": ["/bin/sh", "-c", script]},
            "retry": {"min_s": 0.1, "max_s": 0.4, "limit": 3}, **more}


def service(name, script="exec sleep 1000", **more):
    return {"name": name, "command": ["/bin/sh", "-c", script], "restart": {"min_s": 0.1, "max_s": 0.8}, **more}


def boot(stages=(), services=(), **more):
    return {"stages": list(stages), "services": list(services), **more}
