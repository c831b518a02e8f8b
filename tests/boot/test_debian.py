# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own programs run in the guest: what interoperability and benchmarks are built on."""

import support
from support import BootTest, only
from qemu import debian

setUpModule = support.setUpModule


class Programs(BootTest):
    def test_debian_s_cryptsetup_and_fio_run_in_the_guest(self):
        def change(config):
            only(config)
            support.add_exec(config, "cryptsetup", debian.cryptsetup("--version"))
            support.add_exec(config, "fio", debian.command("fio", "--version"), needs=["cryptsetup"])

        guest = self.boot(change=change, files=debian.programs("env", "cryptsetup", "fio"))
        self.wait_booted(guest)
        self.assertRegex(guest.find("cryptsetup", "done")[1].fields["text"], r"^cryptsetup 2\.[789]\.\d")
        self.assertRegex(guest.find("fio", "done")[1].fields["text"], r"^fio-3\.\d+")

    def test_systemd_s_programs_find_the_tpm_in_the_guest(self):
        def change(config):
            only(config)
            support.add_exec(config, "enroll", debian.command("systemd-cryptenroll", "--tpm2-device=list"))

        files = debian.programs("env", "systemd-cryptenroll", plugins=debian.TPM2_PLUGINS)
        guest = self.boot(change=change, files=files)
        self.wait_booted(guest)
        self.assertIsNotNone(guest.find("enroll", text=r"^/dev/tpmrm0 ", kind="message"))

    def test_a_program_that_is_not_there_is_named(self):
        with self.assertRaisesRegex(debian.DebianError, "no-such-program"):
            debian.programs("no-such-program")
