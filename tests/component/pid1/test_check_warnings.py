# SPDX-License-Identifier: GPL-2.0-or-later
"""`gantryctl check` warns of what is legal and nearly always wrong: all of it in one run, with its place, and status 0. What only
looks like it is not warned of."""

import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
INIT = os.environ.get("GANTRY_INIT", os.path.join(REPO, "build", "init"))
sys.path.insert(0, REPO)
from qemu.archive import Archive  # noqa: E402

IMAGE = "registry.example/web@sha256:" + "0" * 64
CONFIG = {"name": "config", "type": "config", "options": {"url": "http://127.0.0.1/"}}


def render(*paths):
    return {"name": "render", "type": "render", "needs": ["config"],
            "options": {"files": [{"template": "/etc/gantry/x.mustache", "path": path} for path in paths]}}


def dynamic(loader):
    """An ELF file for this machine that is executed by that program; None: by none."""
    segment = struct.pack("<IIQQQQQQ", 3 if loader else 1, 4, 120, 0, 0, len(loader or "") + 1, len(loader or "") + 1, 1)
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + segment + (loader or "").encode() + b"\0"


class Checked(unittest.TestCase):
    def check(self, config, *arguments):
        """The warnings, less the name of the file, its line and the word."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(config, file, indent=1)
            file.flush()
            checked = subprocess.run(["gantryctl", "check", *arguments, file.name], executable=INIT, capture_output=True,
                                     text=True, check=False)
            self.assertEqual(checked.returncode, 0, checked.stderr)
            self.assertEqual(checked.stdout.splitlines()[0], f"{file.name}: ok")
            found = []
            for line in checked.stderr.splitlines():
                self.assertRegex(line, rf"^{file.name}:\d+: .*: warning: ")
                found.append(line.split(": ", 1)[1].replace("warning: ", "", 1))
            return found

    def services(self, *services, **config):
        return {**config, "services": [{"name": chr(ord("a") + n), "command": ["/bin/x"], **service} if "container" not in service
                                       else {"name": chr(ord("a") + n), **service} for n, service in enumerate(services)]}


@unittest.skipUnless(os.path.exists(INIT), "no build/init")
class Warnings(Checked):
    def test_two_disks_that_are_formatted_at_the_same_time(self):
        def disk(name, needs=(), **options):
            lun = ord(name[-1])
            return {"name": name, "type": "disk", "needs": list(needs),
                    "options": {"lun": lun, "name": name, "mount": f"/{name}", **options}}

        says = ('stages[1] "b": may be formatted while another disk is, and the TPM has one record of an interrupted formatting: '
                'add "a" to "needs"')
        between = {"name": "m", "type": "exec", "needs": ["a"], "options": {"command": ["/bin/static"]}}
        for stages, found in (([disk("a"), disk("b")], [says]), ([disk("a"), disk("b", ["a"])], []),
                              ([disk("a", ["b"]), disk("b")], []), ([disk("a"), between, disk("b", ["m"])], []),
                              ([disk("a", intent="none"), disk("b")], []), ([disk("a"), disk("b", format=False)], [])):
            self.assertEqual(self.check({"stages": stages}), found, stages)

    def test_a_rendered_environment_file_that_on_change_does_not_name(self):
        service = {"environment_file": "/etc/a.env"}
        stages = [CONFIG, render("/etc/a.env", "/etc/b")]
        config = self.services(service, stages=stages, refresh={"stage": "config"})
        warning = ('services[0] "a": environment_file: "/etc/a.env" is rendered again at a refresh, and read only at a start: '
                   'add it to "files" of "on_change", with the action "restart"')
        self.assertEqual(self.check(config), [warning])
        config["services"][0]["on_change"] = {"files": ["/etc/b"], "action": "restart"}
        self.assertEqual(self.check(config), [warning])
        config["services"][0]["on_change"]["files"].append("/etc/a.env")
        self.assertEqual(self.check(config), [])
        del config["services"][0]["on_change"], config["refresh"]
        self.assertEqual(self.check(config), [])

    def test_a_file_that_is_replaced_as_a_containers_volume(self):
        volumes = ["/etc/web:/etc/web:ro", "/etc/resolv.conf:/etc/resolv.conf:ro", "/etc/hosts:/etc/hosts:ro"]
        config = self.services({"container": {"image": IMAGE, "volumes": volumes}}, stages=[CONFIG, render("/etc/web/site.conf")])
        self.assertEqual(self.check(config), [
            'services[0] "a": container.volumes[1]: "/etc/resolv.conf" is a file that a new lease replaces, and the container '
            'keeps the old one: without this volume it gets the new one'])

    def test_two_services_on_one_port(self):
        def tcp(address, **more):
            return {"ready": {"tcp": address}, **more}

        def published(*ports):
            return {"container": {"image": IMAGE, "network": "bridge", "ports": list(ports)}}

        for one, other, place in (
                (tcp("127.0.0.1:80"), tcp("127.0.0.1:80"), "ready.tcp"),
                (tcp("127.0.0.1:80"), tcp("0.0.0.0:80"), "ready.tcp"),
                (tcp("127.0.0.1:80"), published("443:443", "80:8080"), "container.ports[1]"),
                (published("127.0.0.1:80:1"), published("80:2/tcp"), "container.ports[0]"),
                (tcp("[::1]:80", enabled_if="a"), tcp("[::]:80", enabled_if="a"), "ready.tcp"),
                (tcp("127.0.0.1:80", enabled_if="a"), tcp("127.0.0.1:80"), "ready.tcp")):
            found = self.check(self.services(one, other, stages=[CONFIG]))
            self.assertEqual(found, [f'services[1] "b": {place}: port 80 is also that of "a"'], (one, other))
        api = {"listen": "127.0.0.1:80"}
        self.assertEqual(self.check(self.services(tcp("127.0.0.1:81"), tcp("127.0.0.1:80"), api=api)),
                         ['services[1] "b": ready.tcp: port 80 is also that of the API'])
        for one, other in (
                (tcp("127.0.0.1:80"), tcp("127.0.0.1:81")), (tcp("127.0.0.1:80"), tcp("127.0.0.2:80")),
                (tcp("127.0.0.1:80"), tcp("127.0.0.1:80", enabled=False)), (tcp("127.0.0.1:53"), published("53:53/udp")),
                (tcp("127.0.0.1:80", enabled_if="a"), tcp("127.0.0.1:80", enabled_if="b"))):
            self.assertEqual(self.check(self.services(one, other, stages=[CONFIG])), [], (one, other))
        self.assertEqual(self.check(self.services(tcp("127.0.0.1:80") | published("80:80"))), [], "its own port")

    def test_a_ready_path_that_is_never_removed(self):
        def steps(*removes):
            given = [{"remove": remove} for remove in removes]
            return self.check(self.services({"ready": {"path": "/run/x/ipc"}, "before_start": given}))

        warning = ['services[0] "a": ready.path: "/run/x/ipc" is never removed, and may be there from an earlier start: add a '
                   'step "remove" to "before_start"']
        for removes in ((), ("/run/x",), ("/run/y/ipc", "/run/x/*.sock")):
            self.assertEqual(steps(*removes), warning)
        for removes in (("/run/x/ipc",), ("/run/y", "/run/x/*")):
            self.assertEqual(steps(*removes), [])

    def test_ready_tcp_of_a_container_without_a_network(self):
        for network, found in (({}, 1), ({"network": "none"}, 1), ({"network": "host"}, 0), ({"network": "bridge"}, 0)):
            service = {"container": {"image": IMAGE, **network}, "ready": {"tcp": "127.0.0.1:80"}}
            self.assertEqual(self.check(self.services(service)),
                             ['services[0] "a": ready.tcp: the container has the network "none": no port of it can be reached']
                             * found)

    def test_an_api_that_is_open_to_the_network(self):
        self.assertEqual(self.check({"api": {}}), ['api: everybody in the network may read and act at 0.0.0.0:3535: set '
                                                   '"password_file", or "listen" to a loopback address'])
        for address in ("10.0.0.4:3535", "[::]:3535", "[::2]:1"):
            self.assertEqual(len(self.check({"api": {"listen": address}})), 1)
        for api in ({"listen": "127.0.0.1:1"}, {"listen": "[::1]:1"}, {"password_file": "/run/x/password"}):
            self.assertEqual(self.check({"api": api}), [])

    def test_all_of_them_come_in_one_run(self):
        config = self.services({"ready": {"path": "/run/x/ipc"}}, {"ready": {"tcp": "127.0.0.1:80"}},
                               {"container": {"image": IMAGE}, "ready": {"tcp": "127.0.0.1:80"}},
                               {"ready": {"tcp": "127.0.0.1:80"}},
                               api={})
        self.assertEqual(len(self.check(config)), 4)


@unittest.skipUnless(os.path.exists(INIT), "no build/init")
class Files(Checked):
    """With --root, against an image."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        archive = Archive()
        archive.file("/bin/static", dynamic(None), 0o755)
        archive.file("/lib/ld.so", dynamic(None), 0o755)
        archive.file("/bin/dynamic", dynamic("/lib/ld.so"), 0o755)
        archive.file("/bin/foreign", dynamic("/lib64/ld-linux-x86-64.so.2"), 0o755)
        archive.file("/bin/cut", dynamic("/lib64/ld-linux-x86-64.so.2")[:100], 0o755)
        archive.file("/bin/script", b"#! /bin/dynamic -e\n", 0o755)
        archive.file("/bin/bash-script", b"#!/bin/bash\nexit 0\n", 0o755)
        archive.file("/bin/late-script", b"#!/bin/foreign\n", 0o755)
        archive.file("/etc/there", b"text")
        archive.lay_out(self.root)

    def check(self, config, *arguments):
        return super().check({"hardening": {"keep": ["modules"]}, **config}, "--root", self.root)

    def services(self, *services, **config):
        made = super().services(*services, **config)
        for service in made["services"]:
            if "container" not in service and service["command"] == ["/bin/x"]:
                service["command"] = ["/bin/static"]
        return made

    def program(self, path):
        return self.check({"services": [{"name": "a", "command": [path]}]})

    def test_a_program_without_its_loader(self):
        def warning(program, interpreter):
            return [f'services[0] "a": command[0]: "{program}" is executed by {interpreter}, which is not in the image: '
                    'No such file or directory']

        for path in ("/bin/static", "/bin/dynamic", "/bin/script", "/bin/cut"):
            self.assertEqual(self.program(path), [])
        for path, interpreter in (("/bin/foreign", "/lib64/ld-linux-x86-64.so.2"), ("/bin/bash-script", "/bin/bash"),
                                  ("/bin/late-script", "/lib64/ld-linux-x86-64.so.2")):
            self.assertEqual(self.program(path), warning(path, interpreter))
        found = self.check({"stages": [{"name": "s", "type": "exec", "options": {"command": ["/bin/foreign"]}}],
                            "services": [{"name": "a", "command": ["/bin/static"], "ready": {"exec": ["/bin/foreign"]}}],
                            "api": {"listen": "127.0.0.1:1", "actions": [{"name": "act", "command": ["/bin/foreign"]}]}})
        self.assertEqual([line.split('": ', 1)[1].split(': "')[0] for line in found],
                         ["options.command[0]", "ready.exec[0]", "command[0]"])

    def test_files_that_nothing_brings(self):
        stages = [{"name": "config", "type": "config", "options": {"url": "https://hub.example/", "ca": "/etc/no.pem"}},
                  {"name": "snapshot", "type": "snapshot", "options": {"bucket": "bucket", "directory": "/srv/reth"}},
                  {"name": "disk", "type": "disk", "options": {"policy_key": "/etc/no.pub", "version": 1}}]
        service = {"environment_file": "/etc/no.env", "before_start": [{"file": "/run/x", "from": "/etc/no.x"}]}
        api = {"listen": "127.0.0.1:1", "tls_hosts_file": "/etc/no.hosts"}
        config = self.services(service, {"container": {"image": IMAGE, "ca": "/etc/no.ca"}}, stages=stages, api=api)
        config["containers"] = {"podman": "/bin/static", "storage": "/var/lib/containers"}
        says = 'not in the image, and nothing makes it: No such file or directory'
        self.assertEqual(self.check(config), [
            f'stages[0] "config": options.ca: "/etc/no.pem": {says}',
            f'stages[1] "snapshot": "/etc/ssl/certs/ca-certificates.crt": {says}',
            f'stages[2] "disk": options.policy_key: "/etc/no.pub": {says}',
            f'services[0] "a": environment_file: "/etc/no.env": {says}',
            f'services[0] "a": before_start[0].from: "/etc/no.x": {says}',
            f'services[1] "b": container.ca: "/etc/no.ca": {says}',
            f'api.tls_hosts_file: "/etc/no.hosts": {says}'])

    def test_files_that_are_there_or_will_be(self):
        makes = [{"file": "/etc/step", "from": "/etc/there"}, {"secret": "/etc/secret"}, {"directory": "/srv/a"}]
        for path in ("/etc/there", "/run/x", "/persistent/x", "/etc/step", "/etc/secret", "/srv/a/x", "/srv/b/x", "/etc/up"):
            config = self.services({"environment_file": path, "before_start": makes},
                                   stages=[{"name": "disk", "type": "disk"}],
                                   api={"listen": "127.0.0.1:1", "uploads": [{"name": "up", "path": "/etc/up"}]})
            config["hardening"] = {"keep": ["modules"], "writable": ["/srv/b"]}
            self.assertEqual(self.check(config), [], path)
        self.assertEqual(len(self.check(self.services({"environment_file": "/bin"}))), 1)


if __name__ == "__main__":
    unittest.main()
