# SPDX-License-Identifier: GPL-2.0-or-later
"""The world around the machine misbehaves: peers that are down, refuse, or break off; and the power."""

import unittest

import support
from support import BootTest, look_at_snapshot


setUpModule = support.setUpModule


class Wireserver(BootTest):
    def test_wireserver_that_is_down_does_not_delay_the_rest(self):
        platform = self.platform(faults={"wireserver": "down"})
        guest = self.boot(disk=self.used_machine())
        self.wait_booted(guest)
        self.assertNotIn("done", self.states(guest, "azure"))
        platform.wireserver.faults.clear()
        self.assertIsNotNone(platform.wireserver.wait_for_health("Ready", 60))


class Hub(BootTest):
    def test_hub_that_is_down_refuses_and_sends_garbage_only_delays(self):
        """One after the other, in one boot. The disk, which needs no hub, does not wait for it."""
        platform = self.platform(faults={"hub": "down"})
        guest = self.boot(disk=self.used_machine())
        guest.wait_for("config", "retrying", timeout=60)
        guest.wait_for("disk", "done", timeout=60)
        platform.hub.allowed = False
        platform.hub.faults.clear()
        self.assertTrue(platform.hub.wait_for(2, 60, contains="configuration", status=403))
        self.assertNotIn("done", self.states(guest, "config"))
        answered = platform.hub.count(contains="configuration")
        platform.hub.faults.set("garbage:truncated:2")
        platform.hub.allowed = True
        self.assertTrue(platform.hub.wait_for(answered + 2, 60, contains="configuration"))
        self.wait_booted(guest)
        self.assertEqual(self.states(guest, "config")[-1], "done")

    def test_hub_with_a_certificate_of_another_authority_gets_nothing(self):
        platform = self.platform(faults={"hub": "tls:untrusted"})
        guest = self.boot(change=lambda config: support.only(config, "network", "clock", "config", "dhcpcd", "chronyd"))
        guest.wait_for("config", "retrying", timeout=60)
        self.assertEqual(platform.hub.count(contains="configuration"), 0)

class Store(BootTest):
    snapshot_bytes = 16 << 20

    def test_connection_dropped_twice_is_resumed_and_the_content_identical(self):
        platform = self.platform(faults={"s3": "drop_after:3000000:2@mdbx.dat"})
        guest = self.boot(disk=self.blank_disk(), change=look_at_snapshot)
        self.assert_snapshot_identical(guest, platform)
        sent = sum(entry.get("sent", 0) for entry in platform.s3.requests(contains="mdbx.dat"))
        if sent:        # resumed, not begun again
            self.assertLess(sent, 1.7 * 12 * (1 << 20))

    def test_power_cut_during_the_snapshot_is_made_good_by_the_next_boot(self):
        platform = self.platform(faults={"s3": "slow:2M/s"})
        disk = self.blank_disk()
        guest = self.boot(disk=disk)
        guest.wait_for("snapshot", kind="progress", text=r"done=[1-9]\d{6,}", timeout=90)
        guest.kill()
        platform.s3.faults.clear()
        guest = self.boot(disk=disk, change=look_at_snapshot)
        guest.wait_for("snapshot", "done", timeout=90)
        self.assert_snapshot_identical(guest, platform)
        self.wait_booted(guest)


if __name__ == "__main__":
    unittest.main()
