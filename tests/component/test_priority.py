# SPDX-License-Identifier: GPL-2.0-or-later
"""While the boot goes on, the API gives way to what it waits for; afterwards it does not."""

import unittest

from pid1 import Pid1, boot, stage

NICE = "for f in $(dirname $(grep -lx %s /proc/[0-9]*/comm)); do cut -d')' -f2 $f/stat | cut -d' ' -f18; done"


class Priority(unittest.TestCase):
    def nice(self, pid1, name):
        r = pid1.inside("sh", "-c", NICE % name)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout.split()

    def test_api_gives_way_until_the_boot_is_over(self):
        api = {"listen": "127.0.0.1:3535", "tls_hosts": ["localhost"]}
        with Pid1(boot([stage("slow", "until [ -e /t/go ]; do sleep 0.05; done")], api=api)) as pid1:
            pid1.wait("api", "listens on", kind="message")
            self.assertEqual(self.nice(pid1, "gantry-api"), ["19"])
            pid1.write("go", "")
            pid1.wait("gantry", "booted")
            self.assertEqual(self.nice(pid1, "gantry-api"), ["0"])

    def test_api_gives_way_no_more_when_the_boot_is_held(self):
        api = {"listen": "127.0.0.1:3535", "tls_hosts": ["localhost"]}
        with Pid1(boot([stage("bad", "exit 125")], api=api, held={"action": "hold"})) as pid1:
            pid1.wait("api", "listens on", kind="message")
            pid1.wait("gantry", "held")
            self.assertEqual(self.nice(pid1, "gantry-api"), ["0"])


if __name__ == "__main__":
    unittest.main()
