# SPDX-License-Identifier: GPL-2.0-or-later
"""The initramfs as an archive: newc cpio, sorted, without dates, the same bytes from the same entries; and its compression.

The format is that of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst. The kernel unpacks several
archives that follow one another, compressed or not, each at a multiple of four bytes; a later file replaces an earlier one.
"""

import os
import re
import stat
import struct
import subprocess

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_LEVEL = 10                     # level and thread count are part of the image's bytes
FIELD_MAX = 0xFFFFFFFF              # of each number, in the format: eight hexadecimal digits
PATH_MAX = 4096                     # with its NUL; the kernel drops a longer one, and a link to one
TRAILER = "TRAILER!!!"
HEADER = re.compile(rb"07070[12][0-9A-Fa-f]{104}")
LINKS_MAX = 40                      # as the kernel follows
CUT, NO_ARCHIVE = "a cpio archive is cut short", "it is not a cpio archive of the form newc, nor zstd's of one"


class BadArchive(Exception):
    pass


class Archive:
    def __init__(self):
        self.entries = {}                       # path without leading slash -> (mode, uid, gid, rdev, content)

    def add(self, path, mode, content=b"", uid=0, gid=0, rdev=(0, 0)):
        if len(content) > FIELD_MAX:
            raise BadArchive(f"{path}: {len(content)} bytes, and the format holds {FIELD_MAX} in a file")
        self.entries[path.strip("/")] = (mode, uid, gid, rdev, content)

    def directory(self, path, mode=0o755, uid=0, gid=0):
        self.add(path, stat.S_IFDIR | mode, uid=uid, gid=gid)

    def parents(self, path):
        parent = os.path.dirname(path.strip("/"))
        while parent and parent not in self.entries:
            self.directory(parent)
            parent = os.path.dirname(parent)

    def file(self, path, content, mode=0o644, uid=0, gid=0):
        self.parents(path)
        self.add(path, stat.S_IFREG | mode, content, uid, gid)

    def link(self, path, target):
        self.parents(path)
        self.add(path, stat.S_IFLNK | 0o777, os.fsencode(target))

    def device(self, path, major, minor, mode=0o600):
        self.add(path, stat.S_IFCHR | mode, rdev=(major, minor))

    def is_link(self, path):
        return stat.S_ISLNK(self.entries.get(path.strip("/"), (0,))[0])

    def is_directory(self, path):
        return stat.S_ISDIR(self.entries.get(path.strip("/"), (0,))[0])

    def resolve(self, path):
        """Where PATH leads by the links of the archive in its folders; its last part stays, also where that is a link."""
        names, done, followed = path.strip("/").split("/"), [], 0
        while len(names) > 1:
            name = names.pop(0)
            if name in ("", "."):
                continue
            if name == "..":
                done = done[:-1]
                continue
            here = "/".join([*done, name])
            if not self.is_link(here):
                done.append(name)
                continue
            followed += 1
            if followed > LINKS_MAX:
                raise BadArchive(f"{path}: more than {LINKS_MAX} links to follow")
            target = os.fsdecode(self.entries[here][4])
            if target.startswith("/"):
                done = []
            names = target.strip("/").split("/") + names
        return "/".join([*done, *names])

    def lay_out(self, folder):
        """Makes the archive's tree in FOLDER as far as a check of the image reads it: no owners, no devices."""
        for path, (mode, _, _, _, content) in sorted(self.entries.items()):
            if self.is_link(os.path.dirname(path)):
                raise BadArchive(f"/{path} lies below a link")
            where = os.path.join(folder, path)
            if stat.S_ISDIR(mode):
                os.makedirs(where, exist_ok=True)
            elif stat.S_ISLNK(mode):
                os.symlink(content, where)
            elif stat.S_ISREG(mode):
                flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW
                with open(os.open(where, flags, mode & 0o777 | 0o400), "wb") as file:
                    file.write(content)

    def bytes(self):
        out = bytearray()
        entries = sorted((os.fsencode(path), entry) for path, entry in self.entries.items())
        for path, entry in entries:
            check(path, entry)
        entries.append((TRAILER.encode(), (0, 0, 0, (0, 0), b"")))
        for inode, (path, (mode, uid, gid, rdev, content)) in enumerate(entries, 1):
            name = path + b"\0"
            fields = (inode, mode, uid, gid, 2 if stat.S_ISDIR(mode) else 1, 0, len(content), 0, 0, *rdev, len(name), 0)
            out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
            out += bytes(-len(out) % 4)
            out += content
            out += bytes(-len(out) % 4)
        out += bytes(-len(out) % 512)
        return bytes(out)


def check(path, entry):
    """Refuses what the format cannot hold: one digit too many would move the header, and a file's content would be read as
    further entries."""
    mode, uid, gid, rdev, content = entry
    shown = "/" + os.fsdecode(path)
    for what, value in (("mode", mode), ("owner", uid), ("group", gid), ("device", rdev[0]), ("device", rdev[1])):
        if not 0 <= value <= FIELD_MAX:
            raise BadArchive(f"{shown}: its {what} is {value}, and an initramfs holds numbers from 0 to {FIELD_MAX}")
    if path == TRAILER.encode() or b"\0" in path or stat.S_ISLNK(mode) and b"\0" in content:
        raise BadArchive(f"{shown!r}: an initramfs cannot hold this name")
    if len(path) >= PATH_MAX or stat.S_ISLNK(mode) and len(content) >= PATH_MAX:
        raise BadArchive(f"{shown[:100]}...: its path is longer than the kernel takes")


def compress(content):
    """CONTENT as one zstd frame, and zeros to a multiple of four bytes: an archive may follow."""
    done = subprocess.run(["zstd", "-q", "-c", f"-{ZSTD_LEVEL}", "--single-thread", "--check"], input=content,
                          capture_output=True, check=False)
    if done.returncode != 0:
        raise BadArchive(f"zstd: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout + bytes(-len(done.stdout) % 4)


def frame_size(data, at):
    """Bytes of the zstd frame at AT (RFC 8878): its header and blocks are stepped over, nothing is unpacked."""
    try:
        flags = data[at + 4]
        content_size = (1 if flags & 0x20 else 0, 2, 4, 8)[flags >> 6]
        end = at + 5 + (0 if flags & 0x20 else 1) + (0, 1, 2, 4)[flags & 3] + content_size
        last = False
        while not last:
            header, = struct.unpack("<I", bytes(data[end:end + 3]) + b"\0")
            last, kind, size = header & 1, header >> 1 & 3, header >> 3
            end += 3 + (1 if kind == 1 else size)
        end += 4 if flags & 4 else 0
    except (IndexError, struct.error):
        end = len(data) + 1
    if end > len(data):
        raise BadArchive("a zstd frame is cut short")
    return end - at


def unpack(frame):
    done = subprocess.run(["zstd", "-q", "-d", "-c"], input=frame, capture_output=True, check=False)
    if done.returncode != 0:
        raise BadArchive(f"zstd: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def read(data):
    """(path without leading slash, entry as an Archive has them) of each entry of an initramfs. Each name of a file with several
    (hard links) has the file's content, which is with one of them, mostly the last."""
    at, contents, waiting, inside = 0, {}, {}, False
    while True:
        while not inside and data[at:at + 4] == bytes(4):       # between archives
            at += 4
        if not inside and not any(data[at:at + 4]):
            return
        if not inside and data[at:at + 4] == ZSTD_MAGIC:
            size = frame_size(data, at)
            yield from read(unpack(data[at:at + size]))
            at += size + -size % 4
            continue
        if at + 110 > len(data):
            raise BadArchive(CUT if inside or data[at:at + 5] == b"07070" else NO_ARCHIVE)
        if not HEADER.fullmatch(header := bytes(data[at:at + 110])):
            raise BadArchive(f"the header at {at} is damaged" if inside or header[:5] == b"07070" else NO_ARCHIVE)
        inode, mode, uid, gid, links, _, size, *major_minor, name_size, _ = (
            int(header[field:field + 8], 16) for field in range(6, 110, 8))
        content = at + (110 + name_size + 3) // 4 * 4
        if content + size > len(data):
            raise BadArchive(CUT)
        name = os.fsdecode(bytes(data[at + 110:at + 110 + name_size - 1]))
        if not name_size or "\0" in name or data[at + 109 + name_size]:
            raise BadArchive(f"the header at {at} is damaged")
        path = os.path.normpath("/" + name.lstrip("/")).strip("/")
        at = content + (size + 3) // 4 * 4
        inside = name != TRAILER
        if not inside:                                  # what is empty in all its names
            yield from (one for same in waiting.values() for one in same)
            contents, waiting = {}, {}
            continue
        entry = (mode, uid, gid, tuple(major_minor[2:]), bytes(data[content:content + size]))
        key = (inode, *major_minor[:2])
        if stat.S_ISREG(mode) and links > 1 and not size and key not in contents:
            waiting.setdefault(key, []).append((path, entry))
            continue
        if stat.S_ISREG(mode) and links > 1:
            contents.setdefault(key, entry[4])
            yield from ((name, (*other[:4], entry[4])) for name, other in waiting.pop(key, []))
            entry = (*entry[:4], contents[key])
        if path:
            yield path, entry


def files(data):
    """{path without leading slash: content} of the files in an initramfs; of equal paths the last, as in Linux."""
    return {path: entry[4] for path, entry in read(data) if stat.S_ISREG(entry[0])}
