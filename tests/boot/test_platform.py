# SPDX-License-Identifier: GPL-2.0-or-later
"""What kind of machine this is, found out through the real interfaces: SMBIOS, the TPM's objects, configfs-tsm."""

import base64
import hashlib
import json
import os
import unittest

import support
from support import BOOT, BUILD, BootTest, image
from qemu.tdx import quote as tdx

TDX_MODULE = os.path.join(BUILD, "modules", "gantry_tdx_test.ko")


setUpModule = support.setUpModule

# The module that stands for TDX is not signed, and a kernel that is locked down refuses such modules.
UNLOCKED = support.CMDLINE.replace(image.HARDENING["lockdown"] + " ", "")


def only_measure(config):
    support.only(config, "network", "clock", "config", "measure", "dhcpcd", "chronyd")


def unlocked(config):
    only_measure(config)
    config["hardening"] = {"keep": ["lockdown"]}


class Platform(BootTest):
    def evidence(self, guest):
        """The fields of the event that says what was read."""
        return guest.wait_for("measure", text="report and quote read", kind="message", timeout=60).fields

    def test_azure_is_found_by_its_chassis_asset_tag_and_gives_report_and_quote(self):
        platform = self.platform()
        guest = self.boot(change=only_measure)
        evidence = self.evidence(guest)
        end = guest.wait_for("measure", "done|skipped", timeout=60)
        self.assertIsNotNone(guest.find("measure", text="platform azure"))
        self.assertIn("PCR 14 extended", end.fields["text"])
        # What it read from the vTPM is the report that IMDS, which checks its MAC, then made a quote of.
        asked, = platform.imds.requests(contains="/acc/tdquote", status=200)
        report = base64.urlsafe_b64decode(json.loads(asked["body"])["report"] + "==")
        self.assertEqual(evidence["report"], hashlib.sha256(report).hexdigest())
        quote = tdx.quote_from_report(report, tdx.AZURE_QUOTE_SIZE)
        tdx.verify_quote(quote, tdx.parse_report(report).reportdata)
        self.assertEqual(evidence["quote"], hashlib.sha256(quote).hexdigest())
        self.assertEqual(evidence["mrtd"], tdx.Td().mrtd.hex())

    def test_bare_metal_tdx_is_found_by_its_interfaces_and_gives_report_and_quote(self):
        with open(TDX_MODULE, "rb") as file:
            module = file.read()
        platform = self.platform()
        guest = self.boot(asset_tag=None, change=unlocked, cmdline=UNLOCKED, whole=True,
                          **self.with_module("gantry_tdx_test", module))
        evidence = self.evidence(guest)
        end = guest.wait_for("measure", "done|skipped", timeout=60)
        self.assertIsNotNone(guest.find("measure", text="platform tdx"))
        self.assertIn("RTMR 3 extended", end.fields["text"])
        report = tdx.build_report(b"")
        self.assertEqual(evidence["report"], hashlib.sha256(report).hexdigest())
        self.assertEqual(evidence["quote_bytes"], str(len(tdx.quote_from_report(report))))
        self.assertEqual(evidence["mrtd"], tdx.Td().mrtd.hex())
        self.assertEqual(platform.imds.count(contains="/acc/tdquote"), 0)

    def test_azure_whose_imds_refuses_quotes_boots_with_a_warning(self):
        platform = self.platform(faults={"imds": "status:500@/acc/tdquote"})
        guest = self.boot(change=only_measure)
        guest.wait_for("measure", level="warning", text="quote not read", kind="message", timeout=60)
        guest.wait_for("measure", "done", timeout=60)
        self.assertGreaterEqual(platform.imds.count(contains="/acc/tdquote", status=500), 2)

    def test_plain_machine_is_taken_for_neither(self):
        self.platform()
        guest = self.boot(change=only_measure, asset_tag=None)
        guest.wait_for("measure", "done|skipped", timeout=60)
        self.assertIsNotNone(guest.find("measure", text="platform plain"))

    def with_module(self, name, content):
        config = image.read_config(os.path.join(BOOT, "boot.json"))
        order = image.Modules(image.Inputs(BUILD).modules).in_order(config["modules"])
        lines = [f"/lib/modules/{module}.ko\n" for module in order] + [f"/lib/modules/{name}.ko\n"]
        return {"files": {f"/lib/modules/{name}.ko": content, "/etc/gantry/modules": "".join(lines).encode()}}


if __name__ == "__main__":
    unittest.main()
