# SPDX-License-Identifier: GPL-2.0-or-later
"""What a flood of output costs: how long PID 1 takes to answer, and its own CPU, while services print as much as they can:

    make enter CMD='python3 tests/bench/logs.py'

PID 1 runs as in the component tests, in namespaces of its own, its logs on a tmpfs. Three runs, one after the other: nobody
prints; one service floods; four do. An event's latency is the time from a datagram on the event socket until a
follower has the event. An argument is the number of events measured in each run.
"""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "component"))
from pid1 import Pid1, boot, service  # noqa: E402

LINE = "x" * 99
FLOOD = f"exec yes {LINE}"
LATENCY = """
import json, socket, struct, sys, time
count = int(sys.argv[1])
events = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
events.connect("/run/gantry/events")
control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
control.connect("/run/gantry/control")
control.send(struct.pack("<HHIq", 1, 1, 0, 1))
took = []
for i in range(count):
    mark = b"latency %d." % i
    began = time.monotonic()
    events.send(mark)
    while mark not in control.recv(65536):
        pass
    took.append(time.monotonic() - began)
    time.sleep(0.005)
print(json.dumps(took))
"""


def busy(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def written(gantry, name):
    """Bytes that the service has had written, as its own counter of what it has put into its pipe."""
    pid = next(s["pid"] for s in json.loads(gantry.ctl("status", "--json").stdout)["services"] if s["name"] == name)
    with open(f"/proc/{gantry.pid}/root/proc/{pid}/io", encoding="ascii") as file:
        return int(next(line.split()[1] for line in file if line.startswith("wchar")))


def names_of(floods):
    return [f"flood-{i}" for i in range(floods)]


def config(floods):
    services = [service(name, FLOOD, log={"max_bytes": 1 << 24, "files": 2}) for name in names_of(floods)]
    return boot([], [service("calm"), *services], logs={"directory": "/tmp/log"})


def measure(floods, count):
    names = names_of(floods)
    with Pid1(config(floods), files={"latency.py": LATENCY}) as gantry:
        gantry.wait("gantry", "booted")
        time.sleep(0.5)
        before, began, cpu = [written(gantry, name) for name in names], time.monotonic(), busy(gantry.pid)
        took = sorted(json.loads(gantry.inside("python3", "/t/latency.py", str(count), timeout=120).stdout))
        seconds, cpu = time.monotonic() - began, busy(gantry.pid) - cpu
        after = [written(gantry, name) for name in names]
        dropped = sum(s["log_dropped"] for s in json.loads(gantry.ctl("status", "--json").stdout)["services"])
    rate = (sum(after) - sum(before)) / seconds / 1e6
    print(f"{floods} floods: {rate:6.1f} MB/s taken, {dropped} lines dropped; an event seen after {took[count // 2] * 1e3:6.3f} "
          f"ms (median), {took[count * 99 // 100] * 1e3:6.3f} ms (99 of 100); PID 1 busy for {100 * cpu / seconds:4.1f} %",
          flush=True)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    for floods in 0, 1, 4:
        measure(floods, count)


if __name__ == "__main__":
    main()
