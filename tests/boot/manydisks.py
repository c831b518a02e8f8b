# SPDX-License-Identifier: GPL-2.0-or-later
"""Many disks on one machine: each is a LUN with a disk stage of its own, so one boot tries the stage on all of them.

Disks are made once and kept. The machine gets copies; what it did to a copy is found afterwards, byte by byte, and QEMU
says whether a write ever arrived. The machine runs once for all methods of a class in a run of tests/run.py, whose
methods each have a process of their own: the first one boots, the others read what it has found.
"""

import dataclasses
import errno
import fcntl
import hashlib
import inspect
import json
import os
import re
import shutil
import subprocess
import time
import traceback
import typing

import support
from support import BUILD, RESULTS, RUN, BootTest, copy_sparse, shares
from qemu import image, machine
from qemu.peers.hub import DISK_KEY

FIRST_LUN = 20
BLOCK = 1 << 20
ALL_DISKS_S = 150
STAGES = ("network", "clock", "config")         # beside the disks: what it takes to get the hub's key
SERVICES = ("dhcpcd", "chronyd")
OPTIONS = {"keys": ["tpm2", "hub"], "wait_s": 120}


class Unavailable(Exception):
    """What this disk is made with does not work here; its test is skipped with this reason."""


@dataclasses.dataclass
class Disk:
    """`make(path)` makes it. The stage must end in `state`, its reason matching `says`; unless `changes`, nothing may
    be written. `options` go into the stage's; `event` must match one of its messages; `holds` ends the test's name."""

    name: str
    make: typing.Callable[[str], None]
    says: str
    options: dict = dataclasses.field(default_factory=dict)
    state: str = "failed"
    changes: bool = False
    event: str | None = None
    holds: str = "is_left_untouched"


def extents(file):
    """The parts of a file that are not holes: (from, to)."""
    size, at = os.fstat(file.fileno()).st_size, 0
    while at < size:
        try:
            start = os.lseek(file.fileno(), at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        at = os.lseek(file.fileno(), start, os.SEEK_HOLE)
        yield start, at


def first_difference(one, other):
    """The offset of the first byte in which two files differ, or None. A hole reads as zeros."""
    with open(one, "rb") as first, open(other, "rb") as second:
        sizes = [os.fstat(file.fileno()).st_size for file in (first, second)]
        if sizes[0] != sizes[1]:
            return min(sizes)
        for start, end in sorted([*extents(first), *extents(second)]):
            for at in range(start, end, BLOCK):
                length = min(BLOCK, end - at)
                ours, theirs = (os.pread(file.fileno(), length, at) for file in (first, second))
                if ours != theirs:
                    return at + next(index for index in range(length) if ours[index] != theirs[index])
    return None


def make_disks(disks, folder):
    """Makes what is not there yet; the name of each that cannot be made here, with the reason."""
    unavailable = os.path.join(folder, "unavailable.json")
    if not os.path.exists(unavailable):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        missing = {}
        for disk in disks:
            path = os.path.join(folder, disk.name + ".raw")
            try:
                disk.make(path)
                subprocess.run(["fallocate", "--dig-holes", path], check=True)
                os.chmod(path, 0o400)
            except Unavailable as reason:
                missing[disk.name] = str(reason)
            except subprocess.CalledProcessError as error:
                said = (error.stderr or b"").decode(errors="replace")
                raise AssertionError(f"disk {disk.name} could not be made: {error}\n{said}") from None
        with open(unavailable + ".new", "w", encoding="utf-8") as file:
            json.dump(missing, file)
        os.rename(unavailable + ".new", unavailable)
    with open(unavailable, encoding="utf-8") as file:
        return json.load(file)


def digest_of(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class ManyDisks(BootTest):
    """A class of tests over `disks`; give_methods() adds a method for each."""

    disks: list = []
    made_by: tuple = ()         # the modules whose source decides what is on the disks

    def setUp(self):
        self.folder = os.path.join(RESULTS, type(self).__name__)
        self.state = os.path.join(self.folder, "machine")
        self.boots = 0
        os.makedirs(self.folder, exist_ok=True)

    def tearDown(self):
        pass

    def run_machine(self):
        """For each disk: state, reason, messages, writes, difference; or why it could not be made."""
        sources = [image.read_file(inspect.getsourcefile(module)).decode() for module in self.made_by]
        made = os.path.join(self.folder, "made-" + digest_of(image.Inputs(BUILD)["TEST_ROOT_ID"], *sources))
        for name in os.listdir(self.folder):
            if name.startswith("made-") and os.path.join(self.folder, name) != made:
                shutil.rmtree(os.path.join(self.folder, name))
        missing = make_disks(self.disks, made)
        found = {name: {"skip": reason} for name, reason in missing.items()}
        disks = [disk for disk in self.disks if disk.name not in missing]
        copies = os.path.join(self.folder, "copies")
        shutil.rmtree(copies, ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)
        os.makedirs(copies)
        for disk in disks:
            copy_sparse(os.path.join(made, disk.name + ".raw"), copies)
            os.chmod(os.path.join(copies, disk.name + ".raw"), 0o600)
        found.update(self.try_disks(disks, copies))
        for disk in disks:
            copy = os.path.join(copies, disk.name + ".raw")
            found[disk.name]["difference"] = first_difference(os.path.join(made, disk.name + ".raw"), copy)
            if disk.changes or found[disk.name]["difference"] is None:
                os.unlink(copy)             # the others stay, to be looked at
        os.unlink(os.path.join(self.folder, "initramfs.cpio"))
        return found

    def try_disks(self, disks, copies):
        # Only once the key is there: until then the disks are coming, and for each all stages would look at all disks.
        def change(config):
            support.only(config, *STAGES, *SERVICES)
            config["log"] = {}          # in memory: the events of all these disks
            for lun, disk in enumerate(disks, FIRST_LUN):
                config["stages"].append({
                    "name": f"disk-{disk.name}", "type": "disk", "needs": ["config"], "required": False,
                    "retry": {"min_s": 1, "max_s": 1, "limit": 2},
                    "options": {**OPTIONS, "lun": lun, "name": disk.name, "mount": f"/run/{disk.name}",
                                **disk.options}})

        extra = []
        for lun, disk in enumerate(disks, FIRST_LUN):
            path = os.path.join(copies, disk.name + ".raw")
            extra += ["-blockdev", json.dumps({
                "node-name": f"many{lun}", "driver": "raw", "cache": {"no-flush": True},
                "file": {"driver": "file", "filename": path, "cache": {"no-flush": True}}}),
                "-device", f"scsi-hd,id=many{lun},bus=scsi0.0,channel=0,scsi-id=0,lun={lun},drive=many{lun}"]
        self.platform(only=("wireserver", "hub", "ntp"), disk_key=DISK_KEY)
        guest = self.boot(change=change, extra=extra)
        deadline = time.monotonic() + ALL_DISKS_S * machine.TIMEOUT_SCALE
        for disk in disks:
            guest.wait_for(f"disk-{disk.name}", "done|failed|blocked|skipped", despite_held=True,
                           timeout=max(1, (deadline - time.monotonic()) / machine.TIMEOUT_SCALE))
        status, body = self.api(guest, "/api/v1/status", timeout=30)
        self.assertEqual(status, 200, body)
        stages = {stage["name"]: stage for stage in json.loads(body)["stages"]}
        written = {device["qdev"]: device["stats"] for device in guest.qmp.command("query-blockstats")}
        self.power_off(guest)
        found = {}
        for lun, disk in enumerate(disks, FIRST_LUN):
            stage = stages[f"disk-{disk.name}"]
            stats = written[f"many{lun}"]
            found[disk.name] = {
                "state": stage["state"], "reason": stage["reason"],
                "messages": [event.text for event in guest.events
                             if event.source == f"disk-{disk.name}" and event.kind == "message"],
                "writes": sum(stats[kind] for kind in ("wr_operations", "unmap_operations") if kind in stats)}
        return found

    def outcomes(self):
        """What run_machine() found in this run of tests; the first who asks runs it."""
        with open(self.folder + ".lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = os.path.join(self.folder, f"found-{RUN}.json")
            if not os.path.exists(path):
                for entry in os.scandir(self.folder):
                    if entry.name.startswith("found-") and entry.stat().st_mtime < time.time() - 7200:
                        os.unlink(entry.path)
                try:
                    support.setUpModule()
                    found = self.run_machine()
                except Exception:       # once is enough; every method tells it
                    found = {"trouble": traceback.format_exc()}
                with open(path + ".new", "w", encoding="utf-8") as file:
                    json.dump(found, file, indent=1)
                os.rename(path + ".new", path)
            with open(path, encoding="utf-8") as file:
                return json.load(file)

    def check(self, disk):
        found = self.outcomes()
        if "trouble" in found:
            self.fail(f"the machine with all disks: {found['trouble']}")
        found = found[disk.name]
        if "skip" in found:
            self.skipTest(found["skip"])
        if not disk.changes:
            self.assertIsNone(found["difference"], f"the disk was changed at this byte; its stage is {found['state']}: "
                                                   f"{found['reason']}")
            self.assertEqual(found["writes"], 0, f"it was written to; its stage is {found['state']}: {found['reason']}")
        self.assertEqual(found["state"], disk.state, found["reason"])
        self.assertRegex(found["reason"], disk.says)
        if disk.event:
            self.assertTrue(any(re.search(disk.event, message) for message in found["messages"]), found["messages"])


def give_methods(case):
    """A decorator: the class gets test_NAME_HOLDS for each of its disks."""
    for disk in case.disks:
        name = f"test_{disk.name.replace('-', '_')}_{disk.holds}"
        assert not hasattr(case, name) and len(disk.name) <= 26, disk.name

        @shares(case.__name__)
        def method(self, disk=disk):
            self.check(disk)

        method.__name__ = name
        method.__qualname__ = f"{case.__name__}.{name}"
        setattr(case, name, method)
    return case
