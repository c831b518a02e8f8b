# SPDX-License-Identifier: GPL-2.0-or-later
"""What a disk holds after a power cut, at any moment of a recorded boot. QEMU writes down every write and flush that the
guest sent to the disk (its blklogwrites driver, in the format of the kernel's dm-log-writes); a cut is a place in that
record. All writes before the last flush are on the disk then; of those after it, any may be missing or have reached it
in part, since a disk may keep them in its cache in whatever order it likes."""

import os
import struct

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD = 1, 2, 4
SECTOR = 512
SUPER, ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")


class WriteLog:
    """entries: [(offset, size, flags, place of the data in the file)], offsets and sizes in bytes."""

    def __init__(self, path):
        self.path = path
        self.entries = []
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            magic, version, count, sector = SUPER.unpack(file.read(SUPER.size))
            if magic != MAGIC or version != 1 or sector != SECTOR:
                raise ValueError(f"{path} is not a write log")
            at = SECTOR
            while len(self.entries) < count and at + SECTOR <= size:
                file.seek(at)
                start, sectors, flags, _ = ENTRY.unpack(file.read(ENTRY.size))
                length = 0 if flags & DISCARD else sectors * SECTOR
                self.entries.append((start * SECTOR, length, flags, at + SECTOR))
                at += SECTOR + length

    @staticmethod
    def count(path):
        """How many entries a log that is being written has by now."""
        with open(path, "rb") as file:
            return SUPER.unpack(file.read(SUPER.size))[2]

    def last_flush(self, cut):
        """The number of entries that are surely on the disk when the power goes after CUT of them."""
        for index in range(cut - 1, -1, -1):
            if self.entries[index][2] & FLUSH:
                return index + 1
        return 0

    def disk(self, disk, cut, random):
        """Makes the disk file DISK, which holds what was there before the record, what a cut after CUT entries leaves.
        RANDOM (a random.Random) decides what of the unflushed writes is lost; returns a line that says what was."""
        sure = self.last_flush(cut)
        lost = torn = 0
        order = list(range(sure, cut))
        keep = random.choice((0.0, 0.5, 0.9, 1.0))
        with open(self.path, "rb") as log, open(disk, "r+b") as out:
            for index in list(range(sure)) + order:
                offset, size, flags, at = self.entries[index]
                if not size:
                    continue
                if index >= sure and not flags & FUA and random.random() >= keep:
                    if random.random() < 0.5 or size == SECTOR:
                        lost += 1
                        continue
                    torn += 1
                    size = random.randrange(SECTOR, size, SECTOR)
                log.seek(at)
                data = log.read(size)
                out.seek(offset)
                out.write(data)
        return f"{cut} of {len(self.entries)} writes, {sure} flushed, {lost} lost, {torn} torn"
