# SPDX-License-Identifier: GPL-2.0-or-later
"""What services can do to PID 1, and what chance can do to services: closed pipes, descriptors, processes that multiply, and
a storm of signals at everything but PID 1, after which everything is up again and PID 1 has lost nothing."""

import json
import os
import random
import re
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import within  # noqa: E402
from patience import PATIENCE  # noqa: E402
from pid1 import Pid1, boot, service, stage  # noqa: E402

SIGNALS = 100_000
# Of all signals. A service that ignores the others lives for 1 / KILLS signals, and once the roles are killed, services start
# again once a second: so this decides how long the storm takes.
KILLS = 0.004

# Signals of every kind at random processes of this PID namespace, never PID 1 or itself. Those that are there count.
STORM = r"""
import os, random, sys, time
seed, wanted, share, end = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), time.monotonic() + float(sys.argv[4])
random.seed(seed)
SIGNALS = [number for number in range(1, 32) if number != 9]
sent = kills = 0
while sent < wanted and time.monotonic() < end:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    pids = [pid for pid in pids if pid not in (1, os.getpid())]
    for _ in range(min(100, 2 * len(pids))):
        number = 9 if random.random() < share else random.choice(SIGNALS)
        if not pids: break
        try:
            os.kill(random.choice(pids), number)
            sent += 1
            kills += number == 9
        except ProcessLookupError:
            pass
    time.sleep(0.005)
for _ in range(3):
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != 1:
            try: os.kill(int(name), 18)
            except ProcessLookupError: pass
print(sent, kills)
"""

# Its own descriptors, and where they lead.
LOOK = r"""
import json, os, signal
seen = {}
for name in os.listdir("/proc/self/fd"):
    try: seen[name] = os.readlink("/proc/self/fd/" + name)
    except FileNotFoundError: pass      # that of the listing
with open("/t/new", "w") as file: json.dump(seen, file)
os.rename("/t/new", "/t/done")
signal.pause()
"""

# Ignores what can be ignored, so that a storm does not only hit processes that are being started.
DEAF = "trap '' 1 2 3 4 5 6 7 8 10 11 12 13 14 15 16 20 21 22 24 25 26 27 29 30 31; "


def inside_of_pid1(gantry, name):
    return len(os.listdir(f"/proc/{gantry.pid}/{name}"))


def resident_kib(gantry):
    with open(f"/proc/{gantry.pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1])


def status(gantry):
    return json.loads(gantry.ctl("status", "--json").stdout)


def eventually(look, wanted, timeout=20):
    """What `look` gives when it is as wanted, or at last."""
    end = time.monotonic() + timeout * PATIENCE
    while (found := look()) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    return found


def zombies(gantry):
    return [line for line in gantry.inside("ps", "-eo", "stat,pid,comm").stdout.splitlines() if line.startswith("Z")]


@unittest.skipIf("GANTRY_USERNS" in os.environ, "a user namespace may not do what this needs")
class Hostile(unittest.TestCase):
    def test_a_service_has_the_descriptors_0_1_and_2_and_no_other(self):
        app = service("app", ready={"path": "/t/done"})
        app["command"] = ["/usr/bin/python3", "/t/look.py"]
        with Pid1(boot([stage("one")], [service("other"), app], api={"listen": "127.0.0.1:3535"}),
                  files={"look.py": LOOK}) as gantry:
            for count in range(1, 6):           # the first start, and others, with everything else open in PID 1
                gantry.wait("app", "ready", count=count)
                seen = json.loads(gantry.read("done"))
                self.assertEqual(sorted(seen), ["0", "1", "2"], seen)
                self.assertEqual(seen["0"], "/dev/null")
                self.assertRegex(seen["1"], r"^(pipe|socket):")
                self.assertEqual(seen["1"], seen["2"])
                os.unlink(os.path.join(gantry.shared, "done"))
                self.assertEqual(gantry.ctl("restart", "app").returncode, 0)

    def test_a_service_that_closes_its_pipes_runs_on_and_costs_nothing(self):
        with Pid1(boot(services=[service("app", "echo hello; exec 0<&- 1>&- 2>&-; exec sleep 1000")])) as gantry:
            gantry.wait("app", "hello", kind="message")
            gantry.wait("gantry", "booted")
            eventually(lambda: inside_of_pid1(gantry, "fd"), 0, 1)
            before = inside_of_pid1(gantry, "fd")
            for count in range(2, 7):
                gantry.ctl("restart", "app")
                gantry.wait("app", "ready", count=count)
                gantry.wait("app", "hello", kind="message", count=count)
            self.assertEqual(gantry.states("app").count("retrying"), 0)
            self.assertEqual(eventually(lambda: inside_of_pid1(gantry, "fd"), before), before)
            turns = status(gantry)["boot"]["loop"]["turns"]
            time.sleep(1)
            self.assertLess(status(gantry)["boot"]["loop"]["turns"] - turns, 30)    # a closed pipe does not wake it for ever

    def test_processes_that_multiply_faster_than_one_can_list_them_end_with_the_service(self):
        # Each lives only as long as it takes to make the next one, which has no ties to it: no list of pids is ever true.
        chain = ("import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                 "for i in range(8):\n    if os.fork() == 0:\n        os.setsid()\n        while True:\n"
                 "            if os.fork(): os._exit(0)\n"
                 "open('/t/multiplying', 'w').close()\nsignal.pause()\n")
        many = service("many", "exec python3 /t/chain.py", ready={"path": "/t/multiplying"}, stop_grace_s=1)
        with Pid1(boot(services=[many]), files={"chain.py": chain}) as gantry:
            gantry.wait("many", "ready")
            gantry.ctl("stop", "many")
            gantry.wait("many", "stopped")
            self.assertEqual(gantry.inside("ls", "/sys/fs/cgroup/gantry").stdout.count("many"), 0)
            self.assertEqual(gantry.inside("pgrep", "-f", "[c]hain.py").stdout, "")
            self.assertEqual(eventually(lambda: zombies(gantry), []), [])

    def test_what_a_service_uses_is_in_the_status(self):
        busy = service("busy", "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; touch /t/done; exec sleep 1000",
                       ready={"path": "/t/done"})
        with Pid1(boot(services=[busy, service("off", enabled=False)])) as gantry:
            gantry.wait("busy", "ready")
            time.sleep(1.1)                 # what is shown may be so old
            busy, off = (node["resources"] for node in status(gantry)["services"])
            with open(os.path.join(gantry.cgroup, "gantry/busy/cpu.stat"), encoding="ascii") as file:
                used = int(re.search(r"usage_usec (\d+)", file.read())[1]) / 1e6
            self.assertGreater(busy["cpu_s"], 0.005)
            self.assertAlmostEqual(busy["cpu_s"], used, delta=0.05)
            self.assertEqual((busy["oom_kills"], off["oom_kills"], off["cpu_s"]), (0, 0, None))


@unittest.skipIf("GANTRY_USERNS" in os.environ, "a user namespace may not do what this needs")
class Storm(unittest.TestCase):
    def services(self):
        quick = {"restart": {"min_s": 0.05, "max_s": 0.5, "burst": 0}}
        loop = "while :; do sleep 1000 & wait $!; done"
        escape = "(setsid sh -c \"{0}\" &); (setsid sh -c \"{0}\" &); ".format(DEAF + loop)
        yield from (service(f"deaf-{i}", DEAF + loop, **quick) for i in range(4))
        yield from (service(f"escape-{i}", DEAF + escape + loop, stop_grace_s=1, **quick) for i in range(4))
        yield from (service(f"plain-{i}", **quick) for i in range(4))
        yield service("path", DEAF + "rm -f /run/path; touch /run/path; " + loop, ready={"path": "/run/path"},
                      ready_deadline_s=5, **quick)
        yield service("all", DEAF + escape + loop, stop_to="all", stop_grace_s=1, **quick)
        yield service("needs", DEAF + loop, needs=["path"], **quick)

    def settled(self, gantry, names):
        eventually(lambda: {node["state"] for node in status(gantry)["services"]}, {"ready"}, 60)
        self.assertEqual([(node["name"], node["state"]) for node in status(gantry)["services"]],
                         [(name, "ready") for name in names])

    def test_a_storm_of_signals_leaves_every_service_up_and_nothing_behind(self):
        seed = int(os.environ.get("GANTRY_SEED", random.randrange(1 << 32)))
        print(f"GANTRY_SEED={seed}")
        services = list(self.services())
        names = [item["name"] for item in services]
        config = boot([stage("one")], services, api={"listen": "127.0.0.1:3535"}, held={"action": "hold"})
        with Pid1(config, files={"storm.py": STORM}) as gantry:
            gantry.wait("gantry", "booted")
            self.settled(gantry, names)
            self.assertEqual(within.ask(gantry, "/livez").status, 200)
            status(gantry)
            before, resident = self.figures(gantry), resident_kib(gantry)

            done = gantry.inside("python3", "/t/storm.py", str(seed), str(SIGNALS), str(KILLS), str(60 * PATIENCE), timeout=80)
            sent, kills = map(int, done.stdout.split())
            self.assertGreaterEqual(sent, SIGNALS, "the machine was too slow for so many")
            self.assertGreater(kills, SIGNALS * KILLS / 2)

            self.settled(gantry, names)
            restarts = sum(node["restarts"] for node in status(gantry)["services"])
            self.assertGreater(restarts, 50)
            self.assertTrue(eventually(lambda: self.answers(gantry), True, 60))
            for name in names:      # the last kill may have hit a process that its service does not miss
                if name == "all" or name.startswith("escape"):
                    self.assertEqual(gantry.ctl("restart", name).returncode, 0)
            self.settled(gantry, names)
            self.assertEqual(eventually(lambda: self.figures(gantry), before, 30), before)
            self.assertEqual(status(gantry)["boot"]["state"], "booted")
            self.assertLess(resident_kib(gantry), resident + 1024)      # the events' ring has filled, nothing else has
            print(f"{sent} signals, {kills} of them SIGKILL; {restarts} restarts; PID 1 has {resident_kib(gantry)} KiB")
            gantry.ctl("poweroff")
            self.assertEqual(gantry.end(), "poweroff")

    def answers(self, gantry):
        try:
            return within.ask(gantry, "/livez", timeout=5).status == 200
        except (OSError, ValueError):
            return False

    def figures(self, gantry):
        """What must be the same before and after."""
        listed = gantry.inside("sh", "-c", "cd /sys/fs/cgroup/gantry && for d in */; do echo $d $(wc -l < $d/cgroup.procs); done")
        return {"descriptors": inside_of_pid1(gantry, "fd"), "zombies": zombies(gantry),
                "cgroups": sorted(listed.stdout.splitlines()),
                "processes": len(gantry.inside("ps", "-eo", "pid=").stdout.split())}


if __name__ == "__main__":
    unittest.main()
