# SPDX-License-Identifier: GPL-2.0-or-later
"""Every process of a machine, from the first stage to the last service, against the tables of docs/rights.md."""

import os
import sys
import unittest

import support
from support import BootTest

sys.path.append(os.path.join(support.REPOSITORY, "tests", "component"))
import rights

setUpModule = support.setUpModule

# Rows of processes that may end before they have waited once while somebody looked, and that are not of this boot.
MAY_BE_MISSED = {
    "launch": "executes the service",
    "steps": "runs to its end",
    "resolv-conf": "component/pid1/test_container",
    "api-store": "runs to its end",
    "dhcp-hook": "runs to its end; component/stages/test_stage_network",
    "stage azure": "component/stages/test_stage_rights",
    "stage clock": "component/stages/test_stage_rights",
    "stage config": "component/stages/test_stage_rights",
    "stage measure": "component/stages/test_stage_rights",
    "stage render": "component/stages/test_stage_rights",
    "render-writer": "component/stages/test_stage_rights",
    "stage snapshot": "component/stages/test_stage_rights",
    "disk-reader": "a few milliseconds each; unit/test_reader",
    "mke2fs": "runs to its end; unit/test_ext4",
    "e2fsck": "runs to its end; unit/test_ext4",
    "snapshot-worker": "component/stages/test_snapshot_hostile",
    "await": "ends when the service is ready",
    "dhcpcd [BPF BOOTP]": "ends with the first lease; component/stages/test_stage_network",
    "stage exec": "this boot has none",
    "container-tidy": "this boot has no container",
    "teardown": "comes after all others",
}
# They separate their privileges by themselves, some time after they were started: what those that go on are in the end counts.
IN_THE_END = ("dhcpcd", "chronyd")


class Rights(BootTest):
    maxDiff = None

    def census(self, guest):
        lines = [event.text for event in guest.events if event.source == "census" and event.kind == "message"]
        left = rights.left(lines)
        return [one for number, one in enumerate(rights.observations(lines)) if one.comm not in IN_THE_END or number in left]

    def service_row(self, service, config):
        """What boot.json gives it; None: it has the rights of root."""
        accounts = {user["name"]: user for user in config.get("users", [])}
        user = accounts.get(service.get("user"))
        return user and rights.Row(service["name"], frozenset((str(user["uid"]),)),
                                   frozenset(rights.NAMES.index(name) for name in service.get("capabilities", ())),
                                   1 if "seccomp" in service else 0, rights.ANY, "/", rights.ANY)

    def test_every_process_has_what_its_row_says_and_no_more(self):
        self.platform()
        self.blank_disk()
        known = {}

        def change(config):
            config["services"].insert(0, {"name": "census", "command": ["/bin/census"], "log": {"events": True},
                                          "capabilities": ["SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH"]})
            known.update(config)

        guest = self.boot(disk=self.disk, change=change)
        self.wait_booted(guest)
        guest.wait_for("rbuilder", "ready", timeout=60)
        self.api(guest, "/api/v1/status")
        looks = max([int(event.text.split()[1]) for event in guest.events
                     if event.source == "census" and event.text.startswith("looked")], default=0)
        guest.wait_for("census", kind="message", text=f"^looked {looks + 16}$", timeout=60)
        rows, kinds = rights.specification()
        services = {os.path.basename(service["command"][0]): self.service_row(service, known)
                    for service in known["services"] if service["name"] not in ("dhcpcd", "chronyd")}
        wrong, met = [], set()
        for seen in self.census(guest):
            name = rights.name_of(seen)
            row = rows.get(name) or services.get(name)
            met.add(name)
            if row:
                wrong += rights.judge(seen, row, kinds)
            elif name not in services:
                wrong.append(f"no row knows {seen}")
        self.assertEqual(sorted(set(wrong)), [])
        self.assertEqual(sorted(set(rows) - met - set(MAY_BE_MISSED)), [], f"never seen; seen were {sorted(met)}")
        read_only = next(seen for seen in self.census(guest) if seen.comm == "rbuilder")
        self.assertEqual(sorted(read_only.writes), ["/tmp", "/var/tmp"])        # "read_only": ["/"], and its own /tmp
        self.power_off(guest)


if __name__ == "__main__":
    unittest.main()
