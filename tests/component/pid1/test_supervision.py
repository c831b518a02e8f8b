# SPDX-License-Identifier: GPL-2.0-or-later
"""Services of a real PID 1: in which order they start and stop, when they are ready, what follows when they end."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pid1 import Pid1, boot, service  # noqa: E402

STAYS = "exec sleep 1000"


def counting(name, then):
    """A script that counts its starts in /t/NAME, and then does `then` (in which $n is the count)."""
    return f"echo x >> /t/{name}; n=$(wc -l < /t/{name}); {then}"


class Order(unittest.TestCase):
    def test_followers_stop_first_and_start_again_once_what_they_need_is_ready_again(self):
        says = "trap 'echo {0} >> /t/order; exit 0' TERM; while :; do sleep 0.05; done"
        plan = [service("db", says.format("db")), service("app", says.format("app"), needs=["db"], follows_needs=True),
                service("proxy", says.format("proxy"), needs=["app"], follows_needs=True),
                service("other", STAYS, needs=["db"])]
        with Pid1(boot(services=plan)) as gantry:
            gantry.wait("gantry", "booted")
            gantry.inside("sleep", "0.3")    # the shells have their traps
            self.assertEqual(gantry.ctl("stop", "db").returncode, 0)
            gantry.wait("db", "stopped")
            self.assertEqual(gantry.read("order"), "proxy\napp\ndb\n")
            gantry.wait("app", "waiting")
            self.assertEqual(gantry.states("other")[-1], "ready")
            gantry.ctl("start", "db")
            gantry.wait("proxy", "ready", count=2)
            self.assertEqual(gantry.states("db").count("running"), 2)
            self.assertEqual(gantry.states("other").count("running"), 1)
            order = [(e.source, e.word) for e in gantry.events if e.word in ("running", "ready")][-6:]
            self.assertEqual(order, [(name, word) for name in ("db", "app", "proxy") for word in ("running", "ready")])

    def test_a_follower_ends_when_what_it_needs_crashes(self):
        plan = [service("db", counting("db", "[ $n -gt 1 ] || { sleep 0.5; exit 3; }; " + STAYS)),
                service("app", needs=["db"], follows_needs=True)]
        with Pid1(boot(services=plan)) as gantry:
            stopping = gantry.wait("app", "stopping")
            self.assertIn("needs db, which is not ready", stopping.text)
            gantry.wait("app", "ready", count=2)
            self.assertGreater(gantry.wait("app", "running", count=2).time, gantry.wait("db", "ready", count=2).time)

    def test_wanted_is_started_and_waited_for_and_its_failure_does_not_block(self):
        plan = [service("cache", "exit 125", enabled=False, required=False, ready={"exit": True}),
                service("app", wants=["cache"])]
        with Pid1(boot(services=plan)) as gantry:
            gantry.wait("gantry", "booted")
            self.assertGreater(gantry.wait("app", "running").time, gantry.wait("cache", "failed").time)

    def test_a_start_by_hand_starts_what_is_needed_and_a_stop_by_hand_lasts(self):
        plan = [service("db", enabled=False), service("app", needs=["db"], enabled=False)]
        with Pid1(boot(services=plan)) as gantry:
            gantry.wait("gantry", "booted")
            self.assertEqual(gantry.states("db"), [])
            gantry.ctl("start", "app")
            gantry.wait("app", "ready")
            gantry.ctl("stop", "db")
            gantry.wait("db", "stopped")
            gantry.inside("sleep", "0.5")
            self.assertEqual(gantry.states("db")[-1], "stopped")
            self.assertEqual(gantry.states("app")[-1], "ready")


class Restart(unittest.TestCase):
    def run_to_end(self, script, word, **restart):
        with Pid1(boot(services=[service("a", script, restart={"min_s": 0.05, "max_s": 0.2, **restart},
                                         required=False)])) as gantry:
            gantry.wait("a", word)
            return gantry, gantry.states("a")

    def test_policies(self):
        cases = [("always", "exit 0", "retrying"), ("always", "exit 1", "retrying"), ("always", "exit 125", "failed"),
                 ("on-failure", "exit 0", "done"), ("on-failure", "exit 1", "retrying"),
                 ("on-failure", "kill -SEGV $$", "retrying"), ("on-failure", "exit 125", "failed"),
                 ("never", "exit 0", "done"), ("never", "exit 1", "failed"), ("never", "kill -SEGV $$", "failed")]
        services = [service(f"s{i}", script, required=False, restart={"policy": policy, "min_s": 60})
                    for i, (policy, script, _) in enumerate(cases)]
        with Pid1(boot(services=services)) as gantry:
            for i, (_, _, word) in enumerate(cases):
                gantry.wait(f"s{i}", word)
                self.assertEqual(gantry.states(f"s{i}"), ["running", "ready", word], cases[i])

    def test_more_restarts_than_a_burst_fail_for_good_if_so_configured(self):
        gantry, states = self.run_to_end("exit 1", "failed", burst=3, burst_s=60, on_burst="fail")
        self.assertEqual(states.count("running"), 4)
        self.assertIn("more than 3 restarts in 60 s", gantry.find("a", "failed")[0].text)

    def test_more_restarts_than_a_burst_slow_down_otherwise(self):
        script = counting("starts", "[ $n -le 3 ] || " + STAYS)
        restart = {"min_s": 0.05, "max_s": 1.5, "stable_s": 0, "burst": 2, "burst_s": 60, "jitter": 0}
        with Pid1(boot(services=[service("a", script, restart=restart)])) as gantry:
            gantry.wait("a", "running", count=4)
            starts = [gantry.wait("a", "running", count=i + 1).time for i in range(4)]
            waits = [b - a for a, b in zip(starts, starts[1:])]
            self.assertLess(max(waits[:2]), 1.0)
            self.assertGreater(waits[2], 1.4)
            self.assertIn("slowed down", gantry.find("a", "retrying")[2].text)

    def test_jitter_makes_waits_differ_and_never_shorter(self):
        restart = {"min_s": 0.1, "max_s": 0.1, "jitter": 1, "burst": 0}
        with Pid1(boot(services=[service("a", "exit 1", restart=restart)])) as gantry:
            gantry.wait("a", "running", count=10)
            starts = [gantry.wait("a", "running", count=i + 1).time for i in range(10)]
            waits = [b - a for a, b in zip(starts, starts[1:])]
            self.assertGreaterEqual(min(waits), 0.099)
            self.assertGreater(max(waits) - min(waits), 0.01)

    def test_a_stable_time_resets_the_delay(self):
        script = counting("starts", "[ $n = 3 ] && sleep 0.7; [ $n -gt 3 ] && sleep 1000; exit 1")
        restart = {"min_s": 0.2, "max_s": 5, "stable_s": 0.5, "jitter": 0}
        with Pid1(boot(services=[service("a", script, restart=restart)])) as gantry:
            gantry.wait("a", "running", count=4)
            waits = [gantry.wait("a", "running", count=i + 2).time - gantry.wait("a", "retrying", count=i + 1).time
                     for i in range(3)]
            self.assertGreater(waits[1], 0.39)
            self.assertLess(waits[2], 0.39)


if __name__ == "__main__":
    unittest.main()
