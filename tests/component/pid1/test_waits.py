# SPDX-License-Identifier: GPL-2.0-or-later
"""PID 1 waits for nobody: not for whoever sends it a descriptor whose close(2) waits, nor for a file system that does not answer,
a pipe that somebody holds, or a peer; and a signal that somebody sends is no fault of its own.

The file system is a real FUSE mount whose server answers some requests and no others."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from patience import PATIENCE  # noqa: E402
from pid1 import Pid1, boot, service, stage  # noqa: E402

ROOT_ONLY = unittest.skipIf("GANTRY_USERNS" in os.environ, "a user namespace may not do what this needs")

# PATH "/proc/PID/N": that descriptor of that process.
CONNECT = r"""
import array, ctypes, os, socket, struct, sys, time
def connect(path, kind):
    if not path.startswith("/proc/"):
        to = socket.socket(socket.AF_UNIX, getattr(socket, kind))
        to.connect(path)
        return to
    pid, number = map(int, path.split("/")[2:4])
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(438, os.pidfd_open(pid), number, 0)           # pidfd_getfd
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return socket.socket(fileno=fd)
"""

# Sends COUNT messages to the socket at PATH, of KIND, each with N lingering TCP sockets, each DEPTH Unix sockets deep. Their
# peers stay open in a child, or there would be nothing to linger for.
SEND = CONNECT + r"""
path, kind, count, n, depth = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
listener.bind(("127.0.0.1", 0))
listener.listen(64)
peers = []
def lingering():
    s = socket.create_connection(listener.getsockname())
    peers.append(listener.accept()[0])
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 120))
    s.setblocking(False)
    try:
        while True: s.send(bytes(1 << 18))
    except BlockingIOError: pass
    return s
def attach(to, data, sockets):
    to.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno() for s in sockets]))])
def nested():
    s = lingering()
    for _ in range(depth):
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        attach(a, b"x", [s])
        s.close(); a.close()
        s = b
    return s
to = connect(path, kind)
sockets = [nested() for _ in range(n)]
ready, done = os.pipe()
if os.fork() == 0:
    os.setsid()
    for s in sockets: s.close()         # while the parent has them, too: not the last close
    to.close()
    for number in (0, 1, 2, done): os.close(number)
    time.sleep(150)
    os._exit(0)
os.close(done)
os.read(ready, 1)
for _ in range(count):
    try: attach(to, b"READY=1\n", sockets)
    except OSError: break       # PID 1 has hung up
print("sent", flush=True)
os._exit(0)                     # at an orderly end this process would linger itself
"""

# A FUSE file system with one file, "file". It answers all but the requests of these numbers; "mute" answers none.
FUSE = r"""
import ctypes, os, struct, sys
point, silent = sys.argv[1], sys.argv[2]
silent = range(100) if silent == "mute" else [int(n) for n in silent.split(",")]
os.makedirs(point, exist_ok=True)
fd = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % fd
assert libc.mount(b"slow", point.encode(), b"fuse", 0, options) == 0, os.strerror(ctypes.get_errno())
print("mounted", flush=True)
def attributes(node):
    mode, ino = (0o40755, 1) if node == 1 else (0o100666, 2)
    return struct.pack("=6Q10I", ino, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
while True:
    request = os.read(fd, 1 << 17 | 4096)
    size, opcode, unique, node = struct.unpack_from("=IIQQ", request)
    if opcode in silent or opcode in (2, 42): continue             # FORGET and BATCH_FORGET have no answer
    answer, error = b"", 0
    if opcode == 26: answer = struct.pack("=IIIIHHIIHHI7I", 7, 31, 1 << 16, 0, 12, 10, 1 << 16, 1, 1, 0, 0, *[0] * 7)
    elif opcode == 1 and request[40:].rstrip(b"\0") == b"file":
        answer = struct.pack("=QQQQII", 2, 1, 0, 0, 0, 0) + attributes(2)
    elif opcode == 1: error = -2
    elif opcode == 3: answer = struct.pack("=QII", 0, 0, 0) + attributes(node)
    elif opcode in (14, 27): answer = struct.pack("=QII", 1, 0, 0)
    elif opcode in (18, 29): pass
    else: error = -38
    os.write(fd, struct.pack("=IiQ", 16 + len(answer), error, unique) + answer)
"""
FLUSH = "25"

SEND_FILE = CONNECT + r"""
fd = os.open(sys.argv[1], os.O_RDWR)
for path in sys.argv[2:]:
    connect(path, "SOCK_DGRAM").sendmsg([b"hello"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
print("sent", flush=True)
os.execvp("sleep", ["sleep", "100"])
"""

# Sends COUNT messages to the socket at PATH, each with the last copy of a write end of a pipe that this process holds: the last
# close waits for it.
SEND_HELD = r"""
import array, os, socket, sys, threading, time
path, count = sys.argv[1], int(sys.argv[2])
read, write = os.pipe()
end = f"/proc/self/fd/{write}"
into = os.open(end, os.O_WRONLY)
ends = [os.open(end, os.O_WRONLY) for _ in range(count)]
mine, silent = socket.socketpair()
threading.Thread(target=os.splice, args=(silent.fileno(), into, 4096), daemon=True).start()
time.sleep(0.5)
to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
to.connect(path)
to.settimeout(float(sys.argv[3]))
for fd in ends:
    try: to.sendmsg([b"READY=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    except (PermissionError, TimeoutError): break           # the kernel refuses them; nobody takes them
    threading.Thread(target=os.close, args=(fd,), daemon=True).start()
print("sent", flush=True)
time.sleep(1000)
"""

# Eight processes for each PATH send messages to it for ever, each with N descriptors.
FLOOD = r"""
import array, os, socket, sys
print("sent", flush=True)
n = int(sys.argv[1])
for path in sys.argv[2:]:
    for _ in range(8):
        if os.fork(): continue
        to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        to.connect(path)
        fds = array.array("i", [os.open("/dev/null", os.O_RDONLY) for _ in range(n)])
        while True:
            try: to.sendmsg([b"READY=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if n else [])
            except OSError: pass
os.wait()
"""

# A service that is alive as long as its messages are read.
ALIVE = r"""
import os, socket, time
to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
to.connect(os.environ["NOTIFY_SOCKET"])
to.send(b"READY=1")
while True:
    to.send(b"WATCHDOG=1")
    time.sleep(0.2)
"""

FILES = {"send.py": SEND, "fuse.py": FUSE, "file.py": SEND_FILE, "held.py": SEND_HELD, "flood.py": FLOOD, "alive.py": ALIVE}
SO_PASSRIGHTS = 83
PIDFD_GETFD = 438
NOBODY = ("setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
          "--no-new-privs")
FLOODER = [word.replace("1001", "1003") for word in NOBODY]        # a user has a bound of descriptors on their way
SOCKETS = {"notify": ("/run/gantry/notify", "SOCK_DGRAM"), "events": ("/run/gantry/events", "SOCK_DGRAM"),
           "control": ("/run/gantry/control", "SOCK_SEQPACKET")}


class Case(unittest.TestCase):
    def assert_answers(self, gantry, what):
        start = time.monotonic()
        status = gantry.ctl("status", "--json")
        self.assertEqual(status.returncode, 0, f"{what}: {status.stderr}")
        self.assertLess(time.monotonic() - start, 4 * PATIENCE, f"{what}: PID 1 did not answer")
        return json.loads(status.stdout)

    def descriptors(self, gantry):
        return len(os.listdir(f"/proc/{gantry.pid}/fd"))

    def assert_no_more(self, gantry, before):
        """PID 1 is left with the descriptors that it had, once all messages are read."""
        end = time.monotonic() + 20 * PATIENCE
        while self.descriptors(gantry) > before and time.monotonic() < end:
            time.sleep(0.05)
        self.assertLessEqual(self.descriptors(gantry), before)

    def process(self, gantry, role):
        """The number, inside, of PID 1's child of this role, once it is that."""
        end = time.monotonic() + 20 * PATIENCE
        while time.monotonic() < end:
            with open(f"/proc/{gantry.pid}/task/{gantry.pid}/children", encoding="ascii") as file:
                children = file.read().split()
            for pid in children:
                with contextlib.suppress(OSError):
                    with open(f"/proc/{pid}/cmdline", encoding="utf-8") as line, \
                         open(f"/proc/{pid}/status", encoding="ascii") as status:
                        if line.read().split("\0")[1:2] == [role]:
                            return [line.split()[-1] for line in status if line.startswith("NSpid")][0]
        raise AssertionError(f"no process {role}")

    @contextlib.contextmanager
    def background(self, gantry, *command, says):
        """A command in PID 1's namespaces, from the line that it says to the end of the block."""
        process = subprocess.Popen(["nsenter", "-t", str(gantry.pid), "-p", "-m", "-n", "-C", "-r", "-w", *command],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.wait)       # not here: it may have to wait for another one's end
        try:
            self.assertEqual(process.stdout.readline(), says + "\n")
            yield process
        finally:
            process.kill()
            process.stdout.close()


@ROOT_ONLY
class Descriptors(Case):
    def send(self, gantry, *arguments, by=NOBODY, stopped=True):
        """Sends. Meanwhile PID 1 is stopped: when it reads, the sender is gone, and it alone has the descriptors."""
        pid = gantry.pid
        if stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            done = gantry.inside(*by, "python3", "/t/send.py", *map(str, arguments))
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(done.stdout, "sent\n", done.stderr)

    def test_a_lingering_socket_of_anybody_keeps_no_socket_of_pid_1_waiting(self):
        with Pid1(boot(services=[service("a")]), files=FILES) as gantry:
            gantry.wait("gantry", "booted")
            self.take_rights(gantry)
            before = self.descriptors(gantry)
            for name, (path, kind) in SOCKETS.items():
                for depth in (0, 1, 3):
                    self.send(gantry, path, kind, 1, 1, depth)
                    self.assert_answers(gantry, f"{name}, {depth} deep")
            self.send(gantry, *SOCKETS["control"], 3, 2, 2, by=())         # root's are refused no less
            self.assert_answers(gantry, "control, by root")
            self.assert_no_more(gantry, before)

    def test_hundreds_of_them_in_hundreds_of_messages_keep_nobody_waiting(self):
        with Pid1(boot(services=[service("a")]), files=FILES) as gantry:
            gantry.wait("gantry", "booted")
            self.take_rights(gantry)
            before = self.descriptors(gantry)
            for path, kind in (SOCKETS["notify"], SOCKETS["events"]):
                self.send(gantry, path, kind, 300, 10, 1, stopped=False)
                self.send(gantry, path, kind, 1, 250, 0)
            self.assert_answers(gantry, "a flood")
            self.assert_no_more(gantry, before)

    def test_a_broken_stage_or_role_keeps_nobody_waiting(self):
        config = boot([stage("wild", "exec sleep 1000")], [service("a")], logs={"directory": "/t/logs"})
        with Pid1(config, files=FILES) as gantry:
            self.assertTrue(gantry.wait("wild", "running"))
            for role in ("stage", "service-log"):
                self.send(gantry, f"/proc/{self.process(gantry, role)}/3", "-", 3, 2, 1, by=())
                self.assert_answers(gantry, role)

    def test_a_file_whose_file_system_does_not_answer_to_a_close_keeps_nobody_waiting(self):
        with Pid1(boot([stage("wild", "exec sleep 1000")]), files=FILES, devices=("fuse",)) as gantry:
            gantry.wait("wild", "running")
            self.take_rights(gantry)
            report = f"/proc/{self.process(gantry, 'stage')}/3"
            before = self.descriptors(gantry)
            with self.background(gantry, "python3", "/t/fuse.py", "/mnt", FLUSH, says="mounted"), \
                 self.background(gantry, "python3", "/t/file.py", "/mnt/file", SOCKETS["notify"][0], SOCKETS["events"][0],
                                 report, says="sent"):
                self.assert_answers(gantry, "a file of FUSE")
                self.assert_no_more(gantry, before)

    def take_rights(self, gantry):
        """As a kernel before 6.16: the sockets of PID 1 take descriptors."""
        libc = ctypes.CDLL(None, use_errno=True)
        pidfd = os.pidfd_open(gantry.pid)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, pidfd)
            found = 0
            for number in os.listdir(f"/proc/{gantry.pid}/fd"):
                fd = libc.syscall(PIDFD_GETFD, pidfd, int(number), 0)
                if fd < 0:
                    continue
                if not os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                    os.close(fd)
                    continue
                theirs = stack.enter_context(socket.socket(fileno=fd))
                if theirs.family == socket.AF_UNIX and theirs.getsockname() in [path for path, _ in SOCKETS.values()]:
                    found += 1
                    with contextlib.suppress(OSError):              # this kernel knows no SO_PASSRIGHTS
                        theirs.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 1)
        self.assertGreaterEqual(found, len(SOCKETS))

    def test_held_pipes_of_anybody_keep_no_message_of_another_waiting(self):
        alive = service("alive", "exec python3 /t/alive.py", ready={"notify": True}, watchdog={"notify_s": 2 * PATIENCE})
        for taken in (False, True):
            with self.subTest(taken=taken), Pid1(boot(services=[alive]), files=FILES) as gantry:
                gantry.wait("gantry", "booted")
                if taken:
                    self.take_rights(gantry)
                patience = str(PATIENCE)
                with self.background(gantry, *NOBODY, "python3", "/t/held.py", SOCKETS["notify"][0], "90", patience,
                                     says="sent"), \
                     self.background(gantry, *NOBODY, "python3", "/t/held.py", SOCKETS["events"][0], "90", patience,
                                     says="sent"):
                    time.sleep(3 * PATIENCE)                # the watchdog would have waited for less
                    self.assert_answers(gantry, "held pipes")
                    gantry.inside("python3", "-c", "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
                                  "s.connect('/run/gantry/events'); s.send(b'after them')")
                    end = time.monotonic() + 20 * PATIENCE
                    while not [e for e in gantry.events if e.text == "after them"] and time.monotonic() < end:
                        time.sleep(0.05)
                    self.assertTrue([e for e in gantry.events if e.text == "after them"], "an event that is never read")
                    self.assertEqual(len(gantry.find("alive", "ready")), 1, gantry.lines)
                    with open(f"/proc/{gantry.pid}/task/{gantry.pid}/children", encoding="ascii") as file:
                        self.assertLess(len(file.read().split()), 24)

    def test_a_flood_of_descriptors_costs_hardly_more_than_one_without(self):
        for taken in (False, True):
            with self.subTest(taken=taken), Pid1(boot(services=[service("a")]), files=FILES) as gantry:
                gantry.wait("gantry", "booted")
                if taken:
                    self.take_rights(gantry)
                without, taking = (self.turn_in(gantry, n) for n in (0, 200))
                self.assertLess(taking, 4 * without + 0.001 * PATIENCE)

    def turn_in(self, gantry, n):
        """How long a turn of PID 1's loop takes meanwhile, on average."""
        with self.background(gantry, *FLOODER, "python3", "/t/flood.py", str(n),
                             SOCKETS["notify"][0], SOCKETS["events"][0], says="sent"):
            try:
                time.sleep(1)
                what = f"a flood of messages with {n} descriptors"
                before = self.assert_answers(gantry, what)["boot"]["loop"]
                time.sleep(3)
                after = self.assert_answers(gantry, what)["boot"]["loop"]
                return (after["sum_s"] - before["sum_s"]) / (after["turns"] - before["turns"])
            finally:
                gantry.inside("sh", "-c", "for p in /proc/[0-9]*; do grep -qs /t/flood.py $p/cmdline && "
                              "[ ${p#/proc/} != $$ ] && kill -9 ${p#/proc/}; done")


@ROOT_ONLY
class Paths(Case):
    def test_a_path_that_does_not_answer_is_its_service_s_own_trouble(self):
        plan = [service("slow", ready={"path": "/mnt/file"}, ready_deadline_s=2, required=False,
                        restart={"min_s": 0.1, "max_s": 0.1}),
                service("quick", ready={"path": "/t/there"})]
        wait = stage("wait", "until [ -e /t/go ]; do sleep 0.05; done")
        with Pid1(boot([wait], plan), files=FILES, devices=("fuse",)) as gantry:
            gantry.wait("wait", "running")
            with self.background(gantry, "python3", "/t/fuse.py", "/mnt", "mute", says="mounted"):
                gantry.write("go", "")
                gantry.wait("slow", "running")
                self.assert_answers(gantry, "a path on a mute file system")
                gantry.write("there", "")
                gantry.wait("quick", "ready")
                self.assertIn("not ready after", gantry.wait("slow", "retrying", count=2).text)
                self.assert_answers(gantry, "a path on a mute file system")

    def test_pid_1_has_no_network_socket_while_a_service_is_asked_by_tcp(self):
        plan = [service("far", ready={"tcp": "192.0.2.1:80"}, ready_deadline_s=0)]
        wait = stage("wait", "until [ -e /t/go ]; do sleep 0.05; done")
        with Pid1(boot([wait], plan), files=FILES) as gantry:
            gantry.wait("wait", "running")
            gantry.inside("ip", "route", "add", "192.0.2.0/24", "dev", "lo")
            gantry.write("go", "")
            gantry.wait("far", "running")
            asked, mine = set(), set()
            end = time.monotonic() + 3
            while time.monotonic() < end or (not asked and time.monotonic() < end + 20 * PATIENCE):
                with open(f"/proc/{gantry.pid}/net/tcp", encoding="ascii") as file:
                    asked |= {f"socket:[{line.split()[9]}]" for line in list(file)[1:] if "010200C0:0050" in line}
                for fd in os.listdir(f"/proc/{gantry.pid}/fd"):
                    with contextlib.suppress(FileNotFoundError):
                        mine.add(os.readlink(f"/proc/{gantry.pid}/fd/{fd}"))
            self.assertTrue(asked, "nobody connects")
            self.assertEqual(asked & mine, set())


@ROOT_ONLY
class Signals(Case):
    def test_a_signal_that_somebody_sends_is_no_crash(self):
        with Pid1(boot(services=[service("a")]), files=FILES) as gantry:
            gantry.wait("gantry", "booted")
            for name in ("SEGV", "BUS", "FPE", "ILL", "ABRT", "SEGV"):
                self.assertEqual(gantry.inside("sh", "-c", f"kill -{name} 1").returncode, 0)
                self.assert_answers(gantry, name)
            self.assertRegex(gantry.wait("gantry", "SIGSEGV from process ", kind="message").text,
                             r"^SIGSEGV from process \d+ ignored$")

    def test_nor_is_one_that_pretends_to_be_pid_1_s_own(self):
        forge = ("import ctypes, os, struct\n"
                 "info = struct.pack('=iiiiii', 11, 0, -1, 0, 1, 0).ljust(128, b'\\0')\n"
                 "r = ctypes.CDLL(None, use_errno=True).syscall(129, 1, 11, info)\n"
                 "print(r, ctypes.get_errno())")
        with Pid1(boot(services=[service("a")]), files=FILES) as gantry:
            gantry.wait("gantry", "booted")
            self.assertEqual(gantry.inside("python3", "-c", forge).stdout, "0 0\n")
            self.assert_answers(gantry, "a forged signal")

    def test_a_fault_of_its_own_still_reboots_the_machine(self):
        with Pid1(boot(services=[service("a")])) as gantry:
            gantry.wait("gantry", "booted")
            pid = gantry.pid
            attach, get, put, detach = 16, 12, 13, 17                   # ptrace(2)
            registers = (ctypes.c_ulong * 27)()
            trace = ctypes.CDLL(None, use_errno=True).ptrace
            trace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
            self.assertEqual(trace(attach, pid, None, None), 0)
            os.waitpid(pid, 0x40000000)                                 # __WALL
            self.assertEqual(trace(get, pid, None, registers), 0)
            registers[15], registers[16] = ctypes.c_ulong(-1).value, 16     # no call to restart; the next instruction
            self.assertEqual(trace(put, pid, None, registers), 0)
            self.assertEqual(trace(detach, pid, None, None), 0)
            self.assertEqual(gantry.end(10), "reboot")
            self.assertTrue([line for line in gantry.lines if "PID 1 crashed, rebooting; signal 11" in line])


if __name__ == "__main__":
    unittest.main()
