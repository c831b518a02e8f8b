# SPDX-License-Identifier: GPL-2.0-or-later
"""Imports the test modules of one kind once, and forks a process for every test it is asked to run: a Python of its own for
each would spend more time on starting and importing than most of the tests on testing.

run.py starts it with a SOCK_SEQPACKET socket and speaks JSON with it. First come the modules, a message each: {"module": its
path below the kind's folder, "tests": [[id, seconds that it only waits, what it shares with others, whether it runs alone],
...]} or {"module", "failure": why it cannot be imported}; then {"module": null}. After that each message to it, {"test" or
"command", "timeout_s"} with two descriptors, is a test method or a program to run: what that prints goes into the first, and
how it ended into the second: {"status", "seconds", "cpu_s"}, the status negative for a signal and null for what had no end in
time. """

import faulthandler
import fcntl
import gc
import glob
import json
import os
import select
import signal
import socket
import struct
import sys
import time
import traceback
import unittest

MESSAGE_MAX = 1 << 16
DYING_S = 5                     # for who is past the deadline: a chance to tidy up, and to say where it was


def tests_in(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_in(item)
        elif isinstance(item, unittest.loader._FailedTest):
            raise item._exception
        else:
            method = getattr(item, item._testMethodName)
            yield item.id(), getattr(method, "waits_s", 0), getattr(method, "shares", None), getattr(method, "alone", False)


def import_all(kind, server):
    """Modules import one another by their bare names, from whichever folder of the kind."""
    top = f"tests/{kind}"
    paths = sorted(glob.glob(f"{top}/**/test_*.py", recursive=True), key=lambda path: (path.count("/"), path))
    sys.path[:0] = [".", top, *sorted({os.path.dirname(path) for path in paths} - {top})]
    seen = {}
    for path in paths:
        module = os.path.splitext(os.path.basename(path))[0]
        try:
            if seen.setdefault(module, path) != path:
                raise ImportError(f"{seen[module]} has the same name")
            found = {"tests": list(tests_in(unittest.defaultTestLoader.loadTestsFromName(module)))}
        except Exception:
            found = {"failure": traceback.format_exc()}
        server.send(json.dumps({"module": os.path.relpath(path, top).removesuffix(".py"), **found}).encode())
    server.send(json.dumps({"module": None}).encode())


def loopback_up():
    SIOCSIFFLAGS, IFF_UP = 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


def run_test(test):
    """The test's own process."""
    os.unshare(os.CLONE_NEWNET)         # two tests at once do not share ports, and none reaches the world
    loopback_up()
    faulthandler.register(signal.SIGTERM, chain=True)
    suite = unittest.defaultTestLoader.loadTestsFromName(test)
    result = unittest.TextTestRunner(verbosity=0, stream=sys.stderr).run(suite)
    for _, why in result.skipped:
        print("skipped:", why)
    return 0 if result.wasSuccessful() and result.testsRun else 1


def kill_session(leader, number):
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        pass


def keep(timeout_s, output, outcome):
    """Makes a process with a session of its own, returns in it, and waits for its end, or brings it about."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setsid()
        for target in (1, 2):
            os.dup2(output, target)
        os.close(output)
        os.close(outcome)
        return
    ended = select.poll()
    ended.register(os.pidfd_open(child), select.POLLIN)
    in_time = ended.poll(timeout_s * 1000)
    if not in_time:
        kill_session(child, signal.SIGTERM)
        ended.poll(DYING_S * 1000)
    kill_session(child, signal.SIGKILL)         # with what it has left; its number is its own until it is waited for
    _, status, usage = os.wait4(child, 0)
    told = {"status": os.waitstatus_to_exitcode(status) if in_time else None, "seconds": time.monotonic() - started,
            "cpu_s": usage.ru_utime + usage.ru_stime}
    os.write(outcome, json.dumps(told).encode())
    os._exit(0)


def main():
    server = socket.socket(fileno=int(sys.argv[2]))
    server.set_inheritable(False)
    import_all(sys.argv[1], server)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)       # nobody waits for the keepers
    while True:
        try:
            message, fds, _, _ = socket.recv_fds(server, MESSAGE_MAX, 2, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            message = b""
        if not message:
            return 0
        try:
            child = os.fork()
        except OSError as error:
            child = None            # nothing is told of the test, and so it has failed
            print(f"{message.decode()}: {error}", file=sys.stderr)
        if child == 0:
            server.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            wanted = json.loads(message)
            keep(wanted["timeout_s"], *fds)
            if "command" in wanted:
                os.execv(wanted["command"][0], wanted["command"])
            return run_test(wanted["test"])
        for fd in fds:
            os.close(fd)


if __name__ == "__main__":
    sys.exit(main())
