# SPDX-License-Identifier: GPL-2.0-or-later
"""Volumes go both ways: what Debian's cryptsetup made, the disk stage opens; what the stage made, Debian's cryptsetup and
systemd open, with the same key or the same TPM. A marker file shows that it is the same file system."""

import json
import os
import re
import subprocess
import unittest

import support
from support import MARKER, OF_ALL_SOURCES, RECOVERY, BootTest, add_exec, add_steps, node, only, shares
from qemu import debian, machine
from qemu.peers.hub import DISK_KEY

setUpModule = support.setUpModule
DISK, SECOND = "/dev/sda", "/dev/sdb"
SECOND_LUN = 11
MOUNTS = {"disk": "/persistent", "second": "/run/second"}
FORMATTED = "formatted-with-the-tpm"
KEY = "/secret/hub"
FASTEST = ("--perf-no_read_workqueue", "--perf-no_write_workqueue")


class InteropTest(BootTest):
    def debian_files(self, *programs, plugins=()):
        secrets = {KEY: DISK_KEY, "/secret/marker": MARKER}
        return debian.programs("env", "cryptsetup", "mount", "umount", "cp", "cat", *programs, plugins=plugins) | {
            path: text.encode() for path, text in secrets.items()} | {"/mnt/nothing": b""}

    def boot_of_debian(self, *commands, programs=(), plugins=(), **options):
        """A boot of these commands instead of ours, one after the other; all of them must succeed."""

        def change(config):
            only(config)
            add_steps(config, *commands)

        files = self.debian_files(*programs, plugins=plugins)
        self.guest = guest = self.boot(disk=self.disk, change=change, files=files, **options)
        self.wait_booted(guest, timeout=240)
        return guest

    def boot_of_ours(self, steps=(), **options):
        """A boot with the disk stage and what it needs, and these commands when the disk is there."""

        def change(config):
            only(config, "network", "clock", "config", "disk", "dhcpcd", "chronyd")
            node(config, "disk")["options"].update(options)
            add_steps(config, *steps, needs=["disk"])

        guest = self.boot(disk=self.disk, change=change, files=self.debian_files())
        self.wait_booted(guest, timeout=240)
        return guest

    def put_marker(self, folder):
        return debian.command("cp", "/secret/marker", f"{folder}/marker")

    def read_marker(self, folder):
        return debian.command("cat", f"{folder}/marker")

    def assert_marker(self, guest):
        self.assertIsNotNone(guest.find(text=f"^{MARKER}$", kind="message"))

    def fill(self, disk, *flags):
        """Opens what is on the disk, makes a file system in it that has the marker, and closes it again."""
        return (debian.cryptsetup("open", "--key-file", KEY, *flags, disk, "made"),
                ["/sbin/mke2fs", "-q", "-t", "ext4", "/dev/mapper/made"],
                debian.command("mount", "-t", "ext4", "/dev/mapper/made", "/mnt"), self.put_marker("/mnt"),
                debian.command("umount", "/mnt"), debian.cryptsetup("close", "made"))

    def look(self, name):
        """What is in the open volume of that name, and the volume closed again."""
        return (debian.command("mount", "-t", "ext4", "-o", "ro", f"/dev/mapper/{name}", "/mnt"), self.read_marker("/mnt"),
                debian.command("umount", "/mnt"), debian.cryptsetup("close", name))


class MadeByDebian(InteropTest):
    def test_volumes_of_debian_s_defaults_and_of_the_shell_init_s_parameters_open_and_have_their_files(self):
        # Made here and not in the guest, with less to compute, since there it is slower. Opening one makes it the shell init's.
        disks = self.blank_disk(), os.path.join(self.folder, "second.raw")
        machine.blank_disk(disks[1], support.DISK_BYTES)
        for path in disks:
            subprocess.run(["cryptsetup", "luksFormat", "--batch-mode", "--pbkdf-memory", "1024", "--pbkdf-force-iterations", "4",
                            path], input=DISK_KEY + "\n", text=True, check=True)
        self.power_off(self.boot_of_debian(*self.fill(DISK), *self.fill(SECOND, *FASTEST, "--persistent"),
                                           more_disks={SECOND_LUN: disks[1]}))
        dumps = [subprocess.run(["cryptsetup", "luksDump", path], check=True, capture_output=True, text=True).stdout
                 for path in disks]
        for dump in dumps:
            self.assertIn("argon2id", dump)
            self.assertRegex(dump, r"offset: 16777216 \[bytes\]")
        # The kernel numbers the two in the order in which it finds them.
        self.assertEqual(sorted(re.search(r"Flags:\s+(.*)", dump)[1].strip() for dump in dumps),
                         ["(no flags)", "no-read-workqueue no-write-workqueue"])
        self.platform(disk_key=DISK_KEY)

        def change(config):
            only(config, "network", "clock", "config", "disk", "dhcpcd", "chronyd")
            disk = node(config, "disk")
            disk["options"]["keys"] = ["hub"]
            config["stages"].append({**disk, "name": "second", "options": {
                **disk["options"], "lun": SECOND_LUN, "name": "second", "mount": "/run/second"}})
            for name, folder in MOUNTS.items():
                add_exec(config, f"look-{name}", self.read_marker(folder), needs=[name])

        guest = self.boot(disk=self.disk, change=change, files=self.debian_files(), more_disks={SECOND_LUN: disks[1]})
        self.wait_booted(guest, timeout=240)
        for name in MOUNTS:
            with self.subTest(disk=name):
                self.assertIn("opened by hub", guest.find(name, "done")[1].fields["text"])
                self.assertIsNotNone(guest.find(f"look-{name}", text=f"^{MARKER}$", kind="message"))
        self.assert_no_line(guest, "formatt")
        self.power_off(guest)


class MadeByGantry(InteropTest):
    @shares(OF_ALL_SOURCES)
    def test_cryptsetup_opens_it_with_the_hub_s_key_and_with_the_recovery_key_alone(self):
        self.disk_of_all_sources()
        volume_keys = set()
        for name, key in ("hub", DISK_KEY), ("recovery", RECOVERY):
            out = os.path.join(self.folder, name)
            subprocess.run(["cryptsetup", "luksDump", "--batch-mode", "--dump-volume-key", "--key-file", "-",
                            "--volume-key-file", out, self.disk], input=key, text=True, check=True, capture_output=True)
            with open(out, "rb") as file:
                volume_keys.add(file.read())
        self.assertEqual(len(volume_keys), 1)
        wrong = subprocess.run(["cryptsetup", "open", "--test-passphrase", "--key-file", "-", self.disk], input=DISK_KEY[::-1],
                               text=True, check=False, capture_output=True)
        self.assertIn("No key available with this passphrase", wrong.stderr)
        guest = self.boot_of_debian(debian.cryptsetup("open", "--key-file", KEY, DISK, "ours"), *self.look("ours"))
        self.assert_marker(guest)
        self.power_off(guest)

    @shares(FORMATTED)
    def test_header_passes_cryptsetup_s_own_checks_and_names_our_token(self):
        token, dump = self.formatted_with_the_tpm()
        self.assertIn("systemd-tpm2", dump)
        self.assertIn("aes-xts-plain64", dump)
        self.assertRegex(dump, r"sector: 4096 \[bytes\]")
        self.assertEqual(token["type"], "systemd-tpm2")
        self.assertEqual(token["tpm2-pcrs"], [4, 9, 11, 15])
        self.assertEqual(token["tpm2-pcr-bank"], "sha256")
        self.assertIn(token["tpm2-primary-alg"], ("ecc", "rsa"))
        self.assertRegex(token["tpm2-policy-hash"], "^[0-9a-f]{64}$")
        self.assertFalse(token["tpm2-pin"])

    def formatted_with_the_tpm(self):
        """A disk that our stage formatted and sealed to this machine's TPM: its token, and what luksDump says."""
        def make():
            self.platform()
            self.blank_disk()
            self.power_off(self.boot_of_ours([self.put_marker("/persistent")], keys=["tpm2"]))

        self.prepared(FORMATTED, make)
        outputs = [subprocess.run(["cryptsetup", *arguments, self.disk], check=True, capture_output=True, text=True).stdout
                   for arguments in (("token", "export", "--token-id", "0"), ("luksDump",))]
        return json.loads(outputs[0]), outputs[1]

    # The same machine and TPM, booted directly: nothing measures the other initramfs, and no stage extends PCR 15.

    def attach(self):
        return debian.command("systemd-cryptsetup", "attach", "attached", DISK, "-", "tpm2-device=auto,headless=1",
                              DM_DISABLE_UDEV="1", SYSTEMD_LOG_LEVEL="info")

    @shares(FORMATTED)
    def test_systemd_cryptsetup_and_cryptsetup_s_token_plugin_open_it_with_the_same_tpm_until_pcr_15_is_extended(self):
        self.formatted_with_the_tpm()
        extend = debian.command("tpm2", "pcrextend", "15:sha256=" + "ab" * 32, TPM2TOOLS_TCTI="device:/dev/tpmrm0")
        steps = (self.attach(), *self.look("attached"), debian.cryptsetup("open", "--token-only", DISK, "attached"),
                 *self.look("attached"), extend)
        with self.assertRaisesRegex(machine.MachineError,
                                    rf"step-{len(steps) + 1}: .*Failed to unseal secret using TPM2"):
            self.boot_of_debian(*steps, self.attach(), programs=["systemd-cryptsetup", "tpm2"], plugins=debian.TPM2_PLUGINS)
        markers = [event.source for event in self.guest.events if event.kind == "message" and event.text == MARKER]
        self.assertEqual(markers, ["step-3", "step-8"])


class Tools(InteropTest):
    def test_systemd_opens_in_a_second_boot_what_it_enrolled_in_the_first(self):
        """No code of ours: that what the tests above run does work in this guest and with this TPM."""
        self.blank_disk()
        enroll = debian.command("systemd-cryptenroll", f"--unlock-key-file={KEY}", "--tpm2-device=auto",
                                "--tpm2-pcrs=4+9+11+15", DISK, DM_DISABLE_UDEV="1")
        guest = self.boot_of_debian(
            debian.cryptsetup("luksFormat", "--batch-mode", "--key-file", KEY, "--pbkdf", "pbkdf2",
                              "--pbkdf-force-iterations", "1000", DISK),
            *self.fill(DISK), enroll, programs=["systemd-cryptenroll"], plugins=debian.TPM2_PLUGINS)
        self.power_off(guest)
        guest = self.boot_of_debian(
            debian.command("systemd-cryptsetup", "attach", "attached", DISK, "-", "tpm2-device=auto,headless=1",
                           DM_DISABLE_UDEV="1"), *self.look("attached"),
            debian.cryptsetup("open", "--token-only", DISK, "attached"), *self.look("attached"),
            programs=["systemd-cryptsetup"], plugins=debian.TPM2_PLUGINS)
        self.assert_marker(guest)


if __name__ == "__main__":
    unittest.main()
