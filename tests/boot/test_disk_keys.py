# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the disk's key comes from, and what makes a disk one that may be formatted: every source, enrolment, a TPM that is
missing, full, slow or closed, records and marks of unfinished formatting, disks that are given up by name."""

import os
import re
import signal
import subprocess
import time
import unittest

import support
from support import (DISK_BYTES, OF_ALL_SOURCES, OF_THE_HUB, RECOVERY, BootTest, add_exec, add_probe, add_steps, node, only,
                     only_disk, sha256_of, shares)
from qemu import debian, machine
from qemu.peers.hub import DISK_KEY
from qemu.tdx.azure_tpm import Swtpm, TpmError

MARK = b"Gantry was formatting this disk and has not finished.\n"
INTENT_NV, SHELL_NV = "0x01801601", "0x01500016"
KEY_PATH = "/etc/gantry/disk-policy.pem"

setUpModule = support.setUpModule


def disk_only(**options):
    """A boot of the disk stage alone, which no hub has a part in."""
    def change(config):
        only_disk(config, **options)
        node(config, "disk")["retry"] = {"min_s": 1, "max_s": 1, "limit": 3}
    return change


def with_hub(**options):
    """The disk, and what it takes to get a secret from the hub."""
    def change(config):
        only(config, "network", "clock", "config", "disk", "dhcpcd", "chronyd")
        node(config, "disk")["options"].update(options)
        node(config, "disk")["retry"] = {"min_s": 1, "max_s": 1, "limit": 3}
    return change


def add_disk(config, name, lun, **options):
    """A disk stage beside the first one, for a disk of its own; it may fail."""
    disk = node(config, "disk")
    config["stages"].append({**disk, "name": name, "required": False, "retry": {"limit": 1}, "options": {
        "lun": lun, "name": name, "mount": f"/run/{name}", **options}})


class DiskTest(BootTest):
    guest = None

    def off(self):
        """Switches the machine off, if it is on, so that its disk and TPM are as it leaves them."""
        if self.guest and not self.guest.ended:
            self.power_off(self.guest)

    def opened(self, change, **options):
        """Boots, and returns what the disk stage says at its end. The machine is on until somebody needs it to be off."""
        self.off()
        options.setdefault("nic", change.__qualname__.startswith("with_hub"))
        self.guest = guest = self.boot(disk=self.disk, change=change, **options)
        text = guest.wait_for("disk", "done", timeout=90).fields["text"]
        self.wait_booted(guest)
        return text

    def held(self, change, beside=(), **options):
        """Boots, expects that the disk is refused and not changed by a byte, and returns why; then why the stages BESIDE
        failed."""
        self.off()
        before = sha256_of(self.disk)
        options.setdefault("nic", change.__qualname__.startswith("with_hub"))
        guest = self.boot(disk=self.disk, change=change, **options)
        reason = guest.wait_for("gantry", "held", timeout=90).fields["text"]
        others = [guest.wait_for(name, "failed", despite_held=True).fields["text"] for name in beside]
        self.power_off(guest)
        self.assertEqual(sha256_of(self.disk), before, f"the disk was written to: {reason}")
        return [reason, *others] if others else reason

    def tpm(self):
        """The machine's TPM while the machine is off, for tpm2-tools."""
        self.off()
        return Swtpm(os.path.join(self.state, "tpm"))

    def cryptsetup(self, *arguments, key):
        self.off()
        return subprocess.run(["cryptsetup", *arguments, "--key-file", "-", self.disk], input=key.encode(),
                              capture_output=True, check=False).returncode


class Sources(DiskTest):
    @shares(OF_THE_HUB)
    def test_hub_opens_it_once_and_from_then_on_the_tpm_does(self):
        platform = self.platform(disk_key=DISK_KEY)
        self.disk_of_the_hub()
        both = with_hub(keys=["tpm2", "hub"], enroll=["tpm2"])
        self.assertIn("opened by hub", self.opened(both))
        self.assertIsNotNone(self.guest.find("disk", text="added a keyslot for tpm2", kind="message"))
        self.assertEqual(self.cryptsetup("open", "--test-passphrase", key=DISK_KEY), 0)
        self.assertNotEqual(self.cryptsetup("open", "--test-passphrase", key=DISK_KEY + "\n"), 0)
        # A key that the hub changes is noticed although it is not needed, and gets its keyslot.
        platform.hub.document["disk_encryption"]["key"] = "another"
        self.assertIn("opened by tpm2", self.opened(with_hub(keys=["tpm2", "hub"], enroll=["tpm2", "hub"])))
        self.assertIsNone(self.guest.find("disk", text="added a keyslot for tpm2", kind="message"))
        self.assertIsNotNone(self.guest.find("disk", text="hub has another key than the keyslot for it", level="warning"))
        self.assertEqual(self.cryptsetup("open", "--test-passphrase", key="another"), 0)
        self.assertNotEqual(self.cryptsetup("open", "--test-passphrase", key=DISK_KEY), 0)

    @shares(OF_ALL_SOURCES)
    def test_recovery_secret_opens_it_when_machine_and_hub_are_lost(self):
        self.disk_of_all_sources()
        for key in (DISK_KEY, RECOVERY):
            self.assertEqual(self.cryptsetup("open", "--test-passphrase", key=key), 0)
        platform = self.platform(disk_key="of another machine")
        platform.hub.document["disk_encryption"]["recovery"] = RECOVERY
        other = os.path.join(self.folder, "other-tpm")
        machine.make_tpm(other)
        text = self.opened(with_hub(keys=["tpm2", "hub", "recovery"], enroll=["tpm2", "recovery"]), tpm=other,
                           folder=os.path.join(self.folder, "other-machine"))
        self.assertIn("opened by recovery", text)
        self.assertIsNotNone(self.guest.find("disk", text="added a keyslot for tpm2", kind="message"))
        text = self.opened(disk_only(), folder=os.path.join(self.folder, "other-machine"))
        self.assertIn("opened by tpm2", text)

    def test_short_recovery_secret_is_no_secret_and_nothing_is_formatted(self):
        platform = self.platform(disk_key=DISK_KEY)
        platform.hub.document["disk_encryption"]["recovery"] = "0123456789"
        self.blank_disk()
        self.assertIn("shorter than 20", self.held(with_hub(keys=["hub"], enroll=["hub", "recovery"])))

    @shares(OF_THE_HUB)
    def test_key_that_the_shell_init_kept_in_the_tpm_opens_and_is_replaced(self):
        self.disk_of_the_hub()
        with self.tpm() as tpm:
            tpm.tool("nvdefine", SHELL_NV, "-C", "o", "-s", "64", "-a", "ownerread|ownerwrite")
            (tpm.path / "key").write_text(DISK_KEY, encoding="ascii")
            tpm.tool("nvwrite", SHELL_NV, "-C", "o", "-i", "key")
        self.assertIn("opened by tpm2-nv", self.opened(disk_only(keys=["tpm2", "tpm2-nv"], enroll=["tpm2"])))
        self.assertIn("opened by tpm2,", self.opened(disk_only(keys=["tpm2"])))

    def test_each_source_says_why_it_could_not_help(self):
        self.platform(disk_key=DISK_KEY)
        self.used_machine()
        other = os.path.join(self.folder, "other-tpm")
        machine.make_tpm(other)
        reason = self.held(with_hub(keys=["tpm2", "hub", "tpm2-nv", "recovery"]), tpm=other,
                           folder=os.path.join(self.folder, "other-machine"))
        for word in ("tpm2: TPM2_Load: not made by this TPM", "hub: wrong key", "tpm2-nv: TPM2_NV_ReadPublic: no such object",
                     "recovery: the hub did not provide disk-recovery"):
            self.assertIn(word, reason)
        self.assertNotIn(DISK_KEY, reason)


class Tpm(DiskTest):
    def test_pcr_15_is_extended_once_the_disk_is_open_and_the_key_cannot_be_unsealed_again(self):
        self.used_machine()
        copy = os.path.join(self.folder, "copy.raw")
        support.copy_sparse(self.disk, copy)

        def change(config):
            disk_only()(config)
            add_disk(config, "again", 11, keys=["tpm2"], format=False)
            node(config, "again")["needs"] = ["disk"]
            add_probe(config, "pcrs", "pcrs", needs=["disk"])

        guest = self.boot(disk=self.disk, change=change, nic=False, more_disks={11: copy})
        failed = guest.wait_for("again", "failed", timeout=60)
        self.assertIn("PCR 15 has been extended in this boot", failed.fields["text"])
        line = guest.wait_for("pcrs", text="^pcr 15 is", kind="message", timeout=60).text
        self.assertNotIn("0" * 64, line)

    def test_machine_without_a_tpm_formats_nothing_unless_it_is_told_to_go_without_a_record(self):
        self.platform(disk_key=DISK_KEY)
        self.blank_disk()
        other = os.path.join(self.folder, "other.raw")
        machine.blank_disk(other, DISK_BYTES)

        def change(config):
            with_hub(keys=["hub"], intent="none")(config)
            add_disk(config, "other", 11, keys=["tpm2", "hub"])

        self.assertIn("formatted, key from hub", self.opened(change, tpm=False, nic=True, more_disks={11: other}))
        failed = self.guest.wait_for("other", "failed")
        self.assertIn("formatting cannot be recorded: no TPM", failed.fields["text"])
        self.off()
        self.assertEqual(os.stat(other).st_blocks, 0)
        self.assertIn("opened by hub", self.opened(with_hub(keys=["tpm2", "hub"]), tpm=False))

    def test_tpm_whose_memory_is_full_formats_nothing_and_opens_what_is_there(self):
        self.used_machine()
        _, public = self.policy_key()
        with open(public, "rb") as file:
            files = {KEY_PATH: file.read()}
        with self.tpm() as tpm:
            index = 0x01900000
            for kind in (("-s", "2048"), ("-s", "256"), ("-s", "8"), None):
                attributes = "ownerread|ownerwrite" if kind else "nt=0x1|ownerread|ownerwrite"
                with self.assertRaises(TpmError):
                    while True:
                        tpm.tool("nvdefine", f"{index:#x}", "-C", "o", *(kind or ()), "-a", attributes)
                        index += 1
        # There is no room for a version counter either; what is opened by it is lost, and nothing else.
        signed = disk_only(keys=["tpm2-signed", "tpm2"], enroll=["tpm2-signed"], policy_key=KEY_PATH, version=1)
        self.assertIn("opened by tpm2", self.opened(signed, files=files))
        self.assertIsNotNone(self.guest.find("disk", text="no room for a version counter in the TPM", level="warning"))
        self.off()
        self.blank_disk()
        self.assertIn("NV is full", self.held(disk_only()))

    def test_tpm_that_answers_late_is_waited_for(self):
        self.used_machine()
        guest = self.boot(disk=self.disk, change=disk_only(), nic=False, attach_after=600)
        guest.wait_for("disk", text="waiting for disk", kind="message", timeout=60)
        os.kill(guest.swtpm.pid, signal.SIGSTOP)
        try:
            guest.attach_disk()
            guest.wait_for("disk", text="^found ", kind="message")
            until = time.monotonic() + 4
            with guest.changed:         # nothing can come of it before the TPM answers
                guest.changed.wait_for(lambda: guest.ended or time.monotonic() > until, 4)
            self.assertIsNone(guest.find("disk", "done"))
        finally:
            os.kill(guest.swtpm.pid, signal.SIGCONT)
        guest.wait_for("disk", "done", timeout=60)

    def test_tpm_in_lockout_opens_all_the_same(self):
        self.used_machine()
        with self.tpm() as tpm:
            tpm.tool("nvdefine", "0x01900000", "-C", "o", "-s", "8", "-p", "right", "-a", "authread|authwrite|ownerread")
            for _ in range(40):
                try:
                    tpm.tool("nvread", "0x01900000", "-P", "wrong", "-s", "8")
                except TpmError as error:
                    if "lockout" in str(error).lower():
                        break
            else:
                self.fail("the TPM is not in lockout")
        self.assertIn("opened by tpm2", self.opened(disk_only()))

    def test_tpm_is_shut_down_in_order(self):
        self.used_machine()
        with self.tpm() as tpm:
            facts = tpm.tool("getcap", "properties-variable").decode()
        self.assertRegex(facts, r"orderly:\s+1")

    def test_record_of_formatting_is_gone_when_the_disk_is_made(self):
        self.used_machine()
        with self.tpm() as tpm:
            self.assertNotIn(INTENT_NV, tpm.tool("getcap", "handles-nv-index").decode().lower())

    def test_volume_that_is_open_already_is_gone_on_with(self):
        """As an attempt that was killed leaves it: here somebody else has opened it with the same TPM."""
        self.used_machine()

        def change(config):
            disk_only()(config)
            add_exec(config, "opener", debian.cryptsetup("open", "--token-only", "/dev/sda", "persistent"))
            node(config, "disk")["needs"] = ["opener"]

        files = debian.programs("env", "cryptsetup", plugins=debian.TPM2_PLUGINS)
        self.assertIn("opened before", self.opened(change, files=files, nic=False))
        self.assertIn("opened by tpm2", self.opened(disk_only()))


    def test_attempt_after_one_that_was_killed_behind_the_mount_finishes_its_work(self):
        self.used_machine()

        def change(config):
            disk_only(directories=[{"path": "made", "mode": "0711"}], swap_bytes=16 << 20)(config)
            add_exec(config, "opener", debian.cryptsetup("open", "--token-only", "/dev/sda", "persistent"))
            add_exec(config, "mounter", debian.command("mount", "-t", "ext4", "/dev/mapper/persistent", "/persistent"),
                     needs=["opener"])
            node(config, "disk")["needs"] = ["mounter"]
            add_exec(config, "look", debian.command("ls", "-d", "/persistent/made"), needs=["disk"])
            add_exec(config, "swaps", debian.command("cat", "/proc/swaps"), needs=["disk"])

        files = debian.programs("env", "cryptsetup", "mount", "ls", "cat", plugins=debian.TPM2_PLUGINS)
        guest = self.boot(disk=self.disk, change=change, files=files, nic=False)
        self.assertIn("opened before", guest.wait_for("disk", "done", timeout=90).fields["text"])
        guest.wait_for("look", text="^/persistent/made", kind="message", timeout=30)
        guest.wait_for("swaps", text=r"^/persistent/\.swap", kind="message", timeout=30)
        self.assertIsNone(guest.find("disk", level="warning"))
        self.power_off(guest)


class Formatting(DiskTest):
    def test_nothing_is_sealed_to_pcrs_that_nobody_measured(self):
        self.blank_disk()
        self.assertRegex(self.held(disk_only(unmeasured_pcrs=False)), "tpm2: nothing was measured into PCR .*11")

    def test_mark_without_a_record_is_left_untouched(self):
        with open(self.blank_disk(), "r+b") as file:
            file.write(MARK.ljust(512, b"\0"))
        self.assertIn("the TPM of this machine has no record of it", self.held(disk_only()))

    def test_foreign_disk_is_formatted_only_when_serial_number_and_of_a_volume_also_uuid_are_spelled_out(self):
        uuid = "6a6e7472-0000-4000-8000-000000000001"
        serial, luks = machine.DATA_SERIAL, os.path.join(self.folder, "luks.raw")
        machine.blank_disk(self.disk, DISK_BYTES)
        self.assertEqual(self.cryptsetup("luksFormat", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
                                         "--uuid", uuid, key="somebody else's"), 0)
        os.replace(self.disk, luks)
        machine.foreign_disk(self.disk, DISK_BYTES)
        others = {lun: os.path.join(self.folder, f"other-{lun}.raw") for lun in (11, 12)}
        for lun, path in others.items():
            support.copy_sparse(luks, path)
        before = sha256_of(luks)

        def change(config):
            disk_only(force_serial="OTHER")(config)
            add_disk(config, "no-uuid", 11, keys=["tpm2"], force_serial="GANTRY-MORE-11")
            add_disk(config, "other-uuid", 12, keys=["tpm2"], force_serial="GANTRY-MORE-12", force_uuid=uuid[:-1] + "2")

        foreign, *volumes = self.held(change, beside=("no-uuid", "other-uuid"), nic=False, more_disks=others)
        self.assertIn("ext4 signature", foreign)
        for path, reason in zip(others.values(), volumes):
            self.assertIn("no sealed key", reason)
            self.assertEqual(sha256_of(path), before, f"the disk was written to: {reason}")
        self.assertIn("formatted", self.opened(disk_only(force_serial=serial)))
        self.assertIsNotNone(self.guest.find("disk", text="but force_serial names it", level="warning"))
        self.assertIn("opened by tpm2", self.opened(disk_only(force_serial=serial)))
        self.off()
        os.replace(luks, self.disk)
        given_up = disk_only(force_serial=serial, force_uuid=uuid)
        self.assertIn("formatted", self.opened(given_up))
        self.assertIn("opened by tpm2", self.opened(given_up))

    def test_volume_is_not_given_up_while_a_source_may_still_open_it(self):
        self.used_machine()
        uuid = subprocess.run(["cryptsetup", "luksUUID", self.disk], capture_output=True, text=True,
                              check=True).stdout.strip()
        given_up = disk_only(force_serial=machine.DATA_SERIAL, force_uuid=uuid)
        self.assertIn("no TPM", self.held(given_up, tpm=False, nic=True, folder=os.path.join(self.folder, "without-tpm")))
        self.assertIn("opened by tpm2", self.opened(given_up))


class Header(DiskTest):
    def test_damaged_copy_is_repaired_once_a_key_has_opened_the_volume_with_the_other(self):
        self.used_machine()
        for offset, name in ((0, "primary"), (0x4000, "secondary")):
            self.off()
            with open(self.disk, "r+b") as file:
                file.seek(offset)
                file.write(b"damaged!" * 600)
            self.assertIn("opened by tpm2", self.opened(disk_only()))
            text = f"{name} header copy was damaged or outdated: repaired"
            self.assertIsNotNone(self.guest.find("disk", text=text, kind="message"))
        self.assertIn("opened by tpm2", self.opened(disk_only()))
        self.assertIsNone(self.guest.find("disk", text="header copy", kind="message"))
        self.off()
        shown = subprocess.run(["cryptsetup", "luksDump", self.disk], capture_output=True, text=True, check=True).stdout
        self.assertIn("systemd-tpm2", shown)


class Settling(DiskTest):
    def test_file_system_grows_with_the_disk(self):
        self.used_machine()
        os.truncate(self.disk, DISK_BYTES + (256 << 20) + 512)     # and no whole sector of the volume at its end
        self.assertIn("768.0 MiB", self.opened(disk_only()))
        self.assertIsNotNone(self.guest.find("disk", text="file system grown to 76[0-9]", kind="message"))
        self.opened(disk_only())
        self.assertIsNone(self.guest.find("disk", text="file system grown", kind="message"))

    def test_swap_is_on_until_the_end_and_its_size_follows_the_configuration(self):
        self.blank_disk()
        for mib in (64, 64, 32):
            self.opened(disk_only(swap_bytes=mib << 20))
            self.assertIsNotNone(self.guest.find("disk", text=f"swap on, {mib} MiB", kind="message"))
            self.off()
            self.guest.wait_line(r"swap off /persistent/\.swap")
        self.opened(disk_only(swap_bytes=4 << 30))
        self.assertIsNotNone(self.guest.find("disk", text="swap file .* not activated: No space left", level="warning"))

    def test_directories_have_their_owner_and_mode(self):
        def change(config):
            disk_only(directories=[{"path": "reth/db", "user": "reth", "group": "eth", "mode": "2750"},
                                   {"path": "reth", "user": "reth", "group": "eth"}])(config)
            config["services"].append({"name": "keeper", "command": ["/bin/keeper", "write", "/persistent/reth/db"],
                                       "user": "reth", "group": "eth", "needs": ["disk"]})

        self.blank_disk()
        guest = self.boot(disk=self.disk, change=change, nic=False)
        guest.wait_for("keeper", text="^kept 1", timeout=60)

    def test_directory_that_would_lead_out_of_the_volume_fails_the_boot(self):
        self.used_machine()
        guest = self.boot(disk=self.disk, nic=False, change=disk_only(directories=[{"path": "../etc/gantry/x"}]))
        self.assertIn("directory ../etc", guest.wait_for("gantry", "held", timeout=60).fields["text"])

    def test_disk_is_found_by_its_serial_number_at_whatever_address(self):
        self.used_machine()
        def change(config):
            disk_only(serial=machine.DATA_SERIAL)(config)
            del node(config, "disk")["options"]["lun"]

        self.assertIn(f"(serial {machine.DATA_SERIAL})", self.opened(change, lun=3, nic=False))

    def test_largest_disk_is_taken_when_the_configuration_says_so(self):
        small = os.path.join(self.folder, "small.raw")
        machine.blank_disk(small, 64 << 20)
        os.truncate(self.blank_disk(), DISK_BYTES + 512)   # and no whole sector of the volume at its end

        def change(config):
            disk_only(largest=True)(config)
            del node(config, "disk")["options"]["lun"]

        self.assertIn("512.0 MiB", self.opened(change, nic=False, more_disks={1: small}))
        self.assertEqual(os.stat(small).st_blocks, 0)


class Nvme(DiskTest):
    def test_namespace_of_the_lun_is_formatted_and_may_take_as_long_as_the_host_needs(self):
        """As newer Azure sizes have it: the system's namespace 1, and 12 for LUN 10; here with sectors of 4096 bytes."""
        self.blank_disk()
        system = os.path.join(self.folder, "system.raw")
        machine.blank_disk(system, 64 << 20)

        def change(config):
            disk_only()(config)
            config["modules"].append("nvme")
            add_exec(config, "look", debian.command("grep", "", *(f"/sys/block/nvme0n{number}/queue/io_timeout"
                                                                  for number in (1, 2))), needs=["disk"])

        extra = ["-device", "nvme,id=nvme0,serial=SN000001"]
        for nsid, path in ((1, system), (12, self.disk)):
            extra += ["-drive", f"if=none,id=n{nsid},format=raw,file={path}", "-device",
                      f"nvme-ns,drive=n{nsid},bus=nvme0,nsid={nsid},logical_block_size=4096,physical_block_size=4096"]
        guest = self.boot(change=change, extra=extra, nic=False, files=debian.programs("env", "grep"))
        text = guest.wait_for("disk", "done", timeout=90).fields["text"]
        # The kernel numbers the two in the order in which it finds them.
        name = re.search(r"formatted, key from tpm2, .* on (nvme0n[12]) \(lun 10\)", text)[1]
        guest.wait_for("look", text=f"^/sys/block/{name}/queue/io_timeout:240000$", kind="message", timeout=60)
        self.power_off(guest)
        self.assertEqual(os.stat(system).st_blocks, 0)


class Closing(DiskTest):
    def test_volume_that_something_still_holds_is_closed_without_its_key_in_bounded_time(self):
        """A loop device over a file on the volume: it belongs to no process that could be ended."""
        self.used_machine()

        def change(config):
            disk_only()(config)
            config["modules"].append("loop")
            add_steps(config, debian.command("truncate", "-s", "1M", "/persistent/held"),
                      debian.command("losetup", "/dev/loop0", "/persistent/held"), needs=["disk"])

        guest = self.boot(disk=self.disk, change=change, files=debian.programs("env", "truncate", "losetup"), nic=False)
        guest.wait_for("step-2", "done", timeout=60)
        self.power_off(guest)
        for line in ("/persistent is still busy: frozen, detached", "volume persistent is still busy: its key was removed"):
            self.assertTrue(any(line in each for each in guest.lines), line)
        self.assertIn("opened by tpm2", self.opened(disk_only()))
        self.off()
        for line in ("unmounted /persistent", "closed volume persistent"):
            self.assertTrue(any(line in each for each in self.guest.lines), line)


if __name__ == "__main__":
    unittest.main()
