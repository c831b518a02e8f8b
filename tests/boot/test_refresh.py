# SPDX-License-Identifier: GPL-2.0-or-later
"""A change of the hub's document on a whole machine: asked for over the System API, measured, rendered, and the one service
that reads the file restarted."""

import json
import unittest

import support
from support import BootTest

setUpModule = support.setUpModule


class Refresh(BootTest):
    def refresh(self, guest):
        return self.api(guest, "/api/v1/actions/fetch_config")

    def test_a_new_document_is_measured_and_used_and_a_switch_stops_the_service(self):
        platform = self.platform()
        guest = self.boot(disk=self.blank_disk())
        self.wait_booted(guest)
        pids = self.pids(guest)
        self.assertEqual(self.refresh(guest)[0], 200)
        self.assertEqual(self.pids(guest), pids)

        platform.hub.document["rbuilder"]["extra_data"] = "another"
        status, body = self.refresh(guest)
        self.assertEqual(status, 200, body)
        guest.wait_for("measure", kind="message", text="^refresh, measure: .*PCR 14 extended with config")
        guest.wait_for("render", kind="message", text="^refresh, apply: 1 of 2 files changed")
        guest.wait_for("rbuilder", kind="message", text="^a file has changed: restart")
        guest.wait(lambda: self.pids(guest)["rbuilder"] not in (None, pids["rbuilder"]) or None, 60, "rbuilder runs again")
        after = self.pids(guest)
        self.assertEqual({name: pid for name, pid in after.items() if name != "rbuilder"},
                         {name: pid for name, pid in pids.items() if name != "rbuilder"})

        platform.hub.document["rbuilder"]["enabled"] = False
        self.assertEqual(self.refresh(guest)[0], 200)
        guest.wait_for("rbuilder", "disabled")
        platform.hub.allowed = False
        status, body = self.refresh(guest)
        self.assertEqual((status, json.loads(body)["message"]), (500, "Failed to execute action: fetch_config - error: config: "
                                                                      "hub refused this node (403): not allowed yet"))
        self.power_off(guest)

    def pids(self, guest):
        status = json.loads(self.api(guest, "/api/v1/status")[1])
        return {service["name"]: service["pid"] for service in status["services"]}


if __name__ == "__main__":
    unittest.main()
