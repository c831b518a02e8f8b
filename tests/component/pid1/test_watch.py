# SPDX-License-Identifier: GPL-2.0-or-later
"""What a stage has found is watched as long as the machine runs: here a lease, as a real PID 1 reports its end."""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pid1 import Pid1, boot, service  # noqa: E402

LEASE = """
ip link add far0 type veth peer name eth0; ip link set far0 up; ip link set eth0 up
ip address add 10.0.0.4/24 dev eth0; ip route add default via 10.0.0.1
mkdir -p /run/dhcp; echo nameserver 10.0.0.3 > /etc/resolv.conf.new; mv /etc/resolv.conf.new /etc/resolv.conf
"""


@unittest.skipIf("GANTRY_USERNS" in os.environ, "a user namespace may not do what this needs")
class Watch(unittest.TestCase):
    def test_a_network_that_is_lost_is_an_event_and_in_the_status_until_it_is_back(self):
        with Pid1(boot([{"name": "network", "type": "network"}], [service("a")])) as gantry:
            def status():
                return json.loads(gantry.ctl("status", "--json").stdout)["stages"][0]
            gantry.wait("a", "ready")
            self.assertEqual(gantry.inside("sh", "-e", "-c", LEASE).returncode, 0)
            gantry.wait("network", "done")
            gantry.inside("sh", "-c", "until grep -qa watch /proc/[0-9]*/cmdline; do sleep 0.05; done; sleep 0.5")
            self.assertEqual(status()["facts"]["up"], 1)
            gantry.inside("ip", "address", "flush", "dev", "eth0")
            lost = gantry.wait("network", "lost: no IPv4 address on eth0; was 10.0.0.4/24 via 10.0.0.1 on eth0", kind="message")
            self.assertEqual(lost.level, "warning")
            self.assertEqual((status()["state"], status()["reason"], status()["facts"]["up"]),
                             ("done", "lost: no IPv4 address on eth0", 0))
            self.assertIn("lost: no IPv4 address on eth0", gantry.ctl("status").stdout)
            gantry.inside("sh", "-c", "ip address add 10.0.0.9/24 dev eth0; ip route add default via 10.0.0.1")
            gantry.wait("network", "back after ", kind="message")
            self.assertEqual(status()["reason"], "10.0.0.9/24 via 10.0.0.1 on eth0, name servers 10.0.0.3")

    def test_a_watch_that_ends_is_started_again_and_ends_with_the_machine(self):
        with Pid1(boot([{"name": "network", "type": "network"}], [service("a")])) as gantry:
            gantry.wait("a", "ready")
            gantry.inside("sh", "-e", "-c", LEASE)
            gantry.wait("network", "done")
            kill = "until pkill -KILL -f 'network watc[h]'; do sleep 0.05; done"
            gantry.inside("sh", "-c", kill)
            gantry.wait("network", "its watch ended (signal 9); starting another one", kind="message")
            self.assertEqual(gantry.inside("sh", "-c", "until pgrep -f 'network watc[h]'; do sleep 0.05; done").returncode, 0)
            gantry.ctl("poweroff")
            self.assertEqual(gantry.end(), "poweroff")
            self.assertEqual(len(gantry.find("network", "its watch ended", kind="message")), 1)

    def test_the_hook_of_a_dhcp_client_reports_as_the_client(self):
        client = {"name": "client", "command": ["/usr/bin/python3", "-c", "import subprocess, time\nfor i in range(10):\n "
                  "subprocess.run(['/opt/dhcp-hook'], env={'reason': 'EXPIRE', 'interface': 'eth0'})\ntime.sleep(1000)"],
                  "before_start": [{"directory": "/run/dhcp"}]}
        with Pid1(boot([], [client]), files={}) as gantry:
            gantry.wait("client", "ready")
            gantry.wait("client", "dhcp: eth0 EXPIRE", kind="message", count=10)
            self.assertEqual({e.level for e in gantry.find("client", "dhcp: ", kind="message")}, {"warning"})


if __name__ == "__main__":
    unittest.main()
