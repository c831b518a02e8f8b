# SPDX-License-Identifier: GPL-2.0-or-later
"""The root file system is read-only once PID 1 has set it up: what a service of uid 0 without capabilities cannot do to it, and
what Gantry and the services still write there. In a namespace PID 1 does it for `hardening.writable`; boot/test_hardened looks
at a whole machine."""

import os
import sys
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import machine  # noqa: E402
import pid1  # noqa: E402
from pid1 import TRY_EACH, Pid1, boot, service, stage  # noqa: E402
from test_refresh import Machine  # noqa: E402

# Each line of what it says is a thing to try and the error that came, or "done".
TRIES = r"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def mount(*arguments):
    if libc.mount(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def write(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o755))
MS_REMOUNT, MS_BIND = 32, 4096
TRIES = {
    "replace /init": lambda: os.rename("/opt/gantryctl", "/init"), "write /etc/passwd": lambda: write("/etc/passwd"),
    "chmod /init": lambda: os.chmod("/init", 0o777), "new /etc/ld.so.preload": lambda: write("/etc/ld.so.preload"),
    "mkdir /new": lambda: os.mkdir("/new"), "unlink /etc/group": lambda: os.unlink("/etc/group"),
    "link /bin": lambda: os.unlink("/bin"), "chown /etc": lambda: os.chown("/etc", 1001, 1001),
    "remount /": lambda: mount(None, b"/", None, MS_REMOUNT | MS_BIND, None),
    "mount over /etc": lambda: mount(b"tmpfs", b"/etc", b"tmpfs", 0, None),
    "write /given/file": lambda: write("/given/file"), "write /run/file": lambda: write("/run/file"),
}
""" + TRY_EACH
CLOSED = "Read-only file system"
RETH = [{"name": "reth", "uid": 1001, "gid": 1001}]
GIVEN = {"hardening": {"writable": ["/given"]}}


def without_rights(name, script, **more):
    return service(name, script, capabilities=[], seccomp="default", private_tmp=True, **more)


def with_folders(*paths):
    """PID 1's root with these folders, which an image builder makes."""
    makes = "".join(f"mkdir -p .{path}\n" for path in paths)
    return mock.patch.object(pid1, "SETUP", pid1.SETUP.replace("exec chroot", makes + "exec chroot"))


class ReadOnlyRoot(unittest.TestCase):
    def tries(self, **more):
        tries = without_rights("tries", "exec python3 /t/tries.py", ready={"exit": True}, restart={"policy": "never"})
        with Pid1(boot(services=[tries], **more), files={"tries.py": TRIES}) as gantry:
            gantry.wait("gantry", "booted")
            return dict(line.split(": ") for line in gantry.read("said").splitlines())

    def test_uid_0_without_capabilities_changes_nothing_that_root_executes_or_reads(self):
        said = self.tries(**GIVEN)
        self.assertEqual({name for name, how in said.items() if how == "done"}, {"write /given/file", "write /run/file"})
        self.assertEqual({how for name, how in said.items() if "mount" in name}, {"Operation not permitted"})
        self.assertEqual({how for name, how in said.items() if how != "done" and "mount" not in name}, {CLOSED})

    def test_a_configuration_that_keeps_the_root_has_it_writable(self):
        said = self.tries(hardening={"keep": ["root"], "writable": ["/given"]})
        self.assertEqual(said["mkdir /new"], "done")
        self.assertEqual(said["write /etc/passwd"], "done")

    def test_what_a_service_is_given_before_its_start_it_writes_and_nothing_beside_it(self):
        script = ("id -u > /srv/data/mine; touch /etc/app/other 2> /t/refused; cat /etc/app/copy > /t/copy; "
                  "stat -c %a:%s /etc/app/secret > /t/secret; readlink /proc/self/ns/mnt > /t/namespace; exec sleep 1000")
        app = service("app", script, user="reth", ready={"path": "/t/namespace"}, before_start=[
            {"directory": "/srv/data", "user": "reth"}, {"path": "/etc/app", "user": "reth", "mode": "0750"},
            {"secret": "/etc/app/secret", "user": "reth"}, {"file": "/etc/app/copy", "from": "/etc/group"}])
        with with_folders("/etc/app"), Pid1(boot(services=[app], users=RETH, **GIVEN)) as gantry:
            gantry.wait("app", "ready")
            self.assertEqual(gantry.inside("cat", "/srv/data/mine").stdout, "1001\n")
            self.assertIn(CLOSED, gantry.read("refused"))
            self.assertEqual(gantry.read("secret"), "400:64\n")
            self.assertEqual(gantry.read("copy"), gantry.inside("cat", "/etc/group").stdout)
            self.assertEqual(gantry.read("namespace"), gantry.inside("readlink", "/proc/1/ns/mnt").stdout)
            # once more, over what is there
            self.assertEqual(gantry.ctl("restart", "app").returncode, 0)
            gantry.wait("app", "ready", count=2)

    def test_a_file_is_rendered_and_rendered_again_at_a_refresh_where_nobody_else_writes(self):
        file = {"template": "/t/alpha.mustache", "path": "/etc/rendered/alpha.conf", "mode": "0644"}
        reader = without_rights("reader", "cat /etc/rendered/alpha.conf >> /t/read; touch /etc/rendered/x 2>> /t/refused; "
                                "touch /t/done; exec sleep 1000", needs=["render"], ready={"path": "/t/done"},
                                before_start=[{"remove": "/t/done"}],
                                on_change={"files": ["/etc/rendered/alpha.conf"], "action": "restart"})
        render = [{"name": "render", "type": "render", "needs": ["config", "measure"], "options": {"files": [file]}}]
        with with_folders("/etc/rendered"), Machine([reader], render=render, **GIVEN) as gantry:
            gantry.booted()
            self.assertEqual(gantry.read("read"), "a1")
            gantry.serve(alpha="a2")
            self.assertEqual(gantry.refresh(), "configuration refreshed, 1 files changed")
            gantry.wait("reader", "ready", count=2)
            self.assertEqual(gantry.read("read"), "a1a2")
            self.assertEqual(gantry.read("refused").count(CLOSED), 2)
            self.assertIn(CLOSED, gantry.inside("touch", "/etc/rendered/x").stderr)

    def test_a_link_that_a_service_puts_in_the_path_of_a_rendered_file_leads_nowhere(self):
        swap = "mv /t/app/conf /t/app/old && ln -s /opt /t/app/conf; touch /t/swapped; exec sleep 1000"
        setup = stage("setup", "mkdir -p /t/app/conf && chown -R 1001:1001 /t/app && chmod 777 /t")
        file = {"template": "/t/alpha.mustache", "path": "/t/app/conf/gantryctl", "user": "reth", "mode": "0755"}
        render = [setup, {"name": "render", "type": "render", "needs": ["config", "measure", "setup"],
                          "retry": {"min_s": 0.1, "max_s": 0.2, "limit": 2}, "options": {"files": [file]}}]
        app = service("app", swap, user="reth", needs=["render"], ready={"path": "/t/swapped"})
        with Machine([app], render=render, users=RETH, **GIVEN) as gantry:
            gantry.booted()
            before = gantry.inside("ls", "-l", "/opt").stdout
            self.assertEqual(gantry.read("app/old/gantryctl"), "a1")
            gantry.serve(alpha="a2")
            self.assertIn("/t/app/conf/gantryctl: a symbolic link in the path that is not root's alone", gantry.refresh(1))
            self.assertEqual(gantry.inside("ls", "-l", "/opt").stdout, before)
            self.assertEqual(gantry.read("app/old/gantryctl"), "a1")

    def test_the_api_s_own_files_and_uploads_are_written_where_only_it_can(self):
        files = {"password_file": "/etc/keys/new/password", "tls_certificate": "/etc/keys/c.pem", "tls_key": "/etc/keys/k.pem"}
        options = machine.api(actions=[], uploads=[{"name": "list", "path": "/etc/app/list"}], **files)
        with with_folders("/etc/app"), machine.Machine(boot(api=options, **GIVEN)) as gantry:
            gantry.write("body", "text")
            r = gantry.curl("/api/v1/set-basic-auth", "-d", "a password")
            self.assertEqual(r.status, 200, r.body)
            user = ("-u", "admin:a password")
            self.assertEqual(gantry.curl("/api/v1/file-upload/list", *user, "--data-binary", "@/t/body").status, 200)
            self.assertEqual(gantry.inside("cat", "/etc/app/list").stdout, "text")
            self.assertEqual(gantry.inside("sh", "-c", "ls /etc/keys /etc/keys/new").stdout.split(),
                             ["/etc/keys:", "c.pem", "k.pem", "new", "/etc/keys/new:", "password"])
            self.assertIn(CLOSED, gantry.inside("touch", "/etc/app/x").stderr)

    def test_logs_and_mount_points_have_their_folders(self):
        app = service("app", "echo hello; exec sleep 1000")
        with Pid1(boot(services=[app], logs={}, log={"directory": "/var/history"}, events={"fifo": "/var/old/fifo"},
                       **GIVEN)) as gantry:
            gantry.wait("app", "ready")
            both = "grep -q hello /var/log/gantry/app.log && test -s /var/history/events.log"
            gantry.inside("sh", "-c", f"until {both}; do sleep 0.1; done")
            self.assertEqual(gantry.inside("sh", "-c", "echo '[tool] here' > /var/old/fifo").stderr, "")
            self.assertIn(CLOSED, gantry.inside("touch", "/var/x").stderr)

    def test_one_that_cannot_be_made_read_only_holds_the_boot(self):
        """It was started with a file there open for writing."""
        writer = pid1.SETUP.replace("exec chroot", "exec 3> opt/open\nexec chroot")
        with mock.patch.object(pid1, "SETUP", writer), Pid1(boot(services=[service("app")], **GIVEN)) as gantry:
            held = gantry.wait("gantry", "held")
            self.assertIn("making the root file system read-only failed: /: ", held.text)
            self.assertEqual(gantry.states("app"), [])

    def test_without_a_list_a_pid_1_of_a_namespace_leaves_the_root_as_it_is(self):
        with Pid1(boot([stage("write", "touch /anywhere")])) as gantry:
            gantry.wait("write", "done")


if __name__ == "__main__":
    unittest.main()
