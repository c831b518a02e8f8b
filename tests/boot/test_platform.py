# SPDX-License-Identifier: GPL-2.0-or-later
"""What kind of machine this is, found out through the real interfaces: SMBIOS, the TPM's objects, configfs-tsm."""

import os
import unittest

import support
from support import BOOT, BUILD, BootTest, image

TDX_MODULE = os.path.join(BUILD, "modules", "gantry_tdx_test.ko")


setUpModule = support.setUpModule


class Platform(BootTest):
    def test_azure_is_found_by_its_chassis_asset_tag(self):
        self.platform()
        guest = self.boot(disk=self.used_machine())
        guest.wait_for("measure", "done|skipped", timeout=60)
        self.assertIsNotNone(guest.find("measure", text="platform azure"))

    def test_bare_metal_tdx_is_found_by_its_interfaces(self):
        if not os.path.exists(TDX_MODULE):
            self.skipTest("qemu/tdx's module is not built")
        with open(TDX_MODULE, "rb") as file:
            module = file.read()
        self.platform()
        guest = self.boot(disk=self.used_machine(), asset_tag=None, **self.with_module("gantry_tdx_test", module))
        guest.wait_for("measure", "done|skipped", timeout=60)
        self.assertIsNotNone(guest.find("measure", text="platform tdx"))

    def test_plain_machine_is_taken_for_neither(self):
        self.platform()
        guest = self.boot(disk=self.used_machine(), asset_tag=None)
        guest.wait_for("measure", "done|skipped", timeout=60)
        self.assertIsNotNone(guest.find("measure", text="platform plain"))

    def with_module(self, name, content):
        config = image.read_config(os.path.join(BOOT, "boot.json"))
        order = image.Modules(image.Inputs(BUILD).modules).in_order(config["modules"])
        lines = [f"/lib/modules/{module}.ko\n" for module in order] + [f"/lib/modules/{name}.ko\n"]
        return {"files": {f"/lib/modules/{name}.ko": content, "/etc/gantry/modules": "".join(lines).encode()}}


if __name__ == "__main__":
    unittest.main()
