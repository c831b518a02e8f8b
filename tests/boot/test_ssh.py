# SPDX-License-Identifier: GPL-2.0-or-later
"""SSH into a machine: off until the API starts it, for keys alone, gone with all its sessions when the API stops it, and off
again in the next boot, which still is the same machine to a client."""

import os
import socket
import subprocess
import threading
import unittest

import support
from support import BootTest, node, only
from qemu import machine
from test_api import Client

setUpModule = support.setUpModule
PORT = 40192
SCALE = machine.TIMEOUT_SCALE


def small(config):
    only(config, "network", "dhcpcd", "disk", "ssh")
    config["modules"] = ["virtio_net", "virtio_scsi", "sd_mod", "virtio_rng", "dm_mod", "dm_crypt", "aesni_intel", "xts",
                         "button", "evdev"]
    node(config, "disk")["options"]["keys"] = ["tpm2"]
    node(config, "disk")["options"].pop("directories")
    config["api"].pop("uploads", None)


class Ssh(BootTest):
    def key(self, name):
        path = os.path.join(self.folder, name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
        with open(path + ".pub", encoding="ascii") as file:
            return path, file.read()

    def command(self, key, *words, **options):
        """OpenSSH's client, that asks nobody anything. The machine's key is learned once, and must then be the same."""
        options = {"UserKnownHostsFile": os.path.join(self.folder, "known_hosts"), "StrictHostKeyChecking": "accept-new",
                   "BatchMode": "yes", "IdentitiesOnly": "yes", "ConnectTimeout": int(20 * SCALE), "LogLevel": "ERROR", **options}
        return ["ssh", "-F", "none", "-i", key, "-p", str(PORT), *(f"-o{k}={v}" for k, v in options.items()), "root@127.0.0.1",
                *words]

    def ssh(self, key, *words, **options):
        return subprocess.run(self.command(key, *words, **options), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60 * SCALE, check=False)

    def banner(self):
        """What a client hears. QEMU takes every connection itself; a port that is closed in the guest closes it again."""
        with socket.create_connection(("127.0.0.1", PORT), timeout=20 * SCALE) as connection:
            try:
                return connection.recv(64)
            except ConnectionError:
                return b""

    def act(self, name):
        self.assertEqual(Client().ask(f"/api/v1/actions/{name}", "POST"), (200, {"message": "Action executed successfully"}))

    def count(self, guest, state):
        return sum(event.source == "ssh" and event.kind == "state" and event.text == state for event in guest.events)

    def start(self, guest):
        before = self.count(guest, "ready")
        self.act("ssh_start")
        guest.wait(lambda: self.count(guest, "ready") > before or None, 60, "ssh ready again")

    def test_ssh_is_there_when_the_api_starts_it_and_for_keys_alone(self):
        key, public = self.key("operator")
        stranger, _ = self.key("stranger")
        options = {"change": small, "files": {"/etc/ssh/authorized_keys": public.encode()}, "forward": [PORT]}
        guest = self.boot(disk=self.blank_disk(), **options)
        self.wait_booted(guest)
        guest.wait_for("system-api", kind="message", text="^no password is set")
        self.assertEqual(self.banner(), b"")
        self.assertEqual(self.states(guest, "ssh"), [])

        self.start(guest)
        self.assertTrue(self.banner().startswith(b"SSH-2.0-"))
        done = self.ssh(key, "status")
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stdout, r"(?m)^ssh +service +ready")
        self.only_for_keys(key, stranger)
        self.stop_closes_sessions(guest, key)
        self.assertEqual(self.banner(), b"")

        self.start(guest)
        self.assertEqual(self.ssh(key, "status").returncode, 0)
        self.act_reboots(guest)
        guest = self.boot(disk=self.disk, **options)
        self.wait_booted(guest)
        guest.wait_for("system-api", kind="message", text="^no password is set")
        self.assertEqual((self.states(guest, "ssh"), self.banner()), ([], b""))
        self.start(guest)
        done = self.ssh(key, "status", StrictHostKeyChecking="yes")     # its host key is the first boot's
        self.assertEqual(done.returncode, 0, done)
        self.power_off(guest)

    def only_for_keys(self, key, stranger):
        for done in (self.ssh(stranger, "status"), self.ssh(key, "status", PubkeyAuthentication="no"),
                     self.ssh(key, "status", PreferredAuthentications="password,keyboard-interactive", BatchMode="no",
                              NumberOfPasswordPrompts="1")):
            self.assertEqual(done.returncode, 255, done)
            self.assertIn("Permission denied (publickey)", done.stderr)
        for forward in ["-W", "127.0.0.1:3535"], ["-N", "-R", "40200:127.0.0.1:22", "-oExitOnForwardFailure=yes"]:
            command = self.command(key)
            done = subprocess.run([*command[:1], *forward, *command[1:]], stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=60 * SCALE, check=False)
            self.assertNotEqual(done.returncode, 0, forward)

    def stop_closes_sessions(self, guest, key):
        session = subprocess.Popen(self.command(key, "events", "-f"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(session.stdout.close)
        self.addCleanup(session.wait)
        self.addCleanup(session.kill)
        self.assertIn("gantry message", session.stdout.readline())
        self.assertIsNone(session.poll())
        reader = threading.Thread(target=session.stdout.read, daemon=True)
        reader.start()
        self.act("ssh_stop")
        guest.wait_for("ssh", "stopped", timeout=30)
        self.assertNotEqual(session.wait(20 * SCALE), 0)
        reader.join(20)
        self.assertEqual(self.count(guest, "stopped"), 1)

    def act_reboots(self, guest):
        self.act("reboot")
        self.assertEqual(guest.wait_end(), "guest-reset")
        self.keep_console(guest.folder, self.boots)


if __name__ == "__main__":
    unittest.main()
