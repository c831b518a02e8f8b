# SPDX-License-Identifier: GPL-2.0-or-later
"""A service with a root of its own: it runs in that tree, cannot change it, and reaches nothing of the machine but its volumes.
"""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pid1 import TRY_EACH, Pid1, boot, service  # noqa: E402

# The first tree has the machine's /usr, so Python runs in it; the second one has a shell alone, with its loader and library.
MAKE = r"""
set -e
for tree in /srv/tree /srv/small; do
    mkdir -p $tree/proc $tree/sys $tree/dev $tree/run $tree/tmp $tree/var/tmp $tree/etc $tree/data $tree/read
done
mkdir /srv/tree/usr
mount --bind /usr /srv/tree/usr
for d in bin sbin lib lib64; do ln -s usr/$d /srv/tree/$d; done
echo the tree > /srv/tree/etc/mine
mkdir -p /srv/small/bin /srv/small/lib64 /srv/small/accounts
for file in $(ldd /bin/dash | grep -o '/[^ ]*'); do cp -L --parents $file /srv/small; done
cp /bin/dash /srv/small/bin/sh
ln -s /accounts/passwd /srv/small/etc/passwd       # within the tree
printf 'root:x:0:0::/:\nweb:x:4242:4343::/:\n' > /srv/small/accounts/passwd
printf 'root:x:0:\nweb:x:4343:\nlog:x:4444:web\n' > /srv/small/etc/group
mkdir -p /srv/data /srv/read && chmod 777 /srv/data /srv/read && echo given > /srv/read/file
mkdir -p /srv/link && ln -s /etc /srv/link/data
mkdir -p /srv/broken && cp -r /srv/small/. /srv/broken && rm -r /srv/broken/lib64
printf '#!/bin/absent\n' > /srv/small/bin/script && chmod 755 /srv/small/bin/script
echo secret > /etc/secret && chmod 644 /etc/secret
: > /dev/vda; : > /dev/shm/theirs
mkdir /dev/given && : > /dev/given/null && mount --bind /dev/null /dev/given/null
"""
TREE = {"path": "/srv/tree", "volumes": ["/srv/data:/data", "/srv/read:/read:ro", "/t:/run/t"]}

TRIES = r"""
import ctypes, os, signal, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
def check(status):
    if status < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def connect(path, kind):
    with socket.socket(socket.AF_UNIX, kind) as s:
        s.connect(path)
def in_child(try_):
    def run():
        child = os.fork()
        if child == 0:
            try:
                try_()
            except OSError as error:
                os._exit(error.errno)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            raise OSError(status, os.strerror(status))
    return run
def chroot_twice():
    os.makedirs("/tmp/in", exist_ok=True)
    up = os.open("/", os.O_RDONLY)
    os.chroot("/tmp/in")
    os.fchdir(up)
    for _ in range(20):
        os.chdir("..")
    os.chroot(".")
    open("/etc/secret").read()
def by_handle():
    name = struct.pack("II16s", 16, 1, b"")
    check(libc.open_by_handle_at(os.open("/", os.O_RDONLY), ctypes.create_string_buffer(name), os.O_RDONLY))
def device():
    os.mknod("/tmp/device", 0o20666, os.makedev(1, 5))
    open("/tmp/device", "rb").read(1)
def as_root():
    os.setuid(0)
    open("/proc/sys/kernel/core_pattern", "w")
other = int(open("/run/t/other").read())
TRIES = {
    "its own file": lambda: open("/etc/mine").read(), "a file of the tree": lambda: open("/etc/mine", "a"),
    "a new file in it": lambda: open("/etc/new", "w"), "a volume": lambda: open("/data/x", "w"),
    "a read-only volume": lambda: open("/read/file", "a"), "reading that": lambda: open("/read/file").read(),
    "/tmp": lambda: open("/tmp/x", "w"), "/run": lambda: open("/run/x", "w"), "/var/tmp": lambda: open("/var/tmp/x", "w"),
    "/dev/shm": lambda: open("/dev/shm/x", "w"), "shm of others": lambda: open("/dev/shm/theirs"),
    "a host's file": lambda: open("/etc/secret"), "through ..": lambda: open("/../../../etc/secret"),
    "through PID 1": lambda: open("/proc/1/root/etc/secret"), "its descriptors": lambda: os.readlink("/proc/1/fd/0"),
    "through another": lambda: open(f"/proc/{other}/root/etc/secret"), "chroot": in_child(chroot_twice), "handle": by_handle,
    "mount": lambda: check(libc.mount(b"x", b"/tmp", b"tmpfs", 0, None)), "umount": lambda: check(libc.umount2(b"/", 2)),
    "unshare": lambda: check(libc.unshare(0x20000)), "device": device, "disk": lambda: open("/dev/vda"),
    "null": lambda: open("/dev/null", "w"), "urandom": lambda: open("/dev/urandom", "rb").read(1), "ptmx": lambda: os.openpty(),
    "cgroups": lambda: open("/sys/fs/cgroup/gantry/other/cgroup.kill", "w"), "mine": lambda: open("/proc/self/status").read(),
    "core_pattern": lambda: open("/proc/sys/kernel/core_pattern", "w"), "kill 1": lambda: os.kill(1, signal.SIGSEGV),
    "core_pattern as root": in_child(as_root),
    "kept device": lambda: open("/dev/given/null", "w").write("x"), "file of kept": lambda: open("/dev/given/x", "w"),
    "node of kept": lambda: os.mknod("/dev/given/full", 0o20666, os.makedev(1, 7)),
    "kill other": lambda: os.kill(other, signal.SIGKILL), "events": lambda: connect("/run/gantry/events", socket.SOCK_DGRAM),
    "notify": lambda: connect("/run/gantry/notify", socket.SOCK_DGRAM),
    "control": lambda: connect("/run/gantry/control", socket.SOCK_SEQPACKET),
}
""" + TRY_EACH.replace("/t/said", "/run/t/said")
MAY = {"its own file", "a volume", "reading that", "/tmp", "/run", "/var/tmp", "/dev/shm", "null", "urandom", "ptmx", "mine",
       "events", "notify"}
USERS = [{"name": "reth", "uid": 1001, "gid": 1001}]
DISK = {"name": "make", "type": "exec", "options": {"command": ["/bin/sh", "-c", MAKE]}}


def other(**more):
    return service("other", "echo $$ > /t/other.new; mv /t/other.new /t/other; exec sleep 1000", ready={"path": "/t/other"},
                   needs=["make"], **more)


def small(command, user=None, **more):
    root = {"path": "/srv/small", "volumes": ["/t:/run/t"], **({"user": user} if user else {})}
    return {"name": "small", "command": command, "root": root, "needs": ["make"], "restart": {"policy": "never"},
            "ready": {"exit": True}, **more}


# A terminal, a message queue, memory of System V and an abstract socket, of a service that is root like the other one.
SHARES = r"""
import ctypes, fcntl, os, socket, struct, time
master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
fcntl.ioctl(master, 0x40045431, struct.pack("i", 0))
slave = "/dev/pts/%d" % struct.unpack("i", fcntl.ioctl(master, 0x80045430, bytes(4)))
ctypes.CDLL("librt.so.1").mq_open(b"/theirs", os.O_RDWR | os.O_CREAT, 0o600, None)
open("/t/shm", "w").write(str(ctypes.CDLL(None).shmget(4711, 4096, 0o1600)))
listener = socket.socket(socket.AF_UNIX)
listener.bind("\0theirs")
listener.listen()
open("/t/new", "w").write(slave)
os.rename("/t/new", "/t/shares")
time.sleep(1000)
"""
REACH = r"""
import ctypes, os, socket
def check(status):
    if status < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def abstract():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\0theirs")
def own_abstract():
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as s:
        listener.bind("\0mine")
        listener.listen()
        s.connect("\0mine")
libc, librt = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("librt.so.1", use_errno=True)
TRIES = {
    "terminal": lambda: os.open(open("/run/t/shares").read(), os.O_RDWR | os.O_NOCTTY), "abstract": abstract,
    "queue": lambda: check(librt.mq_open(b"/theirs", os.O_RDWR)),
    "memory": lambda: check(libc.shmat(int(open("/run/t/shm").read()), None, 0o10000)),
    "own terminal": lambda: os.ttyname(os.openpty()[1]), "own abstract": own_abstract,
    "own memory": lambda: check(libc.shmget(4711, 4096, 0o1600)),
}
""" + TRY_EACH.replace("/t/said", "/run/t/said")


class Root(unittest.TestCase):
    def tried(self, others=None, **more):
        tries = service("tries", "exec python3 /run/t/tries.py", ready={"exit": True}, restart={"policy": "never"},
                        needs=["other"], **{"root": TREE, **more})
        with Pid1(boot([DISK], [other(**(others or {})), tries], users=USERS), files={"tries.py": TRIES}) as gantry:
            gantry.wait("gantry", "booted")
            self.said = dict(line.split(": ") for line in gantry.read("said").splitlines())
            self.assertEqual(gantry.states("other")[-1], "ready")
            self.assertEqual(gantry.inside("cat", "/srv/tree/etc/mine").stdout, "the tree\n")
            self.assertEqual(gantry.inside("ls", "/srv/data", "/srv/tree/tmp", "/srv/tree/run").stdout.split(),
                             ["/srv/data:", "x", "/srv/tree/run:", "/srv/tree/tmp:"])
            return {name for name, how in self.said.items() if how == "done"}

    def test_root_in_it_reaches_nothing_but_its_volumes(self):
        self.assertEqual(self.tried(), MAY)
        for name in ("a file of the tree", "a new file in it", "a read-only volume", "cgroups", "core_pattern"):
            self.assertEqual(self.said[name], "Read-only file system", name)
        for name in ("a host's file", "through ..", "disk", "shm of others", "control"):
            self.assertEqual(self.said[name], "No such file or directory", name)

    def test_capabilities_do_not_lead_out_of_it(self):
        given = ["SYS_CHROOT", "MKNOD", "DAC_OVERRIDE", "CHOWN", "FOWNER", "SETUID", "SETGID", "KILL"]
        self.assertEqual(self.tried(capabilities=given), MAY)
        self.assertEqual(self.said["chroot"], "No such file or directory")
        self.assertEqual(self.said["device"], "Permission denied")

    def test_what_it_keeps_of_the_machine_it_has(self):
        may = {"disk", "core_pattern", "core_pattern as root", "kept device"}
        self.assertEqual(self.tried(keep=["/dev/vda", "/proc/sys/kernel", "/dev/given"]), MAY | may)
        self.assertEqual(self.said["file of kept"], "Read-only file system")

    def test_a_user_with_capabilities_changes_no_setting(self):
        given = ["SETUID", "DAC_OVERRIDE", "CHOWN", "FOWNER"]
        self.assertEqual(self.tried(root={**TREE, "user": "1001:1001"}, capabilities=given), MAY)
        for name in ("core_pattern", "core_pattern as root"):
            self.assertEqual(self.said[name], "Read-only file system", name)

    def test_a_set_uid_file_of_it_gives_nothing(self):
        make = {**DISK, "options": {"command": ["/bin/sh", "-c", MAKE + "chmod 4755 /srv/small/bin/sh"]}}
        look = small(["/bin/sh", "-c", "while read -r a b c d at how rest; do [ $at = / ] && echo $how > /run/t/mount; done "
                      "< /proc/self/mountinfo; :"], "web")
        for more, there in (({}, True), ({"no_new_privs": False}, False)):
            with Pid1(boot([make], [{**look, **more}])) as gantry:
                gantry.wait("small", "done")
                self.assertEqual("nosuid" in gantry.read("mount").strip().split(","), there)

    def test_what_other_processes_share_without_a_file_it_does_not_reach(self):
        tries = service("tries", "exec python3 /run/t/tries.py", ready={"exit": True}, restart={"policy": "never"},
                        needs=["shares"], root=TREE)
        shares = service("shares", "exec python3 /t/shares.py", ready={"path": "/t/shares"}, needs=["make"])
        with Pid1(boot([DISK], [shares, tries]), files={"shares.py": SHARES, "tries.py": REACH}) as gantry:
            gantry.wait("gantry", "booted")
            said = dict(line.split(": ") for line in gantry.read("said").splitlines())
        self.assertEqual({name for name, how in said.items() if how == "done"}, {"own terminal", "own abstract", "own memory"})
        self.assertEqual(said["abstract"], "Operation not permitted")

    def test_another_user_reaches_no_process_of_its_number(self):
        done = self.tried(others={"user": "reth"}, root={**TREE, "user": "1001:1001"})
        self.assertEqual(done, MAY - {"/run"})
        self.assertEqual(self.said["through another"], "Permission denied")
        self.assertEqual(self.said["kill other"], "Operation not permitted")

    def test_its_command_and_its_probe_are_the_trees_own(self):
        say = "echo ready > /run/t/probed"
        look = small(["/bin/sh", "-c", "echo /bin/* > /run/t/bin; while :; do read line < /run/t/hold; done"],
                     ready={"exec": ["/bin/sh", "-c", say]})
        with Pid1(boot([DISK], [look])) as gantry:
            os.mkfifo(os.path.join(gantry.shared, "hold"))
            gantry.wait("small", "ready")
            self.assertEqual(gantry.read("bin"), "/bin/script /bin/sh\n")
            self.assertEqual(gantry.read("probed"), "ready\n")

    def identity(self, user):
        script = ("while read -r key value; do case $key in Uid:|Gid:|Groups:|CapEff:) echo $key $value;; esac; done "
                  "< /proc/self/status > /run/t/who")
        with Pid1(boot([DISK], [small(["/bin/sh", "-c", script], user)])) as gantry:
            gantry.wait("small", "done")
            return [line.split() for line in gantry.read("who").splitlines()]

    def test_its_user_is_one_of_the_tree_or_a_number(self):
        for user, uid, gid, groups in (("web", "4242", "4343", ["4444"]), ("4242", "4242", "4343", ["4444"]),
                                       ("web:log", "4242", "4444", []), ("77", "77", "0", []), ("77:88", "77", "88", [])):
            said = self.identity(user)
            self.assertEqual(said, [["Uid:"] + [uid] * 4, ["Gid:"] + [gid] * 4, ["Groups:", *groups],
                                    ["CapEff:", "0" * 16]], user)

    def failure(self, **more):
        with Pid1(boot([DISK], [small(**{"command": ["/bin/sh", "-c", "exit 0"], **more})])) as gantry:
            return gantry.wait("small", "failed").text

    def test_what_is_missing_is_named(self):
        loader = "/bin/sh: loader /lib64/ld-linux-x86-64.so.2 is missing"
        self.assertIn(loader, self.failure(root={"path": "/srv/broken"}))
        self.assertIn("/bin/script: interpreter /bin/absent is missing", self.failure(command=["/bin/script"]))
        self.assertIn("/bin/ash: no such file or directory", self.failure(command=["/bin/ash"]))
        self.assertIn('user "nobody" in /srv/small: no such user', self.failure(user="nobody"))
        self.assertIn('group "staff" in /srv/small: no such group', self.failure(user="web:staff"))
        self.assertIn("root /srv/none: no such file or directory", self.failure(root={"path": "/srv/none"}))
        volume = {"path": "/srv/small", "volumes": ["/srv/data:/absent"]}
        self.assertIn("volume /srv/data:/absent: its target: not in the tree, which is read-only", self.failure(root=volume))

    def test_what_is_wrong_with_a_volume_is_said_of_its_source_or_its_target(self):
        make = MAKE + "ln -s ../run/x /srv/small/etc/dangling"
        wrong = (("/srv/link/data:/data", "its source: symbolic link in the path"),
                 ("/srv/none:/data", "its source: no such file or directory"),
                 ("/srv/read/file:/etc/dangling", "its target: it is, or is reached by, a link to what is not there"),
                 ("/srv/read/file:/data", "its target is a directory, its source is none"),
                 ("/srv/read:/etc/passwd", "its source is a directory, its target is none"))
        services = [{**small(["/bin/sh", "-c", "exit 0"]), "name": f"s{i}", "root": {"path": "/srv/small", "volumes": [volume]}}
                    for i, (volume, _) in enumerate(wrong)]
        with Pid1(boot([{**DISK, "options": {"command": ["/bin/sh", "-c", make]}}], services)) as gantry:
            for i, (volume, says) in enumerate(wrong):
                self.assertIn(f"volume {volume}: {says}", gantry.wait(f"s{i}", "failed").text)


class Check(unittest.TestCase):
    def test_what_does_not_go_together_is_refused_with_its_place(self):
        web = {"name": "web", "command": ["/bin/sh"], "root": {"path": "/srv/small"}}
        wrong = (
            ({"root": {"path": "/"}}, "root.path: is the machine's own root"),
            ({"root": {}}, 'root: "path" is missing'),
            ({"root": {"path": "srv"}}, 'root.path: "srv" is not an absolute path'),
            ({"root": {"path": "/srv", "user": "-x"}}, 'root.user: "-x" is not a user of the image'),
            ({"root": {"path": "/srv", "volumes": ["/x"]}}, 'root.volumes[0]: "/x" is not a volume'),
            ({"root": {"path": "/srv", "volumes": ["/x:/dev/x"]}}, 'root.volumes[0]: "/dev/x" is at or below /dev'),
            ({"root": {"path": "/srv", "volumes": ["/x:/y", "/z:/y:ro"]}}, "root.volumes[1]: has the same target as volumes[0]"),
            ({"root": {"path": "/srv", "volumes": ["/x:/y/z", "/z:/y"]}},
             "root.volumes[1]: hides volumes[0], whose target is below this one's: name this one first"),
            ({"capabilities": ["MKNOD"], "keep": ["/dev/x"]}, "keep[0]: with MKNOD, a service could have any device"),
            ({"root": {"path": "/srv", "user": "1"}, "group": "root"}, '"group" cannot be set beside "root.user"'),
            ({"private_tmp": True}, '"private_tmp" cannot be set beside "root"'),
            ({"capabilities": ["KILL", "SYS_ADMIN"]}, 'capabilities[1]: with SYS_ADMIN, a service does not stay in its "root"'),
            ({"keep": ["/run/gantry/control"]}, 'keep[0]: is not in its "root": give it as a volume'),
        )
        with Pid1(boot([], [])) as gantry:
            gantry.wait("gantry", "booted")
            for more, says in wrong:
                gantry.write("wrong.json", json.dumps(boot([], [{**web, **more}])))
                self.assertIn(f'services[0] "web": {says}', gantry.ctl("check", "/t/wrong.json").stderr)


if __name__ == "__main__":
    unittest.main()
