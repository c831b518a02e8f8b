# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/buildernet.md: the configuration there is one that gantryctl takes, has what a BuilderNet node has, and no shell."""

import copy
import json
import os
import re
import subprocess
import tempfile
import unittest

from test_config_schema import INIT, Schema, text_of, without_comments

SERVICES = {"dhcpcd", "chronyd", "cvm-proxy-client", "cvm-proxy-server", "reth", "lighthouse", "rbuilder", "rbuilder-bidding",
            "rebalancer", "orderflow-proxy", "haproxy", "prometheus", "process-exporter", "fluent-bit", "ssh"}


def check(text):
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        checked = subprocess.run(["gantryctl", "check", file.name], executable=INIT, capture_output=True, text=True, check=False)
    return checked.stderr.replace(file.name, "boot.json").strip()


def look_up(document, path):
    for part in path.split("."):
        document = document[part]
    return document


@unittest.skipUnless(os.path.exists(INIT), "no build/init")
class BuilderNet(unittest.TestCase):
    def setUp(self):
        self.page = text_of("docs", "buildernet.md")
        self.text = re.search(r"```json\n(.*?)```", self.page, re.S)[1]
        self.config = json.loads(without_comments(self.text))
        self.services = {service["name"]: service for service in self.config["services"]}
        self.rendered = [file for stage in self.config["stages"] if stage["type"] == "render"
                         for file in stage["options"]["files"]]

    def test_gantryctl_and_the_schema_accept_it(self):
        self.assertEqual(check(self.text), "")
        self.assertTrue(Schema(json.loads(text_of("docs", "boot.schema.json"))).fits(self.config))

    def test_gantryctl_would_notice_a_mistake_in_any_service(self):
        for i, service in enumerate(self.config["services"]):
            for key, value in (("needs", ["nothing-of-this-name"]), ("stop_signal", "SIGTERM"), ("shell", "/bin/sh")):
                config = copy.deepcopy(self.config)
                config["services"][i][key] = value
                self.assertIn(f'services[{i}] "{service["name"]}": ', check(json.dumps(config)))

    def test_it_has_the_services_of_a_node(self):
        self.assertEqual(set(self.services), SERVICES)
        arguments = {name: " ".join(service.get("command", [])) for name, service in self.services.items()}
        self.assertIn("--checkpoint-sync-url https://sync-mainnet.beaconcha.in", arguments["lighthouse"])
        self.assertIn("--metrics-addr 127.0.0.1:8090", arguments["orderflow-proxy"])
        self.assertEqual(self.services["rbuilder"]["enabled_if"], "rbuilder.enabled")
        self.assertIn("-p 40192", arguments["ssh"])
        self.assertIs(self.services["ssh"]["enabled"], False)
        for name in ("rbuilder-bidding", "haproxy"):
            self.assertRegex(self.services[name]["container"]["image"], r"@sha256:[0-9a-f]{64}$")

    def test_no_shell_runs_in_it(self):
        commands = [service["command"] for service in self.services.values() if "command" in service]
        commands += [service["container"].get("command", []) for service in self.services.values() if "container" in service]
        commands += [stage["options"]["command"] for stage in self.config["stages"] if stage["type"] == "exec"]
        commands += [action["command"] for action in self.config["api"]["actions"] if "command" in action]
        for command in commands:
            self.assertNotRegex(" ".join(command), r"\b(ba|da|a|k|z)?sh\b|busybox")

    def test_every_service_is_confined_or_a_container_or_one_of_the_machines_own(self):
        for name, service in self.services.items():
            if "container" in service or name == "ssh":
                continue
            self.assertTrue(service.get("user") or "capabilities" in service, name)
            self.assertTrue(service.get("seccomp") or name in ("dhcpcd", "chronyd"), name)

    def test_files_that_services_read_are_rendered_or_named_on_the_page_as_the_images(self):
        rendered = {file["path"] for file in self.rendered}
        for name, service in self.services.items():
            wanted = set(service.get("on_change", {}).get("files", [])) | {service.get("environment_file")} - {None}
            self.assertLessEqual(wanted, rendered, name)
            for word in service.get("command", []):
                for path in re.findall(r"(?:^|=)(/etc/[^/:]+/[^\s:]+)", word):
                    self.assertTrue(path in rendered or f"`{path}`" in self.page, path)

    @unittest.skipUnless(os.path.isdir(os.environ.get("GANTRY_TEST_DATA", "")), "GANTRY_TEST_DATA is not set")
    def test_what_it_takes_from_the_hubs_document_is_in_one(self):
        with open(os.path.join(os.environ["GANTRY_TEST_DATA"], "builderhub-configuration.json"), encoding="utf-8") as file:
            document = json.load(file)
        keys = [service["enabled_if"] for service in self.services.values() if "enabled_if" in service]
        keys += [service["container"]["login"]["password"] for service in self.services.values()
                 if "login" in service.get("container", {})]
        templates = dict(re.findall(r"`(\S+\.mustache(?:_unsafe)?)`[^`]*(?:`[^`\n]+`[^`]*)?:\n\n```mustache\n(.*?)```",
                                    self.page, re.S))
        self.assertGreaterEqual({os.path.basename(file["template"]) for file in self.rendered}, set(templates))
        self.assertEqual(len(templates), 3)
        for name, template in templates.items():
            for key in re.findall(r"{{{(.*?)}}}", template):
                keys.append(key + ("#base64" if name.endswith("_unsafe") else ""))
        self.assertGreater(len(keys), 12)
        for key in keys:
            self.assertIsNotNone(look_up(document, key), key)


if __name__ == "__main__":
    unittest.main()
