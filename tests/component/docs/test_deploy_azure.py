# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/deploy/azure: the module and its example use resources as the provider's schema has them (schema.json), declare what they
refer to, say what a confidential machine needs, and agree with boot.json. What only a provider can find, its own tests look for:
docs/deploy/azure/tests, where Terraform or OpenTofu is."""

import glob
import json
import os
import re
import sys
import unittest

from test_config_schema import text_of, without_comments

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hcl

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "docs", "deploy", "azure")
META = {"for_each", "count", "depends_on", "provider", "lifecycle"}
SCHEMA = json.loads(text_of("docs", "deploy", "azure", "schema.json"))


def texts(*folders):
    """{name: text} of the files of a module."""
    paths = sorted(glob.glob(os.path.join(FOLDER, *folders, "*.tf")))
    return {os.path.basename(path): text_of(path) for path in paths}


def read(files):
    """The files of one module as one block."""
    whole = hcl.Block()
    for name, text in files.items():
        try:
            whole.blocks += hcl.read(text).blocks
        except hcl.Syntax as error:
            raise hcl.Syntax(f"{name}: {error}") from None
    return whole


def against(schema, block, where):
    """What the schema has against a resource or a block of one."""
    dynamic = [(labels[0], inner.one("content")) for kind, labels, inner in block.blocks if kind == "dynamic"]
    blocks = [(kind, inner) for kind, _, inner in block.blocks if kind not in META | {"dynamic"}] + dynamic
    for name in block.attributes:
        kind = schema["attributes"].get(name)
        if name not in META and kind not in ("required", "optional"):
            yield f"{where}: {name} is " + ("not there" if kind is None else "the provider's to say")
    for name, kind in schema["attributes"].items():
        if kind == "required" and name not in block.attributes:
            yield f"{where}: {name} has to be there"
    for name, (least, inner) in schema["blocks"].items():
        mine = [one for kind, one in blocks if kind == name]
        if len(mine) < least:
            yield f"{where}: block {name} has to be there"
        for one in mine:
            yield from against(inner, one, f"{where}.{name}")
    yield from (f"{where}: block {name} is not there" for name, _ in blocks if name not in schema["blocks"])


def references(block):
    """What the expressions name: (name, name) such as (var, x), (azurerm_subnet, builder)."""
    for _, words in block.expressions():
        text = " ".join(words)
        yield from re.findall(r"(?<!\. )(?<![\w.])(azurerm_\w+|var|local|module)\s*\.\s*([\w-]+)", text)


def complaints(module):
    resources = {tuple(labels): block for kind, labels, block in module.blocks if kind == "resource"}
    variables = {labels[0]: block for kind, labels, block in module.blocks if kind == "variable"}
    modules = {labels[0] for kind, labels, _ in module.blocks if kind == "module"}
    values = {name for block in module.all("locals") for name in block.attributes}
    for (kind, name), block in resources.items():
        yield from against(SCHEMA[kind], block, f"{kind}.{name}") if kind in SCHEMA else [f"{kind}: not in schema.json"]
    named = set(references(module))
    for kind, name in sorted(named):
        known = {"var": variables, "local": values, "module": modules}.get(kind)
        if name not in known if known is not None else (kind, name) not in resources:
            yield f"{kind}.{name} is not declared"
    yield from (f"variable {name} is not used" for name in variables if ("var", name) not in named)


class Module(unittest.TestCase):
    def setUp(self):
        self.files = texts()
        self.module = read(self.files)
        self.example = read(texts("examples", "buildernet"))

    def resource(self, kind):
        return self.module.one("resource", "azurerm_" + kind)

    def value(self, block, name):
        return hcl.literal(block.attributes[name])

    def test_module_and_example_fit_the_schema_and_what_they_declare(self):
        self.assertEqual(list(complaints(self.module)), [])
        self.assertEqual(list(complaints(self.example)), [])
        used = {labels[0] for module in (self.module, self.example) for kind, labels, _ in module.blocks if kind == "resource"}
        self.assertEqual(used, set(SCHEMA))
        self.assertEqual(len(used), 16)

    def test_mistakes_are_noticed(self):
        for file, before, after, said in (
                ("machines.tf", "vtpm_enabled ", "vtmp_enabled ",
                 "azurerm_linux_virtual_machine.machine: vtmp_enabled is not there"),
                ("machines.tf", '  create_option                 = "Empty"\n', "",
                 "azurerm_managed_disk.data: create_option has to be there"),
                ("machines.tf", "  os_disk {", "  the_disk {",
                 "azurerm_linux_virtual_machine.machine: block os_disk has to be there"),
                ("machines.tf", "local.caching[", "local.cache[", "local.cache is not declared"),
                ("image.tf", "azurerm_storage_blob.image[", "azurerm_storage_blob.images[",
                 "azurerm_storage_blob.images is not declared"),
                ("image.tf", "blob_uri  ", "blob_url  ", "azurerm_shared_image_version.version: blob_url is not there"),
                ("variables.tf", 'variable "gallery_name"', 'variable "gallery"', "variable gallery is not used")):
            self.assertIn(before, self.files[file], before)
            found = list(complaints(read({**self.files, file: self.files[file].replace(before, after)})))
            self.assertTrue([line for line in found if line.startswith(said)], (said, found))

    def test_the_example_gives_the_module_what_it_takes(self):
        variables = {labels[0]: block for kind, labels, block in self.module.blocks if kind == "variable"}
        call = self.example.one("module", "builder")
        self.assertEqual(call.attributes.keys() - {"source"} - variables.keys(), set())
        needed = {name for name, block in variables.items() if "default" not in block.attributes}
        self.assertEqual(needed - call.attributes.keys(), set())
        outputs = {labels[0] for kind, labels, _ in self.module.blocks if kind == "output"}
        taken = {name for block in self.example.all("output") for name in re.findall(r"module \. builder \. (\w+)",
                                                                                      " ".join(block.attributes["value"]))}
        self.assertEqual(taken - outputs, set())
        self.assertLessEqual({"addresses", "api_urls", "expected_measurements"}, taken)

    def test_a_machine_is_confidential_has_no_agent_and_says_nothing_to_the_host(self):
        machine, image = self.resource("linux_virtual_machine"), self.resource("shared_image")
        for block, name, value in ((machine, "vtpm_enabled", True), (machine, "secure_boot_enabled", False),
                                   (machine, "provision_vm_agent", False), (machine, "allow_extension_operations", False),
                                   (machine, "disable_password_authentication", True), (image, "hyper_v_generation", "V2"),
                                   (image, "confidential_vm_supported", True), (image, "disk_controller_type_nvme_enabled", True),
                                   (machine.one("os_disk"), "security_encryption_type", "VMGuestStateOnly"),
                                   (self.resource("public_ip"), "allocation_method", "Static"),
                                   (self.resource("storage_blob"), "type", "Page")):
            self.assertEqual(self.value(block, name), value, name)
        self.assertEqual(machine.all("boot_diagnostics"), [])
        self.assertNotIn("custom_data", machine.attributes)
        self.assertNotIn("user_data", machine.attributes)
        closed = self.resource("network_security_group").one("security_rule")
        self.assertEqual([self.value(closed, name) for name in ("access", "priority", "protocol", "destination_port_range")],
                         ["Deny", 4096, "*", "*"])

    def test_the_data_disk_outlives_the_machine_and_its_image(self):
        disk = self.resource("managed_disk")
        self.assertEqual(self.value(disk.one("lifecycle"), "prevent_destroy"), True)
        for name, words in disk.expressions():
            self.assertNotRegex(" ".join(words), r"azurerm_|version|of_image|releases", name)
        self.assertNotIn("replace_triggered_by", disk.one("lifecycle").attributes)

    def test_where_a_release_lies_on_a_host_is_no_part_of_the_state(self):
        blob = self.resource("storage_blob").one("lifecycle")
        self.assertEqual(" ".join(blob.attributes["ignore_changes"]), "[ source ]")

    def test_lun_and_port_of_the_api_are_the_image_s(self):
        attachment = self.resource("virtual_machine_data_disk_attachment")
        self.assertEqual(" ".join(attachment.attributes["lun"]), "local . of_image [ each . key ] . data_disk_lun")
        self.assertIn("deploy.json", " ".join(self.module.all("locals")[0].attributes["deploy"]))

    def test_the_example_s_ports_are_those_of_the_node(self):
        page = text_of("docs", "buildernet.md")
        config = json.loads(without_comments(re.search(r"```json\n(.*?)```", page, re.S)[1]))
        services = {service["name"]: service.get("command", []) for service in config["services"]}
        machine = hcl.literal(self.example.one("module", "builder").attributes["machines"])["builder-1"]
        opened = {(rule["port"], rule["protocol"]) for rule in machine["open"].values()}
        ssh = self.value(self.module.one("variable", "ssh_port"), "default")
        self.assertEqual(str(ssh), services["ssh"][services["ssh"].index("-p") + 1])
        api = int(config["api"]["listen"].rpartition(":")[2])
        self.assertFalse([port for port, _ in opened if port in (ssh, api)])
        self.assertIn((int(services["cvm-proxy-server"][2].rpartition(":")[2]), "Tcp"), opened)
        p2p = int(services["lighthouse"][services["lighthouse"].index("--port") + 1])
        self.assertLessEqual({(p2p, "Tcp"), (p2p, "Udp"), (30303, "Tcp"), (30303, "Udp"), (443, "Tcp"), (5544, "Tcp")}, opened)
        self.assertEqual((machine["api_from"], machine["ssh_from"]), ("var . operators", "var . operators"))
        self.assertEqual(hcl.literal(self.example.one("variable", "operators").attributes["default"]), [])


if __name__ == "__main__":
    unittest.main()
