# SPDX-License-Identifier: GPL-2.0-or-later
"""The network as Azure gives it: DHCP with the wireserver's address and classless routes, leases that are renewed."""

import os
import re
import unittest

import support
from support import REPOSITORY, BootTest, add_probe, only
from qemu import dhcp
from qemu.peers.platform import configure_network

setUpModule = support.setUpModule
ELSEWHERE = "10.77.0.8"


@unittest.skipUnless(os.access("/dev/net/tun", os.R_OK | os.W_OK), "no /dev/net/tun here")
class AzureDhcp(BootTest):
    def test_wireserver_of_option_245_is_the_one_that_is_told(self):
        configure_network([ELSEWHERE])
        platform = self.platform(options={"wireserver": {"address": ELSEWHERE}})
        # With classless routes the router option does not count (RFC 3442): the default route is among them.
        routes = [("0.0.0.0/0", dhcp.SERVER), (f"{ELSEWHERE}/32", dhcp.SERVER)]
        tap = self.enterContext(dhcp.Tap(wireserver=ELSEWHERE, routes=routes))
        guest = self.boot(disk=self.used_machine(), nic=tap.name)
        self.assertIn(dhcp.GUEST, guest.wait_for("network", "done", timeout=60).fields["text"])
        self.assertIn(ELSEWHERE, guest.wait_for("azure", "done", timeout=60).fields["text"])
        self.assertIsNotNone(platform.wireserver.wait_for_health("Ready", 10))
        self.wait_booted(guest)

    def test_lease_is_renewed_for_as_long_as_the_machine_runs(self):
        self.platform()
        tap = self.enterContext(dhcp.Tap(lease_s=8))
        guest = self.boot(disk=self.used_machine(), nic=tap.name)
        self.wait_booted(guest)
        self.assertTrue(tap.wait_for(dhcp.REQUEST, dhcp.ACK, count=3, timeout_s=60), tap.messages)
        self.assertEqual(self.states(guest, "network")[-1], "done")


class Rights(BootTest):
    def test_every_process_of_dhcpcd_and_chronyd_has_the_rights_that_the_documentation_lists(self):
        self.platform()

        def change(config):
            only(config, "network", "clock", "dhcpcd", "chronyd")
            add_probe(config, "look", "rights", "dhcpcd", "chronyd", needs=["clock"])

        guest = self.boot(change=change)
        guest.wait_for("look", text="^that was all", kind="message", timeout=90)
        lines = [e.text for e in guest.events if e.source == "look" and e.text.startswith("process ")]
        with open(os.path.join(REPOSITORY, "docs", "services.md"), encoding="utf-8") as file:
            rows = re.findall(r"\| `(dhcpcd|chronyd)(?: (\[.*?\]))?` \| `(\w+)` \| (.*?) \| (\d) \| `(.*?)` \|", file.read())
        bits = {"none": 0, "NET_BIND_SERVICE": 1 << 10, "NET_ADMIN": 1 << 12, "NET_RAW": 1 << 13, "SYS_CHROOT": 1 << 18,
                "SYS_TIME": 1 << 25}
        for name, title, user, capabilities, filters, root in rows:
            if title == "[BPF BOOTP]":      # not with a lease
                continue
            uid = ",".join([{"dhcpcd": "950", "chrony": "951"}[user]] * 4)
            kept = f"{sum(bits[word] for word in capabilities.split(', ')):016x}"
            line = next((line for line in lines if line.startswith(f"process {name} ") and title in line), None)
            self.assertIsNotNone(line, (name, title, lines))
            lines.remove(line)
            self.assertIn(f"root={root} Uid={uid} Gid={uid} CapPrm={kept} CapEff={kept} NoNewPrivs=1 Seccomp=2 "
                          f"Seccomp_filters={filters}", line)
        self.assertEqual(lines, [])


if __name__ == "__main__":
    unittest.main()
