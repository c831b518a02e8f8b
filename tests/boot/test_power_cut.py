# SPDX-License-Identifier: GPL-2.0-or-later
"""The power goes at any moment: the next boot completes, and what was synced is there.

Two boots are recorded, write by write: a first one, from a blank disk to a service that writes and syncs files, and a
later one that goes on with it. From the records disks are made as a cut would have left them at 62 random places,
with unflushed writes lost or torn. Those that fall into the formatting get a machine each, with the TPM as it was then. These
machines share their boot: one with that TPM is saved while it waits for its disk, and each goes on from there with a disk of its
own. The others share machines, which have all of these disks. A few more cuts are made for real, by killing the machine.
GANTRY_SEED=N repeats a run; the seed is printed."""

import fcntl
import hashlib
import json
import os
import random
import re
import shutil
import unittest

import support
from support import RESULTS, BootTest, add_exec, copy_sparse, node, only, only_disk, shares
from qemu import machine
from qemu.peers.hub import DISK_KEY
from writelog import FLUSH, WriteLog

DISK_BYTES = 192 << 20
KEPT = 24                               # files that are synced in each recorded boot
CUTS_FIRST, CUTS_LATER = 38, 24
PARTS_ALONE, PARTS_TOGETHER = 4, 2
FIRST_LUN = 20
SEED = int(os.environ.get("GANTRY_SEED") or random.SystemRandom().randrange(1 << 32))

setUpModule = support.setUpModule


def only_the_disk(*command):
    """Nothing but the disk and a program that needs it: so a boot takes few seconds."""
    def change(config):
        only_disk(config)
        add_exec(config, "keeper", ["/bin/keeper", *command, "/persistent/kept"], ["disk"], required=False)
    return change


def also_by_the_hub(*command):
    """The same with a key of the hub's besides, by which one boot can open many disks: the TPM opens the first alone."""
    def change(config):
        only(config, "network", "clock", "config", "disk", "dhcpcd", "chronyd")
        node(config, "disk")["options"].update(keys=["tpm2", "hub"], enroll=["tpm2", "hub"])
        add_exec(config, "keeper", ["/bin/keeper", *command, "/persistent/kept"], ["disk"], required=False)
    return change


class Record:
    """A recorded boot: the disk before it, the log, and after how many log entries each file was surely synced."""

    def __init__(self, folder):
        self.folder = folder
        self.before, self.log = (os.path.join(folder, name) for name in ("before.raw", "writes.log"))
        self.tpm_formatting, self.tpm = (os.path.join(folder, name) for name in ("tpm-formatting", "tpm-end"))
        self.waiting = os.path.join(folder, "waiting.state")    # of a machine with the former, and no disk yet

    def facts(self):
        with open(os.path.join(self.folder, "kept.json"), encoding="ascii") as file:
            return {int(number): count for number, count in json.load(file).items()}


class PowerCut(BootTest):
    def record(self, record, disk, state):
        """Boots on DISK with the machine state STATE (both are used up) and lets the keeper work for a while."""
        os.makedirs(record.folder)
        copy_sparse(disk, record.before)
        kept = {}

        def on_line(line, event):
            if event and event.source == "disk" and ": formatting, key from" in line:
                shutil.copytree(os.path.join(state, "tpm"), record.tpm_formatting)
            elif event and (found := re.match(r"kept (\d+)", event.text)):
                kept[int(found[1])] = WriteLog.count(record.log)

        guest = self.new_machine(folder=state, disk=disk, change=also_by_the_hub("write"), write_log=record.log,
                                 on_line=on_line)
        with self.other_platform(disk_key=DISK_KEY), guest:
            guest.wait(lambda: True if len(kept) >= KEPT else None, 120, f"{KEPT} files")
            guest.kill()
        shutil.copytree(os.path.join(state, "tpm"), record.tpm)
        with open(os.path.join(record.folder, "kept.json"), "w", encoding="ascii") as file:
            json.dump(kept, file)

    def save_waiting(self, record, state):
        os.makedirs(state)
        shutil.copytree(record.tpm_formatting, os.path.join(state, "tpm"))
        with self.new_machine(folder=state, change=only_the_disk("check"), nic=False, whole=True,
                              save_to=record.waiting) as guest:
            guest.wait_for("disk", "running", timeout=60)
            guest.save()
            guest.kill()

    def records(self):
        """The first and the later boot, recorded once for all tests of an image."""
        with open(os.path.join(support.IMAGE, "initramfs.cpio"), "rb") as file:
            key = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        folder = os.path.join(RESULTS, "recorded", key)
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        first, later = (Record(os.path.join(folder, name)) for name in ("first", "later"))
        with open(folder + ".lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(os.path.join(folder, "complete")):
                for other in os.listdir(os.path.dirname(folder)):
                    if not other.endswith(".lock"):
                        shutil.rmtree(os.path.join(os.path.dirname(folder), other))
                disk, state = self.disk + ".recorded.raw", self.state + "-recorded"
                machine.blank_disk(disk, DISK_BYTES)
                self.record(first, disk, state)
                self.record(later, disk, state)
                os.unlink(disk)
                self.save_waiting(first, self.state + "-waiting")
                open(os.path.join(folder, "complete"), "w", encoding="ascii").close()
        return first, later

    def cuts(self):
        """All cuts of this run: (name, record, place in the log, TPM), chosen by the seed."""
        first, later = self.records()
        chance = random.Random(SEED)
        log = WriteLog(first.log)
        header = max(index for index, (offset, size, _, _) in enumerate(log.entries[:self.mounted(first)])
                     if size and offset == 0) + 1
        cleared = next(index for index in range(header, len(log.entries)) if log.entries[index][2] & FLUSH) + 1
        end, pristine = len(log.entries), machine.tpm_template(support.BUILD)
        found = [("before the record", first, 0, pristine), ("recorded, nothing written", first, 0, first.tpm_formatting),
                 ("first write", first, 1, first.tpm_formatting), ("header written", first, header, first.tpm_formatting),
                 ("record cleared", first, cleared, first.tpm)]
        found += [("header being written", first, chance.randrange(max(header - 8, 1), header), first.tpm_formatting)
                  for _ in range(6)]
        found += [("formatting", first, chance.randrange(1, header), first.tpm_formatting)
                  for _ in range((CUTS_FIRST - len(found)) * 2 // 3)]
        found += [("first files", first, chance.randrange(cleared, end + 1), first.tpm)
                  for _ in range(CUTS_FIRST - len(found))]
        found += [("later boot", later, chance.randrange(0, len(WriteLog(later.log).entries) + 1), later.tpm)
                  for _ in range(CUTS_LATER)]
        return found

    @staticmethod
    def mounted(record):
        """How many entries there were when the first file was synced: the header is among them."""
        return min(record.facts().values())

    def make_disk(self, number, cut, path):
        """The disk of that cut; what it is, in words."""
        name, record, place, _ = cut
        copy_sparse(record.before, path)
        lost = WriteLog(record.log).disk(path, place, random.Random(SEED * 1000 + number))
        return f"seed {SEED}, cut {number} ({name}): {lost}"

    def check(self, what, cut, guest, disk="disk", keeper="keeper"):
        """The machine has opened or made the disk again, and the keeper found what had to be there."""
        _, record, place, _ = cut

        def ended():
            for source in disk, keeper:
                if found := guest.find(source, "failed|blocked"):
                    raise machine.MachineError(f"{source} is {found[1].text}: {found[1].fields.get('text')}")
            return guest.find(keeper, "done")

        try:
            guest.wait(ended, 90, f"{keeper} done")
        except machine.MachineError as error:
            self.fail(f"{what}: {error}")
        said = [event.text for event in guest.events if event.source == keeper and event.kind == "message"]
        have = {int(found[1]) for text in said if (found := re.match(r"have (\d+)$", text))}
        how = guest.find(disk, "done")[1].fields["text"]
        must = {n for n, count in record.facts().items() if count <= place}
        self.assertLessEqual(must, have, f"{what}: synced files are missing or torn; {how}")
        for line in (text for text in said if text.startswith("bad ")):         # only what nobody synced may be torn
            self.assertEqual(int(line.rsplit("-", 1)[1].partition(".")[0]) % 4, 3, f"{what}: {line}")
        if place < 3 and record.folder.endswith("first"):
            self.assertIn("formatted", how)
        print(f"{what}: {how}; {len(must)} synced, {len(have)} there")

    def alone(self, part):
        everything = self.cuts()
        self.assertGreaterEqual(len(everything), 60)
        cuts = [(number, cut) for number, cut in enumerate(everything) if not cut[3].endswith("tpm-end")]
        for number, cut in cuts[part::PARTS_ALONE]:
            with self.subTest(cut=number, where=cut[0]):
                state = f"{self.state}-{number}"
                os.makedirs(state)
                shutil.copytree(cut[3], os.path.join(state, "tpm"))
                what = self.make_disk(number, cut, self.disk)
                saved = cut[1].waiting if cut[3] == cut[1].tpm_formatting else None
                with self.new_machine(folder=state, disk=self.disk, change=only_the_disk("check"), nic=False,
                                      saved=saved) as guest:
                    self.check(what, cut, guest)
                shutil.rmtree(state)

    def together(self, part):
        """TPMs of these cuts have the same key in them, and no record of a formatting."""
        cuts = [(number, cut) for number, cut in enumerate(self.cuts()) if cut[3].endswith("tpm-end")][part::PARTS_TOGETHER]
        disks, whats = {}, {}
        for lun, (number, cut) in enumerate(cuts, FIRST_LUN):
            disks[lun] = os.path.join(self.folder, f"cut-{number}.raw")
            whats[lun] = self.make_disk(number, cut, disks[lun])

        def change(config):
            only(config, "network", "clock", "config", "disk", "dhcpcd", "chronyd")
            config.pop("api", None)
            stage = node(config, "disk")
            config["stages"].remove(stage)
            del config["log"]
            for lun in disks:
                config["stages"].append({**stage, "name": f"disk-{lun}", "required": False, "needs": ["config"], "options": {
                    **stage["options"], "keys": ["hub"], "lun": lun, "name": f"cut-{lun}", "mount": f"/cut/{lun}"}})
                add_exec(config, f"keeper-{lun}", ["/bin/keeper", "check", f"/cut/{lun}/kept"], [f"disk-{lun}"],
                         required=False)

        shutil.copytree(cuts[0][1][3], os.path.join(self.state, "tpm"))
        self.platform(disk_key=DISK_KEY)
        guest = self.boot(more_disks=disks, change=change)
        for lun, (number, cut) in enumerate(cuts, FIRST_LUN):
            with self.subTest(cut=number, where=cut[0]):
                self.check(whats[lun], cut, guest, f"disk-{lun}", f"keeper-{lun}")

    def killed_at(self, source, text, delay_writes):
        """A first boot that is killed some writes after an event, and the boot after it."""
        machine.blank_disk(self.disk, DISK_BYTES)
        log = os.path.join(self.folder, "writes.log")
        with self.new_machine(disk=self.disk, change=only_the_disk("write"), nic=False, write_log=log) as guest:
            seen = guest.wait_for(source, text=text, kind="message", timeout=60)
            start = WriteLog.count(log)
            while guest.qemu.poll() is None and WriteLog.count(log) - start < delay_writes:
                with guest.changed:     # any line, or a moment
                    guest.changed.wait(0.02)
            guest.kill()
        self.assertIsNotNone(seen)
        guest = self.boot(disk=self.disk, change=only_the_disk("check"), nic=False)
        guest.wait_for("keeper", "done", timeout=60)
        return guest

    def test_machine_killed_while_it_formats_formats_again(self):
        self.killed_at("disk", ": formatting, key from", 9)

    def test_machine_killed_after_the_first_files_keeps_them(self):
        guest = self.killed_at("keeper", "^kept 3", 5)
        for text in ("running e2fsck", "^e2fsck: persistent: recovering journal", "^e2fsck: persistent: clean"):
            self.assertTrue(guest.find("disk", text=text), f"{text} was not reported")
        self.assertFalse(guest.find("disk", text="^e2fsck: (?!persistent: )"), "e2fsck missed something that it may not use")


def make_part(kind, index):
    @shares("records")
    def test(self):
        print(f"GANTRY_SEED={SEED}")
        getattr(self, kind)(index)
    return test


for _index in range(PARTS_ALONE):
    setattr(PowerCut, f"test_power_cut_while_formatting_leaves_a_disk_that_boots_part_{_index + 1}", make_part("alone", _index))
for _index in range(PARTS_TOGETHER):
    setattr(PowerCut, f"test_power_cut_while_writing_loses_nothing_that_was_synced_part_{_index + 1}",
            make_part("together", _index))


if __name__ == "__main__":
    unittest.main()
