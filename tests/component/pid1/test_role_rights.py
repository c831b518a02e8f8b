# SPDX-License-Identifier: GPL-2.0-or-later
"""What the short roles of root may do: each is stopped where it reports, since nobody reads that, and looked at; and an attacker
takes its place there. docs/rights.md is the specification."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import intruder  # noqa: E402
from patience import PATIENCE  # noqa: E402
import support  # noqa: E402
from pid1 import INIT  # noqa: E402
from qemu.accounts import ACCOUNTS  # noqa: E402

CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, SYS_ADMIN = (1 << n for n in (0, 1, 2, 3, 4, 21))
MS_BIND = 0x1000
SENDMSG = "46"
SECCOMP_FILTER = "2"


def memfd(content):
    fd = os.memfd_create("options", os.MFD_ALLOW_SEALING)
    os.write(fd, json.dumps(content).encode())
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 0xf)
    return fd


class Role:
    """A role with a report socket that is full, options, and descriptor 5."""

    def __init__(self, *arguments, options, payload, within=()):
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            while theirs.send(bytes(64), socket.MSG_DONTWAIT):
                pass
        except BlockingIOError:
            pass
        fds = [os.open("/dev/null", os.O_RDWR), theirs.fileno(), memfd(options), payload]
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
        places = " ".join(f"{to}<&{fd}" for to, fd in zip((0, 3, 4, 5), high))
        close = " ".join(f"{fd}<&-" for fd in high)
        self.process = subprocess.Popen(["bash", "-c", f'exec "$@" {places} {close}', "role", *within, INIT, *arguments],
                                        pass_fds=high)
        for fd in (*high, fds[0], fds[2]):
            os.close(fd)
        theirs.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.ours.close()

    def status(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)

    def waits_in(self):
        """The number of the system call."""
        with open(f"/proc/{self.process.pid}/syscall", encoding="ascii") as file:
            return file.read().split()[0]

    def confined(self):
        """Its status once it waits with its filter in force."""
        end = time.monotonic() + 20 * PATIENCE
        while (status := self.status())["Seccomp"] != SECCOMP_FILTER or status["State"][0] != "S":
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"it does not wait in its filter: {status}")
            time.sleep(0.01)
        return status


class RoleRights(unittest.TestCase):
    def setUp(self):
        support._with_accounts()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def assert_rights(self, status, capabilities, uid="0"):
        self.assertEqual([int(status[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")],
                         [capabilities, capabilities, 0, 0])
        self.assertEqual(int(status["CapBnd"], 16) & ~capabilities if uid == "0" else 0, 0)
        self.assertEqual((status["NoNewPrivs"], status["Uid"].split("\t")), ("1", [uid] * 4))

    def test_steps_change_owner_and_mode_and_nothing_else(self):
        options = [{"path": f"{self.folder}/none", "mode": "0600"}]
        with Role("steps", options=options, payload=0) as role:
            self.assert_rights(role.confined(), CHOWN | DAC_OVERRIDE | FOWNER | FSETID)
            attacker = intruder.Intruder(role.process.pid)
            self.assertEqual(attacker.error(intruder.RENAME, "/etc/passwd", "/etc/other"), "EPERM")
            for path, flags in (("/etc/passwd", os.O_WRONLY), ("/proc/1/environ", os.O_RDONLY),
                                (f"{self.folder}/new", os.O_CREAT)):
                self.assertEqual(attacker.error(intruder.OPEN, path, flags, 0), "EACCES", path)
            self.assertEqual(attacker.error(intruder.OPEN, "/etc/passwd", os.O_RDONLY, 0), "")
            self.assertEqual(attacker.error(intruder.EXECVE, "/bin/true", 0, 0), "SIGSYS")

    def test_one_that_stores_writes_in_its_folder_alone(self):
        payload = memfd("text")
        self.addCleanup(os.close, payload)
        options = {"listen": "127.0.0.1:3535", "tls_hosts": ["localhost"], "connections": 16, "connections_per_address": 4,
                   "before_unlock": "events", "password_hash": "sha256", "tls_create": True,
                   "uploads": [{"name": "x", "path": f"{self.folder}/missing/file", "max_bytes": 100}]}
        with Role("api-store", "upload", "x", options=options, payload=payload) as role:
            self.assert_rights(role.confined(), DAC_OVERRIDE | FOWNER)
            attacker = intruder.Intruder(role.process.pid)
            self.assertEqual(attacker.error(intruder.OPEN, "/etc/passwd", os.O_RDONLY, 0), "EACCES")
            self.assertEqual(attacker.error(intruder.OPEN, f"{self.folder}/x", os.O_WRONLY | os.O_CREAT, 0), "EACCES")
            self.assertEqual(attacker.error(intruder.KILL, 1, 0), "EPERM")

    def test_one_that_reads_a_log_is_no_root_and_opens_nothing(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        open(f"{self.folder}/events.log", "w", encoding="ascii").close()
        with Role("api-store", "log", options={"directory": self.folder}, payload=theirs.fileno()) as role:
            theirs.close()
            self.assert_rights(role.confined(), 0, uid="900")
            attacker = intruder.Intruder(role.process.pid)
            self.assertEqual(attacker.error(intruder.OPEN, "/etc/passwd", os.O_RDONLY, 0), "SIGSYS")

    def test_one_that_awaits_a_path_looks_into_every_folder_and_opens_nothing(self):
        """Also where its user has no right, as for a service with a folder of its own."""
        os.mkdir(f"{self.folder}/own", 0o700)
        os.chown(f"{self.folder}/own", 3123, 3123)
        with Role("await", "path", f"{self.folder}/own/there", "", options={}, payload=0) as role:
            self.assert_rights(role.confined(), DAC_READ_SEARCH, uid=str(ACCOUNTS["gantry-await"]))
            open(f"{self.folder}/own/there", "w", encoding="ascii").close()
            self.assertEqual(role.process.wait(20 * PATIENCE), 0)
        with Role("await", "path", f"{self.folder}/own/never", "", options={}, payload=0) as role:
            role.confined()
            attacker = intruder.Intruder(role.process.pid)
            self.assertEqual(attacker.error(intruder.OPEN, "/etc/passwd", os.O_RDONLY, 0), "EPERM")
            self.assertEqual(attacker.error(intruder.SOCKET, socket.AF_INET, socket.SOCK_STREAM, 0), "EPERM")
            self.assertEqual(attacker.error(intruder.KILL, 1, 0), "EPERM")

    def test_one_that_awaits_a_port_has_no_capability_and_opens_no_file(self):
        os.chmod(self.folder, 0o755)
        open(f"{self.folder}/cgroup.procs", "w", encoding="ascii").close()
        with Role("await", "tcp", "127.0.0.1", "1", self.folder, options={}, payload=0) as role:
            self.assert_rights(role.confined(), 0, uid=str(ACCOUNTS["gantry-await"]))
            attacker = intruder.Intruder(role.process.pid)
            for path, flags in (("/etc/passwd", os.O_RDONLY), ("/proc/1/mem", os.O_RDONLY), ("/proc", os.O_DIRECTORY),
                                ("/proc/net/tcp", os.O_RDONLY), (f"{self.folder}/cgroup.procs", os.O_RDONLY)):
                self.assertEqual(attacker.error(intruder.OPENAT, intruder.AT_FDCWD, path, flags), "EACCES", path)
            self.assertEqual(attacker.error(intruder.OPENAT, intruder.AT_FDCWD, self.folder, os.O_DIRECTORY), "")
            self.assertEqual(attacker.error(intruder.SOCKET, socket.AF_NETLINK, socket.SOCK_RAW, 0), "EPERM")
            self.assertEqual(attacker.error(intruder.SOCKET, socket.AF_UNIX, socket.SOCK_DGRAM, 0), "EPERM")
            self.assertEqual(attacker.error(intruder.KILL, 1, 0), "EPERM")

    def launched(self, **more):
        """What a launcher may when it cannot read a service's file, as a set of bits."""
        service = {"name": "x", "command": ["/bin/true"], "user": "nobody", "directory": "/", "umask": "0022",
                   "no_new_privs": True, "environment_file": f"{self.folder}/none", **more}
        with Role("launch", "x", options=service, payload=0) as role:
            end = time.monotonic() + 20 * PATIENCE
            while role.status()["State"][0] != "S":
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
            status = role.status()
            self.assertEqual(status["CapPrm"], status["CapEff"])
            return {bit for bit in range(64) if int(status["CapPrm"], 16) >> bit & 1}

    def test_a_launcher_has_what_its_service_s_keys_need_and_no_more(self):
        base = {2, 6, 7, 8}             # DAC_READ_SEARCH, SETGID, SETUID, SETPCAP
        with open("/proc/self/status", encoding="ascii") as file:
            here, = (int(line.split()[1], 16) for line in file if line.startswith("CapPrm"))
        resource = {24} if here >> 24 & 1 else set()        # a container may lack SYS_RESOURCE
        self.assertEqual(self.launched(), base)
        self.assertEqual(self.launched(user="root", no_new_privs=False), base)
        self.assertEqual(self.launched(user="root", capabilities=["NET_RAW"]), base | {13})
        self.assertEqual(self.launched(nice=5, oom_score_adj=-500, limits={"nofile": 1024}), base | {23} | resource)
        self.assertEqual(self.launched(private_tmp=True, capabilities=["SYS_TIME"]), base | {21, 25})
        self.assertEqual(self.launched(before_start=[{"directory": f"{self.folder}/made", "user": "nobody"}]), base)
        self.assertEqual(os.stat(f"{self.folder}/made").st_uid, 65534)

    def test_a_launcher_that_makes_files_has_what_that_needs(self):
        """While it works on a step; a path that cannot be is reported then."""
        self.assertEqual(self.launched(before_start=[{"directory": f"{self.folder}/{300 * 'x'}"}]),
                         {0, 1, 2, 3, 4, 6, 7, 8, 18, 21})

    def test_the_teardown_unmounts_and_nothing_else(self):
        """In a mount namespace of its own, where it reports what it has unmounted."""
        for number, arguments, says in (
                (intruder.SOCKET, (socket.AF_INET, socket.SOCK_STREAM, 0), "SIGSYS"),
                (intruder.EXECVE, ("/bin/true", 0, 0), "SIGSYS"),
                (intruder.MOUNT, ("tmpfs", "/mnt", "tmpfs", 0, 0), "EPERM"),
                (intruder.MOUNT, ("/", "/mnt", 0, MS_BIND, 0), "EPERM"),
                (intruder.CLONE, (intruder.NEWUSER, 0), "EPERM"), (intruder.RENAME, ("/etc/passwd", "/etc/other"), "EPERM")):
            with Role("teardown", options={}, payload=0, within=("unshare", "--mount")) as role:
                end = time.monotonic() + 20 * PATIENCE
                while role.waits_in() != SENDMSG:       # before that it waits for its children
                    self.assertLess(time.monotonic(), end)
                    time.sleep(0.01)
                self.assert_rights(role.confined(), DAC_READ_SEARCH | SYS_ADMIN)
                self.assertEqual(intruder.Intruder(role.process.pid).error(number, *arguments), says, (number, arguments))


if __name__ == "__main__":
    unittest.main()
