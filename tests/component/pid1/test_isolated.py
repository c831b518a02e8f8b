# SPDX-License-Identifier: GPL-2.0-or-later
"""A service of root without SYS_ADMIN: what of the machine belongs to uid 0 and needs no capability is not in its view."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pid1 import TRY_EACH, Pid1, boot, service  # noqa: E402

# Each line it says is a thing to try and the error that came, or "done".
TRIES = r"""
import os, resource, signal, socket, sys
def write(path, text=""):
    fd = os.open(path, os.O_WRONLY)
    if text:
        os.write(fd, text.encode())
    os.close(fd)
def connect(path, kind):
    with socket.socket(socket.AF_UNIX, kind) as s:
        s.connect(path)
other = int(open("/t/other").read())
TRIES = {
    "disk": lambda: write("/dev/vda"), "ttyS0": lambda: write("/dev/ttyS0"), "kept": lambda: write("/dev/given/kept"),
    "kept device": lambda: write("/dev/given/null", "x"), "new in kept": lambda: open("/dev/given/new", "w"),
    "null": lambda: write("/dev/null", "x"), "shm": lambda: open("/dev/shm/x", "w"), "ptmx": lambda: os.openpty(),
    "stdout": lambda: os.readlink("/dev/stdout"), "urandom": lambda: open("/dev/urandom", "rb").read(1),
    "cgroup.kill of another": lambda: write("/sys/fs/cgroup/gantry/other/cgroup.kill", "1"),
    "core_pattern": lambda: write("/proc/sys/kernel/core_pattern"), "sysrq": lambda: write("/proc/sysrq-trigger"),
    "forwarding": lambda: write("/proc/sys/net/ipv4/ip_forward"), "comm": lambda: write("/proc/self/comm", "name"),
    "limits of PID 1": lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, resource.prlimit(1, resource.RLIMIT_NOFILE)),
    "its own limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)),
    "oom score of PID 1": lambda: write("/proc/1/oom_score_adj", "0"),
    "control": lambda: connect("/run/gantry/control", socket.SOCK_SEQPACKET),
    "control through PID 1": lambda: connect("/proc/1/root/run/gantry/control", socket.SOCK_SEQPACKET),
    "events": lambda: connect("/run/gantry/events", socket.SOCK_DGRAM),
    "rename /run/gantry": lambda: os.rename("/run/gantry", "/run/elsewhere"),
    "unlink events": lambda: os.unlink("/run/gantry/events"),
    "kill 1": lambda: os.kill(1, signal.SIGSEGV), "kill other": lambda: os.kill(other, signal.SIGKILL),
    "kill itself": lambda: os.kill(os.getpid(), 0), "descriptors of PID 1": lambda: os.readlink("/proc/1/fd/0"),
}
""" + TRY_EACH
MAY = {"null", "shm", "ptmx", "stdout", "urandom", "its own limits", "events", "kill itself"}
OTHER = service("other", "echo $$ > /t/other; exec sleep 1000", ready={"path": "/t/other"})
DISK = {"name": "make", "type": "exec", "options": {"command": ["/bin/sh", "-c", (
    "mkdir /dev/given && touch /dev/vda /dev/ttyS0 /dev/given/kept /dev/given/null && "
    "mount --bind /dev/null /dev/given/null && chmod 600 /dev/vda")]}}


def attacker(**more):
    return service("tries", "exec python3 /t/tries.py", ready={"exit": True}, restart={"policy": "never"},
                   needs=["other", "make"], **more)


class Isolated(unittest.TestCase):
    def done(self, config=None, **more):
        with Pid1(boot([DISK], [OTHER, attacker(**more)], **(config or {})), files={"tries.py": TRIES}) as gantry:
            gantry.wait("gantry", "booted")
            said = dict(line.split(": ") for line in gantry.read("said").splitlines())
            self.assertEqual(gantry.states("other")[-1], "ready")
            self.said = said
            return {name for name, how in said.items() if how == "done"}

    def test_it_has_only_what_any_program_may_use(self):
        self.assertEqual(self.done(capabilities=[]), MAY)
        self.assertEqual(self.said["kill 1"], "Operation not permitted")
        self.assertEqual(self.said["core_pattern"], "Read-only file system")
        self.assertEqual(self.said["disk"], "No such file or directory")

    def test_beside_other_confinement_it_is_the_same(self):
        self.assertEqual(self.done(capabilities=["NET_BIND_SERVICE"], read_only=["/etc", "/usr"], private_tmp=True,
                                   seccomp="default"), MAY)

    def test_what_it_keeps_it_has(self):
        keep = ["/dev/given/kept", "/dev/missing", "/proc/sys/kernel", "/run/gantry/control"]
        kept = {"kept", "new in kept", "control", "core_pattern", "forwarding"}
        self.assertEqual(self.done(capabilities=["NET_ADMIN"], keep=keep), MAY | kept)

    def test_of_a_folder_that_it_keeps_it_has_the_devices_that_are_there(self):
        self.assertEqual(self.done(capabilities=["DAC_OVERRIDE"], keep=["/dev/given"]), MAY | {"kept device"})
        self.assertEqual(self.said["new in kept"], "Read-only file system")

    def test_a_configuration_that_keeps_services_as_they_are_takes_nothing(self):
        look = service("look", "test -e /dev/vda && test -w /proc/sys/kernel/core_pattern && "
                       "/opt/gantryctl status > /t/status", ready={"exit": True}, needs=["make"], capabilities=[])
        with Pid1(boot([DISK], [look], hardening={"keep": ["services"]})) as gantry:
            gantry.wait("look", "done")

    def test_the_check_says_what_is_taken_and_from_whom(self):
        config = boot([DISK], [OTHER, attacker(capabilities=[]), service("full"), service("user", user="reth", capabilities=[])],
                      users=[{"name": "reth", "uid": 1001, "gid": 1001}])
        with Pid1(config) as gantry:
            gantry.wait("gantry", "gantry", kind="message")
            said = gantry.ctl("check", "/t/boot.json").stdout.splitlines()
        self.assertEqual(said[0], "/t/boot.json: ok")
        self.assertEqual([line.split()[0] for line in said[1:]], ['"tries"'])


if __name__ == "__main__":
    unittest.main()
