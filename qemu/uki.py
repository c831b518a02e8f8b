# SPDX-License-Identifier: GPL-2.0-or-later
"""What the bytes of a Unified Kernel Image say: its sections, its initramfs, and PCR 4, 9 and 11 of the machine it boots.

Nothing is run and no TPM is asked: what an auditor computes from a published image must be what the machine
reports. A boot test holds these numbers against the virtual TPM's. The recipes are those of the TCG PC Client
Platform Firmware Profile 1.06 (PCR 4), the kernel's EFI stub (PCR 9) and systemd-stub 257 (PCR 11).
"""

import hashlib
import struct

from qemu import archive

BOOT_ACTION = b"Calling EFI Application from Boot Option"
SEPARATOR = bytes(4)
# The sections systemd-stub measures, in the order in which it does; .pcrsig is never measured.
STUB_SECTIONS = (".profile", ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat",
                 ".pcrpkey")


class BadImage(Exception):
    pass


def sha256(data):
    return hashlib.sha256(data).digest()


class Image:
    """A PE file: its sections by name and its Authenticode digest."""

    def __init__(self, data):
        self.data = data
        if data[:2] != b"MZ" or len(data) < 64:
            raise BadImage("not a PE file: no MZ")
        header = self.number("<I", 0x3C)
        if data[header:header + 4] != b"PE\0\0":
            raise BadImage("not a PE file: no PE signature")
        count = self.number("<H", header + 6)
        optional = header + 24
        magic = self.number("<H", optional)
        if magic not in (0x10B, 0x20B):
            raise BadImage(f"optional header of unknown kind {magic:#x}")
        directories = optional + (96 if magic == 0x10B else 112)
        self.checksum = optional + 64
        self.headers_size = self.number("<I", optional + 60)
        self.certificate = directories + 4 * 8 if self.number("<I", directories - 4) > 4 else None
        self.sections = []                              # (name, virtual size, raw size, raw offset)
        table = optional + self.number("<H", header + 20)
        for at in range(table, table + 40 * count, 40):
            name = self.slice(at, 8).rstrip(b"\0").decode("ascii", "replace")
            virtual, _, raw_size, raw = struct.unpack_from("<IIII", self.slice(at, 40), 8)
            self.sections.append((name, virtual, raw_size, raw))

    def number(self, layout, at):
        return struct.unpack(layout, self.slice(at, struct.calcsize(layout)))[0]

    def slice(self, at, size):
        if at + size > len(self.data):
            raise BadImage(f"cut short: {size} bytes at {at} of {len(self.data)}")
        return self.data[at:at + size]

    def section(self, name):
        """The content of a section as the stub sees it: VirtualSize bytes, zero-filled beyond the file; or None."""
        for found, virtual, raw_size, raw in self.sections:
            if found == name:
                return self.slice(raw, min(virtual, raw_size)).ljust(virtual, b"\0")
        return None

    def authenticode(self):
        """SHA-256 over all but the checksum, the certificate table's entry and the certificate table itself."""
        table_at, table_size = 0, 0
        digest = hashlib.sha256(self.slice(0, self.checksum))
        at = self.checksum + 4
        if self.certificate is not None:
            table_at, table_size = struct.unpack("<II", self.slice(self.certificate, 8))
            digest.update(self.slice(at, self.certificate - at))
            at = self.certificate + 8
        digest.update(self.slice(at, self.headers_size - at))
        end = self.headers_size
        for _, _, raw_size, raw in sorted(self.sections, key=lambda section: section[3]):
            if raw_size:
                digest.update(self.slice(raw, raw_size))
                end = max(end, raw + raw_size)
        if table_size and table_at + table_size != len(self.data):
            raise BadImage("certificate table is not at the end")
        digest.update(self.data[end:len(self.data) - table_size])
        return digest.digest()


def initramfs_of(uki):
    """{path without leading slash: content} of the files in a UKI's initramfs; of equal paths the last, as in Linux."""
    files = archive.files(Image(uki).section(".initrd") or b"")
    if "etc/gantry/boot.json" not in files:
        raise BadImage("there is no /etc/gantry/boot.json in the image")
    return files


def extend(events):
    """What a PCR holds after EVENTS: a list of (what, digest)."""
    value = bytes(32)
    for _, digest in events:
        value = sha256(value + digest)
    return value


def predict(uki):
    """{PCR number: [(what, digest), ...]} for the bytes of a UKI booted directly by the firmware."""
    image = Image(uki)
    kernel, cmdline, initrd = (image.section(name) for name in (".linux", ".cmdline", ".initrd"))
    if kernel is None or cmdline is None or initrd is None:
        raise BadImage("not a UKI: .linux, .cmdline and .initrd are needed")
    if image.section(".osrel") is not None:
        raise BadImage(".osrel makes the stub add an initrd of its own: build without it")
    arguments = cmdline.rstrip(b"\0").decode().encode("utf-16-le") + b"\0\0"
    return {
        4: [("EV_EFI_ACTION: " + BOOT_ACTION.decode(), sha256(BOOT_ACTION)),
            ("EV_SEPARATOR", sha256(SEPARATOR)),
            ("Authenticode of the UKI", image.authenticode()),
            ("Authenticode of .linux", Image(kernel).authenticode())],
        9: [("command line, UTF-16LE with NUL", sha256(arguments)),
            ("initrd", sha256(initrd))],
        11: [step for name in STUB_SECTIONS if (content := image.section(name)) is not None
             for step in ((f"name of {name}", sha256(name.encode() + b"\0")), (f"content of {name}", sha256(content)))],
    }


def measurements(uki):
    """BuilderHub's measurement document, with the event log that explains each number."""
    log = predict(uki)
    return {
        "measurements": {str(pcr): {"expected": extend(events).hex()} for pcr, events in log.items()},
        "EventLog": {"Events": [{"PCRIndex": pcr, "Digest": digest.hex(), "Description": what}
                                for pcr, events in log.items() for what, digest in events]},
    }
