#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs every test, prints a line for each and the ten slowest, and ends with `N passed, N failed[, N skipped]`.

Kinds, by folder: unit programs (tests/unit), fuzz corpora (tests/fuzz), and Python unittest modules for components, the build,
and whole machines (tests/component, build, boot), which may lie in a folder below that. T=PATTERN keeps only tests whose name
`kind/folder/file.name` contains the pattern, or matches it as a regular expression; the folder may be left out. Each unit
program and each Python test method runs in a process and a session of its own, with a deadline: what it leaves running is
killed, and a test that hangs is one failed test.

Tests that need the machine to themselves (`alone`) come first, one after the other. All others run beside one another: those that
load the machine (boots, programs, some components) have a place for each processor and one more, for the moments in which a
machine waits; the other components, which mostly wait for something, have one place, and those that only wait (`waits_s`) two.
Of each of these, those that took longest in earlier runs come first, so that no long one is left alone at the end.

A program that does not build, a module that cannot be imported and a program without a test count as failed. A failed test
prints its output. """

import argparse
import collections
import concurrent.futures
import contextlib
import functools
import glob
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
UNIT_TIMEOUT = 600
FUZZ_TIMEOUT = 300
IMPORT_TIMEOUT = 180
MESSAGE_MAX = 1 << 18
# seconds that a single test may take on a busy machine
PYTHON_KINDS = {"component": 240, "build": 1800, "boot": 900}
KINDS = ("boot", "build", "unit", "fuzz", "component")          # in the order of the queue
PLACES_TO_WAIT = 2              # for tests that only wait
SLOWEST = 10                    # that many are named at the end
REMEMBERED = "test-seconds.json"        # how long each test took when it was last run, in any checkout that uses this cache
UNKNOWN_S = 10                  # the place of one that is not known yet among the others
# Components that load the machine, or measure how little is done.
LOADING = re.compile(r"component/(\w+/)?test_(page|page_served|api_abuse|container|container_storage|services_hostile|"
                     r"services_idle|memory|bench|snapshot|snapshot_hostile|events|logs|pid1_api)\.")
SCALE = float(os.environ.get("GANTRY_TIMEOUT_SCALE", "1"))

printing = threading.Lock()


Job = collections.namedtuple("Job", "kind name work waits_s shares alone", defaults=(0, None, False))


class Result:
    def __init__(self, name, verdict, seconds=0.0, reason="", output="", cpu_s=0.0):
        self.name, self.verdict, self.seconds, self.reason, self.output = name, verdict, seconds, reason, output
        self.cpu_s = cpu_s


class Report:
    """Prints results as they come and counts them; into the file TIMES, if there is one, how long each took."""

    def __init__(self, times=None):
        self.times = times
        self.count = {"ok": 0, "FAIL": 0, "skip": 0}
        self.failed = []
        self.kinds = {}                 # kind: [tests, seconds, of them of a processor]
        self.seconds = []               # (seconds, name)
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def add(self, result):
        with printing:
            self.count[result.verdict] += 1
            self.seconds.append((result.seconds, result.name))
            kind = self.kinds.setdefault(result.name.split("/")[0], [0, 0, 0])
            for index, more in enumerate((1, result.seconds, result.cpu_s)):
                kind[index] += more
            if self.times:
                print(f"{result.name} {result.seconds:.2f} {result.cpu_s:.2f}", file=self.times, flush=True)
            word = f"{result.verdict:4}"
            if self.colour:
                word = {"ok": "\033[32m", "FAIL": "\033[31m", "skip": "\033[33m"}[result.verdict] + word + "\033[0m"
            reason = f"  ({result.reason})" if result.reason else ""
            print(f"{word} {result.name}  {result.seconds:.1f} s{reason}", flush=True)
            if result.verdict == "FAIL":
                self.failed.append(result.name)
                for line in result.output.rstrip().splitlines()[-200:]:
                    print("     | " + line[:1000])
                sys.stdout.flush()

    def take(self, results):
        for result in results:
            self.add(result)

    def close(self):
        if len(self.kinds) > 1:
            print("\n" + "\n".join(f"{kind:9} {count:4} tests, {seconds:6.0f} s, of a processor {cpu_s:6.0f} s"
                                   for kind, (count, seconds, cpu_s) in self.kinds.items()))
        total = sum(self.count.values())
        if total > SLOWEST:
            slowest = sorted(self.seconds)[:-SLOWEST - 1:-1]
            print("\nslowest:\n" + "\n".join(f"  {seconds:6.1f} s  {name}" for seconds, name in slowest))
        if self.failed and total > 20:
            print("\nfailed:")
            for name in self.failed:
                print("  " + name)
        skipped = f", {self.count['skip']} skipped" if self.count["skip"] else ""
        if not total:
            print(f"no test matches T={os.environ.get('T', '')}")
        print(f"{self.count['ok']} passed, {self.count['FAIL']} failed{skipped}", flush=True)
        return 1 if self.count["FAIL"] or not total else 0


def reason_of(status, timeout):
    if status is None:
        return f"no end after {timeout * SCALE:.0f} s"
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def make(*goals, quiet=False):
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    out = subprocess.DEVNULL if quiet else None
    command = ["flock", "-o", "build/.lock", "make", "--no-print-directory", "-k", f"-j{os.cpu_count() or 2}", *goals]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment).returncode == 0


def build_programs():
    """The sanitized programs; a set of those that could not be built."""
    sources = sorted(glob.glob("tests/unit/test_*.c") + glob.glob("tests/fuzz/fuzz_*.c"))
    programs = ["build/" + os.path.splitext(source)[0] for source in sources]
    if not programs:
        return {}
    if make("tests-built"):
        return {program: True for program in programs}
    return {program: make("-q", program, quiet=True) for program in programs}


def unit(server, program, built, wanted):
    kind, name = os.path.relpath(program, "build/tests").split("/")
    prefix = f"{kind}/{name}"
    if not built:
        return [Result(prefix, "FAIL", reason="did not build")] if wanted(prefix) else []
    status, output, seconds, cpu_s = server.run(UNIT_TIMEOUT, command=[program])
    results, before = [], []
    for line in output.splitlines():
        match = re.match(r"(ok|not ok|skip) (\w+)(?:: (.*))?$", line)
        if not match:
            before.append(line)
            continue
        verdict, test, reason = match.groups()
        test = f"{prefix}.{test}"
        if wanted(test):
            verdict = {"ok": "ok", "not ok": "FAIL", "skip": "skip"}[verdict]
            results.append(Result(test, verdict, 0, reason or "", "\n".join(before)))
        before = []
    if results:
        results[-1].seconds, results[-1].cpu_s = seconds, cpu_s
    failed = any(result.verdict == "FAIL" for result in results)
    if not results and not wanted(prefix):
        return []
    if not results or (status != 0 and not failed):
        reason = reason_of(status, UNIT_TIMEOUT) if status != 0 else "no test in it"
        results.append(Result(prefix, "FAIL", seconds, reason, output))
    return results


def fuzz(server, program, built):
    name = fuzz_name(program)
    if not built:
        return [Result(name, "FAIL", reason="did not build")]
    corpus = "tests/fuzz/corpus/" + os.path.basename(program).removeprefix("fuzz_")
    if not os.path.isdir(corpus) or not os.listdir(corpus):
        return [Result(name, "FAIL", reason=f"no corpus in {corpus}")]
    status, output, seconds, cpu_s = server.run(FUZZ_TIMEOUT, command=[program, corpus])
    if status == 0:
        return [Result(name, "ok", seconds, cpu_s=cpu_s)]
    return [Result(name, "FAIL", seconds, reason_of(status, FUZZ_TIMEOUT), output, cpu_s)]


def fuzz_name(program):
    return "fuzz/" + os.path.basename(program).removeprefix("fuzz_")


def one_python(server, name, test):
    timeout = PYTHON_KINDS[server.kind]
    status, output, seconds, cpu_s = server.run(timeout, test=test)
    if status == 0:
        skipped = re.search(r"^skipped: (.*)", output, re.M)
        return [Result(name, "skip" if skipped else "ok", seconds, skipped.group(1) if skipped else "", cpu_s=cpu_s)]
    return [Result(name, "FAIL", seconds, reason_of(status, timeout), output, cpu_s)]


class ForkServer:
    """The process that has all Python modules of a kind, and forks another one for each test (forkserver.py)."""

    def __init__(self, kind):
        self.kind = kind
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, os.path.join(TOP, "tests", "forkserver.py"), kind, str(theirs.fileno())]
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                                            start_new_session=True)

    def list(self):
        """[(name, id, seconds that it only waits, what it shares, whether it runs alone)] of all tests in its modules, and
        failures."""
        tests, failures = [], []
        self.socket.settimeout(IMPORT_TIMEOUT * SCALE)
        try:
            while (found := json.loads(self.socket.recv(MESSAGE_MAX)))["module"]:
                name = f"{self.kind}/{found['module']}"
                if "failure" in found:
                    failures.append(Result(name, "FAIL", reason="cannot be imported", output=found["failure"]))
                tests += [(f"{name}.{test.split('.')[-1]}", test, *marks) for test, *marks in found.get("tests", [])]
        except (OSError, ValueError) as error:
            failures.append(Result(f"{self.kind}/all", "FAIL", reason=f"cannot be imported: {error}"))
        self.socket.settimeout(None)
        return tests, failures

    def run(self, timeout, **what):
        """Runs a `test` or a `command`: (status or None after the deadline, output, seconds, CPU seconds)."""
        told, outcome = os.pipe()
        with open(told, encoding="ascii") as told, tempfile.TemporaryFile("a+b") as output:
            message = json.dumps({**what, "timeout_s": timeout * SCALE}).encode()
            try:
                socket.send_fds(self.socket, [message], [output.fileno(), outcome])
            finally:
                os.close(outcome)
            told = json.loads(told.read() or '{"status": 1, "seconds": 0, "cpu_s": 0}')     # who keeps it was killed
            output.seek(0)
            return told["status"], output.read().decode("utf-8", "replace"), told["seconds"], told["cpu_s"]

    def close(self):
        self.socket.close()
        self.process.wait()


class Memory:
    """{job: seconds} of earlier runs, in a file."""

    def __init__(self, path):
        self.path = path
        self.seconds, self.new = self.read(), {}

    def read(self):
        with contextlib.suppress(OSError, ValueError), open(self.path, encoding="utf-8") as file:
            return {name: float(seconds) for name, seconds in json.load(file).items()}
        return {}

    def run(self, job):
        started = time.monotonic()
        results = job.work()
        self.new[job.name] = round(time.monotonic() - started, 1)
        return results

    def write(self):
        with contextlib.suppress(OSError):
            new = f"{self.path}.{os.getpid()}"
            with open(new, "w", encoding="utf-8") as file:
                json.dump({**self.read(), **self.new}, file, indent=0, sort_keys=True)
            os.replace(new, self.path)


def in_order(jobs, seconds):
    """Those that took longest first; of those that are not known, by kind, and those that load the machine first. Of those that
    share something, such as a guest, the first one makes it: it comes before all others, so that nobody waits for it."""
    makers = {job.shares: job for job in reversed(jobs) if job.shares}

    def place(job):
        return 1 if not job.shares else 0 if makers[job.shares] is job else 2

    def key(job):
        took = seconds.get(job.name, UNKNOWN_S)
        return (place(job) != 0, -took, KINDS.index(job.kind), not LOADING.match(job.name), place(job))

    return sorted(jobs, key=key)


def is_light(job):
    return job.kind == "component" and not LOADING.match(job.name)


def run_all(jobs, at_once, report, memory):
    jobs = in_order(jobs, memory.seconds)
    for job in (job for job in jobs if job.alone):
        report.take(memory.run(job))
    jobs = [job for job in jobs if not job.alone]
    waiting = collections.deque(sorted((job for job in jobs if job.waits_s and at_once > 1), key=lambda job: -job.waits_s))
    light = collections.deque(job for job in jobs if is_light(job) and job not in waiting)
    heavy = collections.deque(job for job in jobs if not is_light(job) and job not in waiting)

    def place(*queues):
        for queue in queues:
            with contextlib.suppress(IndexError):
                while True:
                    report.take(memory.run(queue.popleft()))

    places = [(heavy, light)] * at_once
    if at_once > 1:
        places += [(heavy, light), (light,), *[(waiting,)] * PLACES_TO_WAIT]
    with concurrent.futures.ThreadPoolExecutor(len(places)) as executor:
        for future in [executor.submit(place, *queues) for queues in places]:
            future.result()


def main():
    parser = argparse.ArgumentParser(description="runs the tests")
    parser.add_argument("pattern", nargs="?", default=os.environ.get("T", ""))
    parser.add_argument("--without", type=re.compile, metavar="PATTERN", help="not those whose name it matches")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this kind")
    parser.add_argument("--jobs", type=int, default=int(os.environ.get("GANTRY_TEST_JOBS", "2")))
    parser.add_argument("--times", type=argparse.FileType("w"), help="a file for a line a test: name, seconds, of a processor")
    options = parser.parse_args()
    os.chdir(TOP)
    os.environ["GANTRY_TEST_RUN"] = f"{os.getpid()}-{time.time_ns()}"      # for what the tests of one run share
    pattern = re.compile(options.pattern)
    named = re.match(rf"({'|'.join(KINDS)})/([^|(]|\([^()]*\))*$", options.pattern)     # no kind but one can match
    kinds = options.kind or ([named[1]] if named else KINDS)

    def wanted(name):
        if options.without and options.without.search(name):
            return False
        short = re.sub(r"^(\w+)/.*/", r"\1/", name)         # without the folder
        return any(options.pattern in each or pattern.search(each) for each in (name, short))

    report = Report(options.times)
    started = time.monotonic()
    jobs = []
    if set(kinds) & set(PYTHON_KINDS):
        sys.stdout.flush()
        if not make("all") and not options.pattern:
            report.add(Result("build/all", "FAIL", reason="did not build; the compiler's words are above"))
    servers = {kind: ForkServer(kind) for kind in kinds}
    for kind in kinds:
        tests, failures = servers[kind].list()
        for failure in failures:
            if wanted(failure.name):
                report.add(failure)
        jobs += [Job(kind, name, functools.partial(one_python, servers[kind], name, test), *marks)
                 for name, test, *marks in tests if wanted(name)]
    if set(kinds) & {"unit", "fuzz"}:
        for program, built in build_programs().items():
            kind = program.split("/")[2]
            if kind == "unit" in kinds:
                jobs.append(Job(kind, program, functools.partial(unit, servers[kind], program, built, wanted)))
            elif kind == "fuzz" in kinds and wanted(fuzz_name(program)):
                jobs.append(Job(kind, program, functools.partial(fuzz, servers[kind], program, built)))
    memory = Memory(os.path.join("/cache" if os.access("/cache", os.W_OK) else "build", REMEMBERED))
    run_all(jobs, options.jobs, report, memory)
    memory.write()
    for server in servers.values():
        server.close()
    if options.pattern and not sum(report.count.values()):
        print(f"no test's name contains {options.pattern}")
    print(f"in {time.monotonic() - started:.0f} s")
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
