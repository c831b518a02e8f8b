# SPDX-License-Identifier: GPL-2.0-or-later
"""Services that fill their memory limit on a real kernel: who was killed and why, and what status and metrics know of it."""

import json
import re
import unittest

import support
from support import BootTest, only

setUpModule = support.setUpModule
REASON = "killed by the kernel: out of memory (memory.max 16 MiB)"


def small(config):
    only(config, "network", "dhcpcd")
    config["modules"] = ["virtio_net", "button", "evdev"]
    config["services"] += [
        {"name": "eater", "command": ["/bin/probe", "eat", "64"], "cgroup": {"memory.max": "16M"}, "required": False,
         "restart": {"policy": "always", "min_s": 1, "max_s": 1}},
        # Its child is killed, it lives on.
        {"name": "feeder", "command": ["/bin/probe", "feed", "64"], "cgroup": {"memory.max": "16M", "pids.max": "10"}},
        {"name": "quiet", "command": ["/bin/probe", "say", "here"], "cgroup": {"memory.high": "32M", "cpu.weight": "50"}},
        {"name": "refused", "command": ["/bin/probe", "say", "here"], "cgroup": {"memory.current": "1"}, "required": False},
    ]


class Memory(BootTest):
    def test_a_service_that_fills_its_memory_limit_is_reported_as_such(self):
        guest = self.boot(change=small, cmdline=support.WITHOUT_KERNEL_ERRORS)
        self.wait_booted(guest)
        retrying = guest.wait_for("eater", "retrying", timeout=60)
        self.assertEqual(retrying.fields["text"], REASON)
        told = guest.wait_for("eater", kind="message", text="^killed by the kernel", timeout=30)
        self.assertEqual((told.text, told.fields["oom_kills"], told.level), (REASON, "1", "warning"))
        told = guest.wait_for("feeder", kind="message", text="^killed by the kernel", timeout=30)
        self.assertEqual((told.text, told.fields["oom_kills"]), (REASON, "1"))
        guest.wait_for("feeder", kind="message", text="^the child ended by signal 9")
        failed = guest.wait_for("refused", "failed")
        self.assertRegex(failed.fields["text"], r'^cgroup memory\.current: "1" refused: ')

        _, answer = self.api(guest, "/api/v1/status")
        services = {service["name"]: service for service in json.loads(answer)["services"]}
        self.assertGreaterEqual(services["eater"]["resources"]["oom_kills"], 1)
        self.assertEqual(services["feeder"]["state"], "ready")
        feeder, quiet = services["feeder"]["resources"], services["quiet"]["resources"]
        self.assertEqual((feeder["oom_kills"], quiet["oom_kills"]), (1, 0))
        self.assertGreater(feeder["memory_peak_bytes"], 15 << 20)
        self.assertLess(feeder["memory_bytes"], 8 << 20)
        self.assertEqual((feeder["processes"], quiet["processes"]), (1, 1))
        self.assertGreater(quiet["memory_bytes"], 4096)
        self.assertGreater(quiet["cpu_s"], 0)
        self.assertIsNone(services["refused"]["resources"]["memory_bytes"])

        _, metrics = self.api(guest, "/metrics")
        found = dict(re.findall(r'(?m)^(gantry_service_\w+\{service="\w+"\}) (\S+)$', metrics))
        self.assertEqual(found['gantry_service_oom_kills_total{service="feeder"}'], "1")
        self.assertGreater(float(found['gantry_service_memory_peak_bytes{service="feeder"}']), 15 << 20)
        self.assertGreater(float(found['gantry_service_cpu_seconds_total{service="quiet"}']), 0)
        self.assertNotIn('gantry_service_memory_bytes{service="refused"}', found)
        self.power_off(guest)


if __name__ == "__main__":
    unittest.main()
