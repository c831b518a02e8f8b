# SPDX-License-Identifier: GPL-2.0-or-later
"""What a Linux kernel's files hold: the kernel in a bzImage, and modules, compressed as distributions do it.

The format of a bzImage is that of the kernel's Documentation/arch/x86/boot.rst: where its payload lies is said in its header.
What follows the compressed kernel in the payload (its size, in four bytes) is not part of it.
"""

import ctypes
import lzma
import re
import struct
import subprocess
import zlib

ELF = b"\x7fELF"
UNPACKED_MAX = 4 << 30
LZ4_BLOCK = 8 << 20                 # of lz4's legacy frame, which is the kernel's
SIGNED = b"~Module signature appended~\n"


class BadKernel(Exception):
    pass


def from_gzip(data):
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, UNPACKED_MAX)


def from_xz(data):
    return lzma.LZMADecompressor().decompress(data, UNPACKED_MAX)


def from_zstd(data):
    """The tool complains about what follows, and has written all by then."""
    return subprocess.run(["zstd", "-q", "-d", "-c"], input=data, capture_output=True, check=False).stdout


def from_lz4(data):
    library, out, at = ctypes.CDLL("liblz4.so.1"), bytearray(), 4
    block = ctypes.create_string_buffer(LZ4_BLOCK)
    while at + 4 < len(data):       # what is left of a whole size is the size of the kernel
        size, = struct.unpack_from("<I", data, at)
        piece = data[at + 4:at + 4 + size]
        got = library.LZ4_decompress_safe(piece, block, len(piece), LZ4_BLOCK)
        if got < 0 or len(piece) < size:
            break
        out += block.raw[:got]
        at += 4 + size
    return bytes(out)


FORMATS = ((b"\x28\xb5\x2f\xfd", from_zstd), (b"\xfd7zXZ\0", from_xz), (b"\x1f\x8b", from_gzip), (b"\x02\x21\x4c\x18", from_lz4),
           (ELF, bytes))


def unpacked(data):
    """DATA, decompressed by what it begins with; None if that is nothing known."""
    for magic, unpack in FORMATS:
        if data.startswith(magic):
            try:
                return unpack(data)
            except (zlib.error, lzma.LZMAError, OSError):
                return None
    return None


def vmlinux_of(image):
    """The kernel as an ELF file, of a bzImage."""
    if len(image) < 0x260 or image[0x202:0x206] != b"HdrS" or struct.unpack_from("<H", image, 0x206)[0] < 0x208:
        raise BadKernel("it is not a bzImage of boot protocol 2.08 or later")
    setup, = struct.unpack_from("<B", image, 0x1F1)
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = ((setup or 4) + 1) * 512 + offset
    found = unpacked(image[start:start + length])
    if not found or not found.startswith(ELF):
        raise BadKernel(f"its kernel is compressed by none of zstd, xz, gzip and lz4, or damaged (it begins with "
                        f"{image[start:start + 4].hex()})")
    return found


def module_name(file):
    """The module that a file of this name has, or None."""
    found = re.fullmatch(r"(.+)\.ko(\.xz|\.zst|\.gz)?", file)
    return found[1].replace("-", "_") if found else None


def module_content(data, path):
    content = unpacked(data)
    if not content or not content.startswith(ELF):
        raise BadKernel(f"{path} is not a kernel module")
    return content


def release_of(content):
    """The kernel that a module was built for."""
    found = re.search(rb"\0vermagic=([^ \0]+)", content)
    return found[1].decode(errors="replace") if found else ""
