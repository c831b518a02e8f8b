# SPDX-License-Identifier: GPL-2.0-or-later
"""The network as Azure gives it: DHCP with the wireserver's address and classless routes, leases that are renewed."""

import os
import unittest

import support
from support import BootTest
from qemu import dhcp
from qemu.peers.platform import configure_network

setUpModule = support.setUpModule
ELSEWHERE = "10.77.0.8"


def only_network(config):
    support.only(config, "network", "azure", "clock", "dhcpcd", "chronyd")


@unittest.skipUnless(os.access("/dev/net/tun", os.R_OK | os.W_OK), "no /dev/net/tun here")
class AzureDhcp(BootTest):
    def test_wireserver_of_option_245_is_the_one_that_is_told(self):
        configure_network([ELSEWHERE])
        platform = self.platform(options={"wireserver": {"address": ELSEWHERE}})
        # With classless routes the router option does not count (RFC 3442): the default route is among them.
        routes = [("0.0.0.0/0", dhcp.SERVER), (f"{ELSEWHERE}/32", dhcp.SERVER)]
        tap = self.enterContext(dhcp.Tap(wireserver=ELSEWHERE, routes=routes))
        guest = self.boot(change=only_network, nic=tap.name)
        self.assertIn(dhcp.GUEST, guest.wait_for("network", "done", timeout=60).fields["text"])
        self.assertIn(ELSEWHERE, guest.wait_for("azure", "done", timeout=60).fields["text"])
        self.assertIsNotNone(platform.wireserver.wait_for_health("Ready", 10))
        self.wait_booted(guest)

    def test_lease_is_renewed_for_as_long_as_the_machine_runs(self):
        self.platform()
        tap = self.enterContext(dhcp.Tap(lease_s=8))
        guest = self.boot(change=only_network, nic=tap.name)
        self.wait_booted(guest)
        self.assertTrue(tap.wait_for(dhcp.REQUEST, dhcp.ACK, count=3, timeout_s=60), tap.messages)
        self.assertEqual(self.states(guest, "network")[-1], "done")


if __name__ == "__main__":
    unittest.main()
