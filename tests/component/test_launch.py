# SPDX-License-Identifier: GPL-2.0-or-later
"""The launch role for real: a report socket, a service object, and what the program then finds itself to be."""

import json
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import unittest

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INIT = os.environ.get("GANTRY_INIT", os.path.join(REPO, "build", "init"))

REPORT_RESULT, REPORT_STARTED = 3, 6
HEAD = struct.Struct("<HBBI")

PASSWD = "root:x:0:0::/:/bin/sh\nbroken:x::1001::/:/bin/false\nreth:x:1001:1001::/:/bin/false\n"
GROUP = "root:x:0:\nreth:x:1001:\neth:x:1002:reth\nlog:x:1003:\n"

# A mount namespace of its own: its accounts, an empty /run, and /t shared with the test.
SETUP = """
set -e
mount --make-rprivate /
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
mount -t tmpfs run /run
mount --bind "$1/t" /mnt
trap '' USR1
exec "$2" launch test
"""

# What a program can see of itself.
LOOK = r"""
import json, os, resource, signal
status = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
def files():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            pass        # the descriptor of the listing itself
    return found
mask = os.umask(0)
print(json.dumps({
    "uid": os.getresuid(), "gid": os.getresgid(), "groups": sorted(os.getgroups()), "environment": dict(os.environ),
    "directory": os.getcwd(), "umask": mask, "nice": os.getpriority(os.PRIO_PROCESS, 0), "fds": files(),
    "nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "core": resource.getrlimit(resource.RLIMIT_CORE),
    "session": os.getsid(0) == os.getpid(), "blocked": status["SigBlk"], "ignored": status["SigIgn"],
    "capabilities": status["CapEff"],
}))
"""


def has_users():
    """Other users can be become: not so in a user namespace with one uid."""
    with open("/proc/self/uid_map", encoding="ascii") as lines:
        return os.getuid() == 0 and any(int(line.split()[0]) + int(line.split()[2]) > 1003 for line in lines)


class Launched:
    def __init__(self, reports, output, status):
        self.reports, self.output, self.status = reports, output, status

    @property
    def reason(self):
        return next((text for kind, text in reversed(self.reports) if kind == REPORT_RESULT), None)

    @property
    def started(self):
        return any(kind == REPORT_STARTED for kind, _ in self.reports)


@unittest.skipUnless(os.path.exists(INIT), "no build/init")
@unittest.skipUnless(has_users(), "needs root with more than one uid")
class LaunchTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="launch-")
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder)
        self.shared = os.path.join(self.folder, "t")
        os.mkdir(self.shared)
        for name, text in (("passwd", PASSWD), ("group", GROUP)):
            with open(os.path.join(self.folder, name), "w", encoding="ascii") as f:
                f.write(text)

    def launch(self, service, **more):
        service = {"name": "test", **(service if isinstance(service, dict) else {"command": service}), **more}
        return self.launch_text(json.dumps(service))

    def launch_text(self, text):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        options = os.memfd_create("options")
        os.write(options, text.encode())
        other = os.open("/dev/zero", os.O_RDONLY)

        def place():
            # through high numbers, so that neither overwrites the other
            a, b = os.dup2(theirs.fileno(), 103), os.dup2(options, 104)
            os.dup2(a, 3), os.dup2(b, 4), os.dup2(other, 57, inheritable=True)
            os.close(a), os.close(b)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})

        process = subprocess.Popen(["unshare", "--mount", "sh", "-c", SETUP, "setup", self.folder, INIT],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   close_fds=False, preexec_fn=place)
        self.addCleanup(process.kill)
        theirs.close()
        os.close(options)
        os.close(other)
        output = process.communicate(timeout=60)[0]
        reports = []
        with ours:
            ours.settimeout(10)
            while message := ours.recv(4096):
                kind, _, _, size = HEAD.unpack_from(message)
                self.assertEqual(size, len(message) - HEAD.size)
                reports.append((kind, message[HEAD.size:].decode()))
        return Launched(reports, output.decode(), process.returncode)

    def look(self, **service):
        launched = self.launch({"command": ["/usr/bin/python3", "-c", LOOK], **service})
        self.assertEqual(launched.reports, [(REPORT_STARTED, "")], launched.output)
        self.assertEqual(launched.status, 0, launched.output)
        return json.loads(launched.output)

    def assert_fails(self, launched, reason):
        self.assertEqual(launched.reason, reason, launched.output)
        self.assertEqual(launched.status, 125)

    # -- what the program is

    def test_program_runs_as_its_user_with_its_groups_and_no_capabilities(self):
        seen = self.look(user="reth", groups=["log"])
        self.assertEqual(seen["uid"], [1001] * 3)
        self.assertEqual(seen["gid"], [1001] * 3)
        self.assertEqual(seen["groups"], [1002, 1003])
        self.assertEqual(int(seen["capabilities"], 16), 0)

    def test_group_replaces_the_users_own(self):
        self.assertEqual(self.look(user="reth", group="eth")["gid"], [1002] * 3)

    def test_root_without_groups_has_none(self):
        seen = self.look()
        self.assertEqual((seen["uid"], seen["groups"]), ([0] * 3, []))

    def test_environment_is_what_is_configured_and_a_path(self):
        self.assertEqual(self.look(environment={"A": "b=c ä", "EMPTY": ""})["environment"] | {"LC_CTYPE": ""},
                         {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A": "b=c ä",
                          "EMPTY": "", "LC_CTYPE": ""})
        self.assertEqual(self.look(environment={"PATH": "/x"})["environment"]["PATH"], "/x")

    def test_a_service_that_notifies_is_told_where(self):
        seen = self.look(ready={"notify": True}, environment={"NOTIFY_SOCKET": "/elsewhere"})
        self.assertEqual(seen["environment"]["NOTIFY_SOCKET"], "/run/gantry/notify")
        self.assertNotIn("NOTIFY_SOCKET", self.look(ready={"path": "/run/x"})["environment"])

    def test_descriptors_are_null_and_the_log_and_nothing_else(self):
        fds = self.look(user="reth")["fds"]
        self.assertEqual(fds.pop("0"), "/dev/null")
        self.assertTrue(fds.pop("1").startswith("pipe:"))
        self.assertTrue(fds.pop("2").startswith("pipe:"))
        self.assertEqual(fds, {})

    @unittest.skipIf("GANTRY_USERNS" in os.environ, "a user namespace may not do what this needs")
    def test_limits_nice_umask_and_directory_are_set(self):
        seen = self.look(user="reth", limits={"nofile": 1234, "core": 0}, nice=-5, umask="0077", directory="/usr/bin")
        self.assertEqual(seen["nofile"], [1234] * 2)
        self.assertEqual(seen["core"], [0, 0])
        self.assertEqual((seen["nice"], seen["umask"], seen["directory"]), (-5, 0o077, "/usr/bin"))

    def test_signals_are_reset_and_the_session_is_its_own(self):
        seen = self.look()
        self.assertEqual(int(seen["blocked"], 16), 0)
        # Python itself ignores SIGPIPE and SIGXFSZ
        self.assertEqual(int(seen["ignored"], 16) & ~(1 << 12 | 1 << 24), 0)
        self.assertTrue(seen["session"])

    def test_the_service_does_not_keep_the_report_socket(self):
        # recv() sees the end although the program still has a child
        launched = self.launch(["/bin/sh", "-c", "sleep 1 >/dev/null 2>&1 & exit 7"])
        self.assertEqual((launched.started, launched.status), (True, 7))

    # -- what cannot be

    def test_missing_user_group_and_program_are_named(self):
        self.assert_fails(self.launch(["/bin/true"], user="reht"), 'user "reht": no such user')
        self.assert_fails(self.launch(["/bin/true"], user="broken"), 'user "broken": no such user')
        self.assert_fails(self.launch(["/bin/true"], group="ehts"), 'group "ehts": no such group')
        self.assert_fails(self.launch(["/bin/true"], groups=["ehts"]), 'group "ehts": no such group')
        self.assert_fails(self.launch(["/bin/reth"]), "/bin/reth: no such file or directory")
        self.assert_fails(self.launch(["/etc/passwd"]), "/etc/passwd: permission denied")
        self.assert_fails(self.launch(["/bin/true"], directory="/nowhere"),
                          "directory /nowhere: no such file or directory")
        self.assert_fails(self.launch(["/bin/true"], limits={"nofile": 1 << 40}),
                          "limit nofile 1099511627776: operation not permitted")

    def test_nothing_is_said_to_have_started_when_the_program_is_missing(self):
        self.assertFalse(self.launch(["/bin/reth"]).started)

    def test_a_file_that_is_no_program_fails_with_a_reason(self):
        path = os.path.join(self.shared, "x")
        with open(path, "wb") as f:
            f.write(b"\0\1\2")
        os.chmod(path, 0o755)
        self.assert_fails(self.launch(["/mnt/x"]), "/mnt/x: exec format error")

    def test_garbage_instead_of_a_service_is_refused(self):
        for text in ("", "[]", "{", "{}", '{"command": []}', '{"command": 5}'):
            with self.subTest(text=text):
                launched = self.launch_text(text)
                self.assertEqual(launched.status, 125)
                self.assertIn("no service", launched.reason)

    # -- before_start

    def before(self, *steps, then="true", **service):
        return self.launch(["/bin/sh", "-c", then], before_start=list(steps), **service)

    def path(self, name):
        return os.path.join(self.shared, name)

    def modes(self, name):
        st = os.stat(self.path(name))
        return oct(stat.S_IMODE(st.st_mode)), st.st_uid, st.st_gid

    def test_directory_is_made_with_owner_and_mode_whatever_was_there(self):
        step = {"directory": "/mnt/a/b", "user": "reth", "group": "eth", "mode": "2750"}
        self.assertEqual(self.before(step).status, 0)
        self.assertEqual(self.modes("a/b"), ("0o2750", 1001, 1002))
        self.assertEqual(self.modes("a"), ("0o755", 0, 0))
        os.chmod(self.path("a/b"), 0o700)
        self.assertEqual(self.before(step).status, 0)
        self.assertEqual(self.modes("a/b"), ("0o2750", 1001, 1002))

    def test_root_follows_no_symbolic_link(self):
        os.mkdir(self.path("victim"), 0o700)
        os.symlink("victim", self.path("link"))
        wrong = "not a directory, or leads over a symbolic link"
        step = {"user": "reth", "mode": "0777"}
        self.assert_fails(self.before({"directory": "/mnt/link", **step}), f"directory /mnt/link: {wrong}")
        self.assert_fails(self.before({"directory": "/mnt/link/x", **step}), f"directory /mnt/link/x: {wrong}")
        self.assert_fails(self.before({"secret": "/mnt/link/x", **step}), f"secret /mnt/link/x: {wrong}")
        self.assert_fails(self.before({"remove": "/mnt/link/x"}), f"remove /mnt/link/x: {wrong}")
        self.assert_fails(self.before({"secret": "/mnt/link", **step}),
                          "secret /mnt/link: exists and is no regular file")
        self.assertEqual(self.modes("victim"), ("0o700", 0, 0))
        self.assertEqual(os.listdir(self.path("victim")), [])

    def test_secret_is_random_hex_made_once_with_owner_and_mode(self):
        step = {"secret": "/mnt/jwt", "bytes": 32, "group": "eth", "mode": "0640"}
        launched = self.before(step, then="cat /mnt/jwt", user="reth")
        self.assertRegex(launched.output, r"\A[0-9a-f]{64}\Z")
        self.assertEqual(self.modes("jwt"), ("0o640", 0, 1002))
        self.assertEqual(self.before(step, then="cat /mnt/jwt", user="reth").output, launched.output)
        os.unlink(self.path("jwt"))
        self.assertNotEqual(self.before(step, then="cat /mnt/jwt", user="reth").output, launched.output)
        self.assertEqual(os.listdir(self.shared), ["jwt"])

    def test_secret_without_words_is_for_root_alone(self):
        self.assertEqual(self.before({"secret": "/mnt/s"}).status, 0)
        self.assertEqual(self.modes("s"), ("0o400", 0, 0))
        self.assertEqual(os.stat(self.path("s")).st_size, 64)

    def test_remove_removes_a_file_and_nothing_is_fine(self):
        with open(self.path("old.ipc"), "w", encoding="ascii"):
            pass
        self.assertEqual(self.before({"remove": "/mnt/old.ipc"}, {"remove": "/mnt/none/x"}).status, 0)
        self.assertEqual(os.listdir(self.shared), [])
        os.mkdir(self.path("d"))
        self.assert_fails(self.before({"remove": "/mnt/d"}), "remove /mnt/d: is a directory")

    def test_a_step_that_fails_is_named_and_the_program_does_not_start(self):
        launched = self.before({"secret": "/mnt/none/jwt"}, then="echo here")
        self.assert_fails(launched, "secret /mnt/none/jwt: no such file or directory")
        self.assertEqual((launched.started, launched.output), (False, ""))
        self.assert_fails(self.before({"directory": "/mnt/x", "user": "reht"}), '/mnt/x: user "reht": no such user')


if __name__ == "__main__":
    unittest.main()
