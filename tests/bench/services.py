# SPDX-License-Identifier: GPL-2.0-or-later
"""Supervision: Gantry's PID 1 beside s6, runit and finit, each PID 1 of equal namespaces, with the same static program to run.

    make bench ONLY=services

The contestants take turns, so that what else the machine does meets all of them.
"""

import contextlib
import json
import os
import re
import resource
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "component"), os.path.join(HERE, "..", "..")]
from figures import Figure
from pid1 import INIT, cgroup_of_our_own, remove_cgroup
from qemu import image
from watch import processor_seconds

SIZES = (10, 100, 1000)
RESTARTS, RESTARTING, RESTART_SECONDS = 10000, 1000, 40
ORPHANS = 100000
IDLE_SECONDS = 5
TIMEOUT = 120
RECORD = struct.Struct("<qc7x")
ROLES = {"begin": 1, "serve": 2, "quit": 3, "orphans": 4}

# A root in memory, alike for all; what a contestant needs of files is in /t/files, the programs and the FIFO in /t.
SETUP = r"""
set -e
R=$1 T=$2; shift 2
mount --make-rprivate /
mount -t tmpfs root "$R"
cd "$R"
mkdir usr dev proc sys run tmp etc etc/gantry etc/finit.d t var var/run var/log
mount --rbind /usr usr
mount -t tmpfs none usr/lib/finit/system
for d in bin sbin lib lib64; do ln -s usr/$d $d; done
mount -t tmpfs dev dev
for d in null zero full urandom random; do : > dev/$d; mount --bind /dev/$d dev/$d; done
mkdir dev/pts dev/shm
mount -t proc proc proc
mount --bind "$T" t
cp -a t/files/. .
printf 'root:x:0:0::/:/bin/sh\n' > etc/passwd
printf 'root:x:0:\n' > etc/group
ip link set lo up
exec chroot "$R" /t/begin "$@"
"""


def on_files(folder, name, content="", link=None):
    path = os.path.join(folder, "files", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if link:
        os.symlink(link, path)
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)


class Gantry:
    name, chains = "Gantry", True
    command = ("/init",)

    @staticmethod
    def config(services):
        restart = {"policy": "always", "min_s": 1, "max_s": 1}
        nodes = [{"name": name, "command": ["/t/" + role], "restart": restart, **({"needs": [need]} if need else {})}
                 for name, role, need in services]
        return {"stages": [], "services": nodes}

    @classmethod
    def prepare(cls, folder, services):
        on_files(folder, "etc/gantry/boot.json", json.dumps(cls.config(services)))
        subprocess.run(["cp", INIT, os.path.join(folder, "files", "init")], check=True)

    @staticmethod
    def stop(run):
        os.kill(run.pid, signal.SIGTERM)


class ScanFolder:
    chains = False

    @staticmethod
    def prepare(folder, services):
        for name, role, _ in services:
            on_files(folder, f"run/scan/{name}/run", link="/t/" + role)


class S6(ScanFolder):
    name = "s6"
    command = ("/usr/bin/s6-svscan", "-c", "1100", "/run/scan")

    @staticmethod
    def stop(run):
        os.kill(run.pid, signal.SIGTERM)


class Runit(ScanFolder):
    """runsvdir itself: runit's own PID 1 runs it by a script, and does no more. It would end at once when told to, before
    what it supervises has, so that is what is told."""
    name = "runit"
    command = ("/usr/bin/runsvdir", "/run/scan")

    @staticmethod
    def stop(run):
        run.inside("sh", "-c", "exec sv stop /run/scan/*")


class Finit:
    name, chains = "finit", True
    command = ("/usr/sbin/finit",)

    @staticmethod
    def prepare(folder, services):
        lines = [f"service [2] {f'<service/{need}/ready>' if need else ''} name:{name} notify:none respawn restart_sec:1 "
                 f"/t/{role} -- {name}"
                 for name, role, need in services]
        on_files(folder, "etc/fstab", "# nothing\n")
        on_files(folder, "etc/finit.conf", "runlevel 2\n")
        on_files(folder, "etc/finit.d/all.conf", "\n".join(lines) + "\n")

    @staticmethod
    def stop(run):
        os.kill(run.pid, signal.SIGUSR2)        # power off


CONTESTANTS = (Gantry, S6, Runit, Finit)


def compile_programs(folder):
    """With musl: glibc asks every static program's processor what it can, which is slow in a virtual machine."""
    compiler = os.path.join(image.Inputs(image.BUILD)["LIBS"], "tc", "bin", "musl-gcc")
    for name, role in ROLES.items():
        subprocess.run([compiler, "-Os", "-static", "-s", f"-DROLE={role}", f"-DORPHAN_COUNT={ORPHANS}", "-o",
                        os.path.join(folder, name), os.path.join(HERE, "member.c")], check=True)


class Run:
    """A contestant with these services: [(name, role, the one it needs, or None)]; a context manager."""

    def __init__(self, contestant, programs, services):
        self.contestant = contestant
        self.folder = tempfile.mkdtemp(prefix="bench-", dir=programs)
        self.shared, root = os.path.join(self.folder, "t"), os.path.join(self.folder, "root")
        for path in (self.shared, root, os.path.join(self.shared, "files")):
            os.mkdir(path)
        for name in ROLES:
            os.link(os.path.join(programs, name), os.path.join(self.shared, name))
        for name in ("fifo", "go"):
            os.mkfifo(os.path.join(self.shared, name))
        self.fifo = os.open(os.path.join(self.shared, "fifo"), os.O_RDWR)
        contestant.prepare(self.shared, services)
        self.told = {"b": [], "s": [], "e": [], "o": []}
        self.changed = threading.Condition()
        self.cgroup = cgroup_of_our_own(os.path.basename(self.folder))
        if not self.cgroup:
            raise OSError("no cgroup2 to count in")
        self.process = subprocess.Popen(
            ["sh", "-c", f'echo $$ > {self.cgroup}/cgroup.procs && exec "$@"', "join", "unshare", "--fork", "--kill-child",
             "--pid", "--mount", "--net", "--uts", "--ipc", "--cgroup", "sh", "-c", SETUP, "setup", root, self.shared,
             *contestant.command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            records = os.read(self.fifo, RECORD.size * 4096)
            with self.changed:
                for ns, letter in RECORD.iter_unpack(records):
                    if letter == b"x":
                        return
                    self.told[letter.decode()].append(ns)
                self.changed.notify_all()

    def __enter__(self):
        self.wait("b", 1)
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            self.pid = int(file.read().split()[0])
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.write(self.fifo, RECORD.pack(0, b"x"))
        self.reader.join()
        os.close(self.fifo)
        remove_cgroup(self.cgroup)

    def wait(self, letter, count, timeout=TIMEOUT):
        """Until so many have told it; the moment of that one, in ns."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.told[letter]) >= count, timeout):
                raise OSError(f"{self.contestant.name}: {len(self.told[letter])} of {count} \"{letter}\" in {timeout} s")
            return sorted(self.told[letter])[count - 1]

    def inside(self, *command):
        subprocess.run(["nsenter", "-t", str(self.pid), "-p", "-m", "-n", "-r", "-w", *command], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TIMEOUT)

    def supervisors(self):
        """The pids of what is not one of the services."""
        found = []
        for folder, _, _ in os.walk(self.cgroup):
            with contextlib.suppress(OSError), open(os.path.join(folder, "cgroup.procs"), encoding="ascii") as file:
                found += [int(pid) for pid in file.read().split()]
        return [pid for pid in found if pid != self.process.pid and self.program(pid) not in ROLES]

    @staticmethod
    def program(pid):
        with contextlib.suppress(OSError):
            return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
        return None

    def cpu_us(self):
        with open(os.path.join(self.cgroup, "cpu.stat"), encoding="ascii") as file:
            return int(re.search(r"usage_usec (\d+)", file.read())[1])

    def pid_1_us(self):
        with open(f"/proc/{self.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0]) / 1000

    def children(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
            return len(file.read().split())


def independent(count, role="serve"):
    return [(f"s{i:04}", role, None) for i in range(count)]


def chain(count):
    return [(f"s{i:04}", "serve", f"s{i - 1:04}" if i else None) for i in range(count)]


def pss_kib(pids):
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M)[1])
    return total


def wakeups(pids):
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii") as file:
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M)[1])
    return total


def settle(run):
    """Until nothing of it has run for half a second."""
    before = -1
    for _ in range(40):
        now = run.cpu_us()
        if now - before < 500:
            return
        before = now
        time.sleep(0.5)


def start_stop(contestant, programs, count):
    """({figure: value}, the CPU seconds it took) of so many services."""
    with Run(contestant, programs, independent(count)) as run:
        found = {"start": (run.wait("s", count) - run.told["b"][0]) / 1e6}
        settle(run)
        pids = run.supervisors()
        found["memory"], found["processes"] = pss_kib(pids), len(pids)
        if count == SIZES[-1]:
            before, began = wakeups(pids), time.monotonic()
            time.sleep(IDLE_SECONDS)
            found["wakeups"] = (wakeups(pids) - before) / (time.monotonic() - began)
        began = time.monotonic_ns()
        contestant.stop(run)
        found["stop"] = (run.wait("e", count) - began) / 1e6
        return found, run.cpu_us() / 1e6


def start_chain(contestant, programs, count):
    with Run(contestant, programs, chain(count)) as run:
        return {"chain": (run.wait("s", count) - run.told["b"][0]) / 1e6}, run.cpu_us() / 1e6


def restart(contestant, programs):
    with Run(contestant, programs, independent(RESTARTING, "quit")) as run:
        run.wait("s", RESTARTING)
        before, count = run.cpu_us(), len(run.told["s"])
        with contextlib.suppress(OSError):      # as many as it makes
            run.wait("s", count + RESTARTS, RESTART_SECONDS)
        return {"restart": (run.cpu_us() - before) / (len(run.told["s"]) - count)}, run.cpu_us() / 1e6


def orphans(contestant, programs, count):
    """CPU time of PID 1 for each, with so many services beside; all of them must have gone."""
    with Run(contestant, programs, independent(count - 1) + [("orphans", "orphans", None)]) as run:
        run.wait("s", count)
        settle(run)
        living, before, until = run.children(), run.pid_1_us(), time.monotonic() + TIMEOUT
        os.close(os.open(os.path.join(run.shared, "go"), os.O_WRONLY))
        run.wait("o", 1)
        while run.children() > living:
            if time.monotonic() > until:
                raise OSError(f"{contestant.name}: {run.children() - living} orphans were never reaped")
            time.sleep(0.05)
        return {"orphans": (run.pid_1_us() - before) / ORPHANS}, run.cpu_us() / 1e6


SECTION = "Services: Gantry beside s6, runit and finit, each PID 1 of equal namespaces"
FIGURES = (
    # key, name, unit, how
    ("start", "start {}", "ms", "from exec of PID 1 until the last of so many independent services has told that it runs"),
    ("chain", "start a chain of {}", "ms", "the same, each needing the one before; s6 and runit know no dependencies"),
    ("stop", "stop {}", "ms", "from telling it to stop (s6: SIGTERM; runit: sv stop; finit: power off) until the last has ended"),
    ("memory", "memory with {}", "kB", "PSS of PID 1 and of every process of the supervisor's own"),
    ("processes", "processes with {}", "", "PID 1 and every process of the supervisor's own"),
    ("wakeups", "wake-ups a second with {}", "/s",
     f"voluntary context switches of those, over {IDLE_SECONDS} s with nothing to do"),
    ("restart", "a restart", "us",
     f"CPU time of everything in the cgroup, for each of {RESTARTS} starts of {RESTARTING} services that "
     f"end at once and are started a second later (finit: as many as it makes in {RESTART_SECONDS} s, when it falls behind)"),
    ("orphans", "an orphan, beside {} services", "us",
     f"CPU time of PID 1 for each of {ORPHANS} dead processes left to it; all are gone"),
)


def attempts():
    """(size, what to run, its arguments), for one contestant."""
    yield from ((size, start_stop, size) for size in SIZES)
    yield from ((size, start_chain, size) for size in SIZES)
    yield (RESTARTING, restart)
    yield from ((size, orphans, size) for size in (SIZES[0], SIZES[-1]))


def measure(samples, say):
    """(figures, the number of processors that other work kept busy)"""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    began, (busy, _), own = time.monotonic(), processor_seconds(), sum(os.times()[:4])
    seen, spent = {}, 0.0
    with tempfile.TemporaryDirectory(prefix="bench-") as programs:
        os.chmod(programs, 0o755)
        compile_programs(programs)
        for number in range(1, samples + 1):
            for size, run, *arguments in attempts():
                for contestant in CONTESTANTS:
                    if run is start_chain and not contestant.chains:
                        continue
                    found, used = run(contestant, programs, *arguments)
                    spent += used
                    for key, value in found.items():
                        seen.setdefault((key, size), {}).setdefault(contestant.name, []).append(value)
                    say(f"  {number}/{samples} {contestant.name} {size}: " +
                        ", ".join(f"{key} {value:.4g}" for key, value in found.items()))
    spent += sum(os.times()[:4]) - own
    return figures_of(seen), max(processor_seconds()[0] - busy - spent, 0) / (time.monotonic() - began)


def figures_of(seen):
    found = []
    for key, name, unit, how in FIGURES:
        for (of, size), values in seen.items():
            if of == key and Gantry.name in values:
                beside = {other: statistics.median(samples) for other, samples in values.items() if other != Gantry.name}
                found.append(Figure(SECTION, name.format(size), unit, how, values[Gantry.name], beside=beside))
    return found
