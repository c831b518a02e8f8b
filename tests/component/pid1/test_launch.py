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

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
INIT = os.environ.get("GANTRY_INIT", os.path.join(REPO, "build", "init"))

REPORT_RESULT = 3
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
init=$2
shift 2
for d; do mkdir -p "$d"; mount -t tmpfs inner "$d"; done
exec "$init" launch test
"""

# As the check of boot.json completes a service before the launcher gets it.
DEFAULTS = {"user": "root", "directory": "/", "umask": "0022", "no_new_privs": True}

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
        return self.reports == []       # its program has closed the socket, and nothing was said


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

    def launch(self, service, mount_before=(), **more):
        service = {"name": "test", **DEFAULTS, **(service if isinstance(service, dict) else {"command": service}), **more}
        return self.launch_text(json.dumps(service), mount_before)

    def launch_text(self, text, mount_before=()):
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

        process = subprocess.Popen(["unshare", "--mount", "sh", "-c", SETUP, "setup", self.folder, INIT,
                                    *mount_before],
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
        self.assertTrue(launched.started, launched.output)
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
                self.assertIn("does not hold a service", launched.reason)

    # -- what it is confined to

    def capabilities(self, **service):
        """(effective, permitted, inheritable, bounding, ambient), no_new_privs as the program's /proc says."""
        launched = self.launch(["/bin/cat", "/proc/self/status"], **service)
        self.assertEqual(launched.status, 0, launched.reason or launched.output)
        status = dict(line.split(":\t", 1) for line in launched.output.splitlines() if ":\t" in line)
        return tuple(int(status[f"Cap{word}"], 16) for word in ("Eff", "Prm", "Inh", "Bnd", "Amb")), status["NoNewPrivs"]

    def test_no_new_privileges_unless_the_service_wants_them(self):
        self.assertEqual(self.capabilities()[1], "1")
        self.assertEqual(self.capabilities(no_new_privs=True, user="reth")[1], "1")
        self.assertEqual(self.capabilities(no_new_privs=False, user="reth")[1], "0")

    def test_a_user_has_the_capabilities_that_it_names_and_no_other(self):
        wanted = 1 << 10 | 1 << 23      # capabilities(7): NET_BIND_SERVICE, SYS_NICE
        names = ["NET_BIND_SERVICE", "SYS_NICE"]
        self.assertEqual(self.capabilities(user="reth", capabilities=names), ((wanted,) * 5, "1"))
        self.assertEqual(self.capabilities(user="reth", capabilities=names, no_new_privs=False), ((wanted,) * 5, "0"))
        self.assertEqual(self.capabilities(user="reth", capabilities=[])[0], (0,) * 5)

    def test_root_has_the_capabilities_that_it_names_and_no_other(self):
        wanted = 1 << 12                # NET_ADMIN
        self.assertEqual(self.capabilities(capabilities=["NET_ADMIN"])[0], (wanted, wanted, 0, wanted, 0))
        self.assertEqual(self.capabilities(capabilities=[])[0], (0,) * 5)

    def test_without_the_key_root_keeps_what_it_has_and_a_user_has_nothing(self):
        effective, permitted, _, bounding, ambient = self.capabilities()[0]
        self.assertEqual((effective, permitted, ambient), (bounding, bounding, 0))
        self.assertNotEqual(effective, 0)
        self.assertEqual(self.capabilities(user="reth")[0][:3], (0, 0, 0))

    def test_a_capability_that_does_not_exist_is_named(self):
        self.assert_fails(self.launch(["/bin/true"], capabilities=["FLY"]), 'capability "FLY": no such capability')

    CALLS = r"""
import ctypes, errno, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"mount": 165, "umount2": 166, "init_module": 175, "finit_module": 313, "kexec_load": 246, "bpf": 321,
           "swapon": 167, "ptrace": 101, "keyctl": 250, "add_key": 248, "userfaultfd": 323, "perf_event_open": 298,
           "unshare": 272, "setns": 308, "io_uring_setup": 425, "reboot": 169, "mount_setattr": 442, "open_tree": 428,
           "clock_settime": 227, "process_vm_readv": 310, "pidfd_getfd": 438, "getpid": 39, "clone3": 435}
if sys.argv[1:]:
    numbers = {name: numbers[name] for name in sys.argv[1:]}
seen = {}
for name, number in numbers.items():
    ctypes.set_errno(0)
    r = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
    seen[name] = "done" if r >= 0 else errno.errorcode[ctypes.get_errno()]
for name, flags in (("CLONE_NEWUSER", 0x10000000), ("CLONE_NEWNET|CLONE_NEWNS", 0x40020000)):
    r = libc.syscall(ctypes.c_long(56), ctypes.c_long(flags | 17), *[ctypes.c_long(0)] * 4)
    if r == 0:
        os._exit(0)
    seen[name] = "done" if r > 0 else errno.errorcode[ctypes.get_errno()]
child = os.fork()
if child == 0:
    os._exit(7)
seen["fork"] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(seen))
"""

    def test_seccomp_default_refuses_with_eperm_what_no_service_needs(self):
        for more in ({}, {"user": "reth"}, {"user": "reth", "no_new_privs": False}):
            with self.subTest(**more):
                launched = self.launch(["/usr/bin/python3", "-c", self.CALLS], seccomp="default", **more)
                self.assertEqual(launched.status, 0, launched.reason or launched.output)
                seen = json.loads(launched.output)
                self.assertEqual((seen.pop("getpid"), seen.pop("fork"), seen.pop("clone3")), ("done", 7, "ENOSYS"))
                self.assertEqual(set(seen.values()), {"EPERM"}, seen)

    def test_without_a_profile_the_kernel_itself_answers(self):
        launched = self.launch(["/usr/bin/python3", "-c", self.CALLS, "mount", "userfaultfd", "clone3"])
        seen = json.loads(launched.output)
        self.assertNotIn("EPERM", (seen["mount"], seen["userfaultfd"], seen["CLONE_NEWUSER"]))
        self.assertNotEqual(seen["clone3"], "ENOSYS")

    def test_threads_and_programs_run_under_the_default_profile(self):
        script = ("import threading, subprocess; t = threading.Thread(target=lambda: None); t.start(); t.join(); "
                  "print(subprocess.run(['/bin/echo', 'here'], capture_output=True, text=True).stdout, end='')")
        launched = self.launch(["/usr/bin/python3", "-c", script], seccomp="default", user="reth")
        self.assertEqual((launched.status, launched.output), (0, "here\n"), launched.reason)

    def test_a_profile_that_does_not_exist_is_named(self):
        self.assert_fails(self.launch(["/bin/true"], seccomp="x"), 'seccomp "x": no such profile')

    def test_private_tmp_is_empty_its_own_and_gone_afterwards(self):
        script = ("ls -A /tmp /var/tmp; echo x > /tmp/of-launch && echo y > /var/tmp/of-launch; "
                  "cat /tmp/of-launch /var/tmp/of-launch; stat -c %a:%u /tmp /var/tmp")
        launched = self.launch(["/bin/sh", "-c", script], private_tmp=True, user="reth")
        self.assertEqual(launched.output, "/tmp:\n\n/var/tmp:\nx\ny\n1777:0\n1777:0\n", launched.reason)
        self.assertFalse(os.path.exists("/tmp/of-launch") or os.path.exists("/var/tmp/of-launch"))
        self.assertEqual(sorted(os.listdir(self.folder)), ["group", "passwd", "t"])     # which is in the machine's

    def test_without_it_tmp_is_the_machines(self):
        self.assertIn(os.path.basename(self.folder), self.launch(["/bin/ls", "/tmp"]).output)

    def test_read_only_paths_and_what_is_mounted_in_them_cannot_be_written(self):
        os.makedirs(self.path("a/inner"))
        os.mkdir(self.path("b"))
        # the launcher's own namespace has a mount in the path: made by the program that runs before it
        script = ("for f in /mnt/a/x /mnt/a/inner/x /mnt/b/x /run/inner/x; do touch $f 2>/dev/null && echo $f || echo no $f; "
                  "done; "
                  "mount -o remount,bind,rw /mnt/a 2>/dev/null && touch /mnt/a/y && echo remounted")
        launched = self.launch(["/bin/sh", "-c", script], read_only=["/mnt/a", "/run"], capabilities=[],
                               mount_before=("/mnt/a/inner", "/run/inner"))
        self.assertEqual(launched.output, "no /mnt/a/x\nno /mnt/a/inner/x\n/mnt/b/x\nno /run/inner/x\n", launched.reason)
        self.assertEqual((os.listdir(self.path("a")), os.listdir(self.path("b"))), (["inner"], ["x"]))

    def test_the_whole_root_can_be_read_only_but_for_its_own_tmp(self):
        script = "for f in /x /etc/x /mnt/x /run/x /tmp/x /var/tmp/x; do touch $f 2>/dev/null && echo $f; done; : > /dev/null"
        launched = self.launch(["/bin/sh", "-c", script], read_only=["/"], private_tmp=True)
        self.assertEqual((launched.output, launched.status), ("/tmp/x\n/var/tmp/x\n", 0), launched.reason)

    def test_read_only_paths_that_cannot_be_are_named(self):
        os.symlink("/etc", self.path("link"))
        self.assert_fails(self.launch(["/bin/true"], read_only=["/nowhere"]), "read_only /nowhere: no such file or directory")
        self.assert_fails(self.launch(["/bin/true"], read_only=["/mnt/link"]), "read_only /mnt/link: symbolic link in the path")

    def test_oom_score_is_set_before_the_user_is(self):
        # upwards, which a test may where the machine gives it no CAP_SYS_RESOURCE
        launched = self.launch(["/bin/cat", "/proc/self/oom_score_adj"], oom_score_adj=700, user="reth")
        self.assertEqual(launched.output, "700\n", launched.reason)
        self.assert_fails(self.launch(["/bin/true"], oom_score_adj=1001), "oom_score_adj 1001: invalid argument")

    # -- environment_file

    def environment_file(self, text, **service):
        with open(self.path("env"), "wb") as f:
            f.write(text)
        os.chmod(self.path("env"), 0o600)
        return self.launch(["/usr/bin/env"], environment_file="/mnt/env", user="reth", **service)

    def test_environment_file_adds_variables_and_the_configuration_goes_first(self):
        launched = self.environment_file(b'# secrets\nA=1\nB="x y "\nPATH=/bin\nNOTIFY_SOCKET=/x\n',
                                         environment={"A": "measured"}, ready={"notify": True})
        self.assertEqual(sorted(launched.output.splitlines()),
                         ["A=measured", "B=x y ", "NOTIFY_SOCKET=/run/gantry/notify", "PATH=/bin"], launched.reason)
        self.assertIn("PATH=/usr/local/sbin", self.environment_file(b"").output)

    def test_environment_file_that_is_wrong_is_named_with_its_line_and_no_value(self):
        self.assert_fails(self.environment_file(b"A=1\nsecret words\n"), "environment_file /mnt/env:2: not a KEY=VALUE line")
        self.assert_fails(self.environment_file(b"A=1\nA=2\n"), "environment_file /mnt/env:2: duplicate key")
        self.assert_fails(self.environment_file(b"A=1\n" + b"#" * 65536), "environment_file /mnt/env: is larger than 64 KiB")
        self.assert_fails(self.launch(["/bin/true"], environment_file="/mnt/none"),
                          "environment_file /mnt/none: no such file or directory")
        self.assert_fails(self.launch(["/bin/true"], environment_file="/mnt"), "environment_file /mnt: is not a regular file")
        os.symlink("env", self.path("link"))
        self.assert_fails(self.launch(["/bin/true"], environment_file="/mnt/link"),
                          "environment_file /mnt/link: symbolic link in the path")
        os.mkfifo(self.path("fifo"))
        self.assert_fails(self.launch(["/bin/true"], environment_file="/mnt/fifo"),
                          "environment_file /mnt/fifo: is not a regular file")

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
        wrong = "not a directory, or a symbolic link in the path"
        step = {"user": "reth", "mode": "0777"}
        self.assert_fails(self.before({"directory": "/mnt/link", **step}), f"directory /mnt/link: {wrong}")
        self.assert_fails(self.before({"directory": "/mnt/link/x", **step}), f"directory /mnt/link/x: {wrong}")
        self.assert_fails(self.before({"secret": "/mnt/link/x", **step}), f"secret /mnt/link/x: {wrong}")
        self.assert_fails(self.before({"remove": "/mnt/link/x"}), f"remove /mnt/link/x: {wrong}")
        self.assert_fails(self.before({"secret": "/mnt/link", **step}),
                          "secret /mnt/link: exists and is not a regular file")
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

    def test_remove_takes_a_pattern_for_the_last_name(self):
        for name in ("a-1.ipc", "a-2.ipc", "b.ipc", ".a-3.ipc"):
            with open(self.path(name), "w", encoding="ascii"):
                pass
        self.assertEqual(self.before({"remove": "/mnt/a-*"}, {"remove": "/mnt/none/*"}, {"remove": "/mnt/z*"}).status, 0)
        self.assertEqual(sorted(os.listdir(self.shared)), [".a-3.ipc", "b.ipc"])
        os.mkdir(self.path("a-d"))
        self.assert_fails(self.before({"remove": "/mnt/a-*"}), "remove /mnt/a-*: is a directory")

    def test_file_is_a_copy_with_owner_and_mode_whatever_was_there(self):
        with open(self.path("from"), "wb") as f:
            f.write(bytes(range(256)) * 1000)
        os.chmod(self.path("from"), 0o600)
        os.symlink("/etc/passwd", self.path("to"))
        self.assertEqual(self.before({"file": "/mnt/to", "from": "/mnt/from", "user": "reth", "mode": "0440"}).status, 0)
        self.assertEqual(self.modes("to"), ("0o440", 1001, 0))
        self.assertFalse(os.path.islink(self.path("to")))
        with open(self.path("to"), "rb") as to:
            self.assertEqual(to.read(), bytes(range(256)) * 1000)
        self.assertEqual(sorted(os.listdir(self.shared)), ["from", "to"])
        os.symlink("from", self.path("link"))
        self.assert_fails(self.before({"file": "/mnt/to", "from": "/mnt/link"}),
                          "file /mnt/to from /mnt/link: symbolic link in the path")
        self.assert_fails(self.before({"file": "/mnt/to", "from": "/mnt/none"}),
                          "file /mnt/to from /mnt/none: no such file or directory")
        os.mkdir(self.path("d"))
        self.assert_fails(self.before({"file": "/mnt/d", "from": "/mnt/from"}), "file /mnt/d from /mnt/from: is a directory")
        self.assertEqual(sorted(os.listdir(self.shared)), ["d", "from", "link", "to"])

    def test_path_changes_what_is_given_of_a_socket_and_of_nothing_else(self):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(self.path("s"))
            os.chmod(self.path("s"), 0o755)
            self.assertEqual(self.before({"path": "/mnt/s", "group": "eth"}).status, 0)
            self.assertEqual(self.modes("s"), ("0o755", 0, 1002))
            self.assertEqual(self.before({"path": "/mnt/s", "mode": "0660", "user": "reth"}).status, 0)
            self.assertEqual(self.modes("s"), ("0o660", 1001, 1002))
        with open(self.path("f"), "w", encoding="ascii"):
            pass
        os.chmod(self.path("f"), 0o600)
        os.symlink("f", self.path("link"))
        os.link(self.path("f"), self.path("g"))
        self.assert_fails(self.before({"path": "/mnt/link", "mode": "0666"}), "path /mnt/link: symbolic link in the path")
        self.assert_fails(self.before({"path": "/mnt/f", "mode": "0666"}), "path /mnt/f: has more than one name (hard links)")
        self.assert_fails(self.before({"path": "/mnt/none", "mode": "0666"}), "path /mnt/none: no such file or directory")
        self.assertEqual(self.modes("f"), ("0o600", 0, 0))

    def test_a_step_that_fails_is_named_and_the_program_does_not_start(self):
        launched = self.before({"secret": "/mnt/none/jwt"}, then="echo here")
        self.assert_fails(launched, "secret /mnt/none/jwt: no such file or directory")
        self.assertEqual((launched.started, launched.output), (False, ""))
        self.assert_fails(self.before({"directory": "/mnt/x", "user": "reht"}), '/mnt/x: user "reht": no such user')


if __name__ == "__main__":
    unittest.main()
