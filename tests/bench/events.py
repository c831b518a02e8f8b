# SPDX-License-Identifier: GPL-2.0-or-later
"""How many events a second PID 1 takes over its socket and its FIFO, from senders that block and never drop:

    make enter CMD='python3 tests/bench/events.py'

PID 1 runs as in the component tests, in namespaces of its own, without a limit a sender. An argument is the number of
events of each sender.
"""

import json
import os
import sys
import time
from typing import NamedTuple

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "component"))
from pid1 import Pid1, boot  # noqa: E402

SOCKET = """
import socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect("/run/gantry/events")
line, send = %r, s.send
for i in range(%d):
    send(line)
"""
FIFO = """
import os
fd, line = os.open("/run/events.fifo", os.O_WRONLY), %r
for i in range(%d):
    os.write(fd, line)
"""
TIMED = """
import subprocess, sys, time
began = time.monotonic()
senders = [subprocess.Popen([sys.executable, "-c", %r]) for _ in range(%d)]
assert all(sender.wait() == 0 for sender in senders)
print(time.monotonic() - began)
"""
TEXT = b"block 19000000 built in 12 ms, 3 bundles"
CONFIG = boot(events={"fifo": "/run/events.fifo", "rate_per_s": 0})
JSON = b'{"message":"block 19000000 built in 12 ms","level":"info","fields":{"bundles":3}}'


def seen(gantry):
    """The number of the newest event, once no more come: what a writer has left in a queue is read a moment later."""
    last = -1
    while True:
        now = json.loads(gantry.ctl("status", "--json").stdout)["boot"]["events"]
        if now == last:
            return now
        last = now
        time.sleep(0.2)


def busy(gantry):
    """Seconds of CPU that PID 1 has used: unlike the time on the clock, the same on a busy machine."""
    with open(f"/proc/{gantry.pid}/stat", encoding="ascii") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


class Run(NamedTuple):
    rate: float
    lost: int
    cpu_us: float           # of PID 1 for each

    def __str__(self):
        return f"{self.rate:7.0f} a second, {self.lost} lost, {self.cpu_us:5.2f} us of PID 1 each"


def measure(gantry, script, senders, count, lines=1):
    """`senders` processes at once run `script`, which adds `count` times `lines` events."""
    before, cpu = seen(gantry), busy(gantry)
    run = gantry.inside("/usr/bin/python3", "-c", TIMED % (script, senders), timeout=100)
    seconds = float(run.stdout)
    after, cpu = seen(gantry), busy(gantry) - cpu
    sent = senders * count * lines
    return Run(sent / seconds, sent - (after - before), cpu / sent * 1e6)


def loads(count):
    """[(name, arguments of measure(), the rate that it shall have)]"""
    return [("socket, text", (SOCKET % (TEXT, count), 1, count), 100000),
            ("socket, text, 4 senders", (SOCKET % (TEXT, count // 4), 4, count // 4), 100000),
            ("socket, JSON", (SOCKET % (JSON, count), 1, count), None),
            ("fifo, a line a write", (FIFO % (TEXT + b"\n", count), 1, count), None),
            ("fifo, 50 lines a write", (FIFO % ((TEXT + b"\n") * 50, count // 50), 1, count // 50, 50), None)]


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300000
    with Pid1(CONFIG) as gantry:
        gantry.wait("gantry", "booted")
        for name, arguments, _ in loads(count):
            print(f"{name:26} {measure(gantry, *arguments)}", flush=True)


if __name__ == "__main__":
    main()
