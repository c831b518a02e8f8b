# SPDX-License-Identifier: GPL-2.0-or-later
"""Volumes go both ways: what Debian's cryptsetup made, the disk stage opens; what the stage made, Debian's cryptsetup and
systemd open, with the same key or the same TPM. A marker file shows that it is the same file system."""

import json
import subprocess
import unittest

import support
from support import BootTest, add_steps, node, only, shares
from qemu import debian
from qemu.peers.hub import DISK_KEY

setUpModule = support.setUpModule
RECOVERY_KEY = "Test0nlyRecoveryKey000000000000000000000000000000000000000000043"
MARKER = "the-same-file-system-as-before"
DISK = "/dev/sda"
FORMATTED = "formatted-with-the-tpm"
KEY, RECOVERY, WRONG = "/secret/hub", "/secret/recovery", "/secret/wrong"
FASTEST = ("--perf-no_read_workqueue", "--perf-no_write_workqueue")


class InteropTest(BootTest):
    def debian_files(self, *programs, plugins=()):
        secrets = {KEY: DISK_KEY, RECOVERY: RECOVERY_KEY, WRONG: DISK_KEY[::-1], "/secret/marker": MARKER}
        return debian.programs("env", "cryptsetup", "mount", "umount", "cp", "cat", *programs, plugins=plugins) | {
            path: text.encode() for path, text in secrets.items()} | {"/mnt/nothing": b""}

    def boot_of_debian(self, *commands, programs=(), plugins=(), **options):
        """A boot of these commands instead of ours, one after the other; all of them must succeed."""

        def change(config):
            only(config)
            add_steps(config, *commands)

        options.setdefault("memory_mib", 2048)      # argon2id takes up to half of it
        guest = self.boot(disk=self.disk, change=change, files=self.debian_files(*programs, plugins=plugins), **options)
        self.wait_booted(guest, timeout=240)
        return guest

    def boot_of_ours(self, steps=(), **options):
        """A boot with the disk stage and what it needs, and these commands when the disk is there."""

        def change(config):
            only(config, "network", "clock", "config", "disk", "dhcpcd", "chronyd")
            node(config, "disk")["options"].update(options)
            add_steps(config, *steps, needs=["disk"])

        guest = self.boot(disk=self.disk, change=change, files=self.debian_files(), memory_mib=2048)
        self.wait_booted(guest, timeout=240)
        return guest

    def put_marker(self, folder):
        return debian.command("cp", "/secret/marker", f"{folder}/marker")

    def read_marker(self, folder):
        return debian.command("cat", f"{folder}/marker")

    def assert_marker(self, guest):
        self.assertIsNotNone(guest.find(text=f"^{MARKER}$", kind="message"))

    def fill(self, *flags):
        """Opens what is on the disk, makes a file system in it that has the marker, and closes it again."""
        return (debian.cryptsetup("open", "--key-file", KEY, *flags, DISK, "made"),
                ["/sbin/mke2fs", "-q", "-t", "ext4", "/dev/mapper/made"],
                debian.command("mount", "-t", "ext4", "/dev/mapper/made", "/mnt"), self.put_marker("/mnt"),
                debian.command("umount", "/mnt"), debian.cryptsetup("close", "made"))

    def look(self, name):
        """What is in the open volume of that name, and the volume closed again."""
        return (debian.command("mount", "-t", "ext4", "-o", "ro", f"/dev/mapper/{name}", "/mnt"), self.read_marker("/mnt"),
                debian.command("umount", "/mnt"), debian.cryptsetup("close", name))


class MadeByDebian(InteropTest):
    def assert_opened_by_ours(self):
        self.platform(disk_key=DISK_KEY)
        guest = self.boot_of_ours([self.read_marker("/persistent")], keys=["hub"])
        self.assertIn("opened by hub", guest.find("disk", "done")[1].fields["text"])
        self.assert_marker(guest)
        self.assert_no_line(guest, "formatt")
        self.power_off(guest)

    def test_volume_that_debian_made_with_its_defaults_opens_and_has_its_files(self):
        self.blank_disk()
        made = self.boot_of_debian(debian.cryptsetup("luksFormat", "--batch-mode", "--key-file", KEY, DISK), *self.fill())
        self.power_off(made)
        dump = subprocess.run(["cryptsetup", "luksDump", self.disk], check=True, capture_output=True, text=True).stdout
        self.assertIn("argon2id", dump)
        self.assertRegex(dump, r"offset: 16777216 \[bytes\]")
        self.assert_opened_by_ours()

    def test_volume_of_the_shell_init_s_parameters_opens_and_has_its_files(self):
        # Made here and not in the guest, where a stage has no standard input; with less to compute, since there it is slower.
        subprocess.run(["cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--pbkdf-memory", "32768",
                        "--pbkdf-force-iterations", "4", self.blank_disk()], input=DISK_KEY + "\n", text=True, check=True)
        self.power_off(self.boot_of_debian(*self.fill(*FASTEST, "--persistent")))
        dump = subprocess.run(["cryptsetup", "luksDump", self.disk], check=True, capture_output=True, text=True).stdout
        self.assertIn("argon2id", dump)
        self.assertRegex(dump, r"Flags:\s+no-read-workqueue no-write-workqueue")
        self.assert_opened_by_ours()


class MadeByGantry(InteropTest):
    def test_cryptsetup_opens_it_with_the_hub_s_key_and_with_the_recovery_key_alone(self):
        platform = self.platform(disk_key=DISK_KEY)
        platform.hub.document["disk_encryption"]["recovery"] = RECOVERY_KEY
        self.blank_disk()
        self.power_off(self.boot_of_ours([self.put_marker("/persistent")], keys=["hub"], enroll=["hub", "recovery"]))

        def test(key):
            return debian.cryptsetup("open", "--test-passphrase", "--key-file", key, DISK)

        guest = self.boot_of_debian(test(KEY), test(RECOVERY), debian.cryptsetup("open", "--key-file", RECOVERY, DISK, "ours"),
                                    *self.look("ours"))
        self.assert_marker(guest)
        self.power_off(guest)
        with self.assertRaisesRegex(support.machine.MachineError, "No key available with this passphrase"):
            self.boot_of_debian(test(WRONG))

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
    def test_systemd_cryptsetup_opens_it_with_the_same_tpm(self):
        self.formatted_with_the_tpm()
        guest = self.boot_of_debian(self.attach(), *self.look("attached"), programs=["systemd-cryptsetup"],
                                    plugins=debian.TPM2_PLUGINS)
        self.assert_marker(guest)

    @shares(FORMATTED)
    def test_cryptsetup_s_token_plugin_opens_it_with_the_same_tpm(self):
        self.formatted_with_the_tpm()
        guest = self.boot_of_debian(debian.cryptsetup("open", "--token-only", DISK, "attached"), *self.look("attached"),
                                    plugins=debian.TPM2_PLUGINS)
        self.assert_marker(guest)

    @shares(FORMATTED)
    def test_systemd_cryptsetup_cannot_open_it_once_pcr_15_is_extended(self):
        self.formatted_with_the_tpm()
        extend = debian.command("tpm2", "pcrextend", "15:sha256=" + "ab" * 32, TPM2TOOLS_TCTI="device:/dev/tpmrm0")
        with self.assertRaisesRegex(support.machine.MachineError, "step-2: .*Failed to unseal secret using TPM2"):
            self.boot_of_debian(extend, self.attach(), programs=["systemd-cryptsetup", "tpm2"], plugins=debian.TPM2_PLUGINS)


class Tools(InteropTest):
    def test_systemd_opens_in_a_second_boot_what_it_enrolled_in_the_first(self):
        """No code of ours: that what the tests above run does work in this guest and with this TPM."""
        self.blank_disk()
        enroll = debian.command("systemd-cryptenroll", f"--unlock-key-file={KEY}", "--tpm2-device=auto",
                                "--tpm2-pcrs=4+9+11+15", DISK, DM_DISABLE_UDEV="1")
        guest = self.boot_of_debian(
            debian.cryptsetup("luksFormat", "--batch-mode", "--key-file", KEY, "--pbkdf", "pbkdf2",
                              "--pbkdf-force-iterations", "1000", DISK),
            *self.fill(), enroll, programs=["systemd-cryptenroll"], plugins=debian.TPM2_PLUGINS)
        self.power_off(guest)
        guest = self.boot_of_debian(
            debian.command("systemd-cryptsetup", "attach", "attached", DISK, "-", "tpm2-device=auto,headless=1",
                           DM_DISABLE_UDEV="1"), *self.look("attached"),
            debian.cryptsetup("open", "--token-only", DISK, "attached"), *self.look("attached"),
            programs=["systemd-cryptsetup"], plugins=debian.TPM2_PLUGINS)
        self.assert_marker(guest)


if __name__ == "__main__":
    unittest.main()
