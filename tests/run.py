#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs every test, two at a time, a line each, and ends with `N passed, N failed[, N skipped]`.

Kinds, by folder: unit programs (tests/unit), fuzz corpora (tests/fuzz), and Python unittest modules for components,
interoperability, the build, and whole machines (tests/component, interop, build, boot). T=PATTERN keeps only tests whose
`kind/file.name` contains it (or matches it as a regular expression). Each Python test method runs in a process of its own,
in its own session, with a deadline: what it leaves running is killed, and one that hangs is one failed test.

What does not build, cannot be imported or says nothing counts as failed. A test that fails prints its output.
"""

import argparse
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
UNIT_TIMEOUT = 120
FUZZ_TIMEOUT = 120
# seconds a single test may take, tests at once
PYTHON_KINDS = {"component": (120, 2), "interop": (180, 2), "build": (900, 1), "boot": (420, 2)}
SCALE = float(os.environ.get("GANTRY_TIMEOUT_SCALE", "1"))

printing = threading.Lock()


class Result:
    def __init__(self, name, verdict, seconds=0.0, reason="", output=""):
        self.name, self.verdict, self.seconds, self.reason, self.output = name, verdict, seconds, reason, output


class Report:
    """Prints results as they come and counts them."""

    def __init__(self):
        self.count = {"ok": 0, "FAIL": 0, "skip": 0}
        self.failed = []
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def add(self, result):
        with printing:
            self.count[result.verdict] += 1
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

    def close(self):
        if len(self.failed) > 0 and sum(self.count.values()) > 20:
            print("\nfailed:")
            for name in self.failed:
                print("  " + name)
        skipped = f", {self.count['skip']} skipped" if self.count["skip"] else ""
        print(f"{self.count['ok']} passed, {self.count['FAIL']} failed{skipped}", flush=True)
        return 1 if self.count["FAIL"] else 0


def run(command, timeout, environment=None):
    """Returns (status or None after the deadline, output, seconds); nothing of its session survives it."""
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True, env=dict(os.environ, **(environment or {})))
    try:
        output, _ = process.communicate(timeout=timeout * SCALE)
        status = process.returncode
    except subprocess.TimeoutExpired:
        try:
            os.killpg(process.pid, signal.SIGTERM)      # a chance to tidy up and to say where it was
            output, _ = process.communicate(timeout=5)
        except (subprocess.TimeoutExpired, ProcessLookupError):
            kill_session(process.pid)
            output, _ = process.communicate()
        status = None
    kill_session(process.pid)
    return status, output.decode("utf-8", "replace"), time.monotonic() - started


def kill_session(leader):
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


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


def unit(program, built, wanted):
    kind, name = os.path.relpath(program, "build/tests").split("/")
    prefix = f"{kind}/{name}"
    if not built:
        return [Result(prefix, "FAIL", reason="did not build")] if wanted(prefix) else []
    status, output, seconds = run([program], UNIT_TIMEOUT)
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
        results[-1].seconds = seconds
    failed = any(result.verdict == "FAIL" for result in results)
    if not results and not wanted(prefix):
        return []
    if not results or (status != 0 and not failed):
        reason = reason_of(status, UNIT_TIMEOUT) if status != 0 else "no test in it"
        results.append(Result(prefix, "FAIL", seconds, reason, output))
    return results


def fuzz(program, built, wanted):
    name = "fuzz/" + os.path.basename(program).removeprefix("fuzz_")
    if not built:
        return [Result(name, "FAIL", reason="did not build")]
    corpus = "tests/fuzz/corpus/" + os.path.basename(program).removeprefix("fuzz_")
    if not os.path.isdir(corpus) or not os.listdir(corpus):
        return [Result(name, "FAIL", reason=f"no corpus in {corpus}")]
    status, output, seconds = run([program, corpus], FUZZ_TIMEOUT)
    if status == 0:
        return [Result(name, "ok", seconds)]
    return [Result(name, "FAIL", seconds, reason_of(status, FUZZ_TIMEOUT), output)]


# Run by a Python of its own: lists the test methods of a module, or runs one of them.
LIST = """
import sys, unittest
sys.path[:0] = [".", sys.argv[2]]
def flat(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flat(item)
        else:
            yield item
loader = unittest.TestLoader()
for test in flat(loader.loadTestsFromName(sys.argv[1])):
    if isinstance(test, unittest.loader._FailedTest):
        raise test._exception
    print("test", test.id())
"""

ONE = """
import faulthandler, os, signal, sys, unittest
os.unshare(os.CLONE_NEWNET)         # two tests at once do not share ports, and none reaches the world
os.system("ip link set lo up")
sys.path[:0] = [".", sys.argv[2]]
faulthandler.register(signal.SIGTERM, chain=True)
result = unittest.TextTestRunner(verbosity=0, stream=sys.stderr).run(unittest.defaultTestLoader.loadTestsFromName(sys.argv[1]))
for _, why in result.skipped:
    print("skipped:", why)
sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
"""


def list_python(kind, path):
    """[(name, id)] of a module's tests, or a failure."""
    module = os.path.splitext(path)[0].replace("/", ".")
    name = f"{kind}/{os.path.splitext(os.path.basename(path))[0]}"
    status, output, seconds = run([sys.executable, "-c", LIST, module, os.path.dirname(path)], 60)
    if status != 0:
        return [], Result(name, "FAIL", seconds, "cannot be imported", output)
    tests = [line[5:] for line in output.splitlines() if line.startswith("test ")]
    return [(f"{name}.{test.split('.')[-1]}", test) for test in tests], None


# A network of its own for each, so that two tests side by side never want the same port.
ALONE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "alone"]


def one_python(name, test, folder, timeout):
    alone = ALONE if name.startswith(("component/", "interop/")) else []
    status, output, seconds = run([*alone, sys.executable, "-c", ONE, test, folder], timeout)
    if status == 0:
        skipped = re.search(r"^skipped: (.*)", output, re.M)
        return [Result(name, "skip" if skipped else "ok", seconds, skipped.group(1) if skipped else "")]
    return [Result(name, "FAIL", seconds, reason_of(status, timeout), output)]


def main():
    parser = argparse.ArgumentParser(description="runs the tests")
    parser.add_argument("pattern", nargs="?", default=os.environ.get("T", ""))
    parser.add_argument("--kind", action="append", help="only this kind: unit, fuzz, component, interop, build, boot")
    parser.add_argument("--jobs", type=int, default=int(os.environ.get("GANTRY_TEST_JOBS", "2")))
    options = parser.parse_args()
    os.chdir(TOP)
    os.environ["GANTRY_TEST_RUN"] = f"{os.getpid()}-{time.time_ns()}"      # for what the tests of one run share
    kinds = options.kind or ["unit", "fuzz", *PYTHON_KINDS]
    pattern = re.compile(options.pattern)

    def wanted(name):
        return options.pattern in name or pattern.search(name) is not None

    report = Report()
    started = time.monotonic()

    def pool(jobs, work):
        with concurrent.futures.ThreadPoolExecutor(jobs) as executor:
            for future in concurrent.futures.as_completed([executor.submit(*item) for item in work]):
                for result in future.result():
                    report.add(result)

    if not options.kind or set(options.kind) & set(PYTHON_KINDS):
        sys.stdout.flush()
        if not make("all") and not options.pattern:
            report.add(Result("build/all", "FAIL", reason="did not build; the compiler's words are above"))
    if "unit" in kinds or "fuzz" in kinds:
        programs = build_programs()
        pool(options.jobs, [(unit if "/unit/" in program else fuzz, program, built, wanted) for program, built in programs.items()
                            if program.split("/")[2] in kinds and ("/unit/" in program or wanted(fuzz_name(program)))])
    for kind, (timeout, at_once) in PYTHON_KINDS.items():
        if kind not in kinds:
            continue
        work = []
        for path in sorted(glob.glob(f"tests/{kind}/test_*.py")):
            tests, failure = list_python(kind, path)
            if failure and wanted(failure.name):
                report.add(failure)
            work += [(one_python, name, test, f"tests/{kind}", timeout) for name, test in tests if wanted(name)]
        pool(min(options.jobs, at_once), work)
    if options.pattern and not sum(report.count.values()):
        print(f"no test's name contains {options.pattern}")
    print(f"in {time.monotonic() - started:.0f} s")
    return report.close()


def fuzz_name(program):
    return "fuzz/" + os.path.basename(program).removeprefix("fuzz_")


if __name__ == "__main__":
    sys.exit(main())
