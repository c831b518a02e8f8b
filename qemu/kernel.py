# SPDX-License-Identifier: GPL-2.0-or-later
"""What a Linux kernel's files hold: the kernel in a bzImage, and modules, compressed as distributions do it.

The format of a bzImage is that of the kernel's Documentation/arch/x86/boot.rst: where its payload lies is said in its header.
What follows the compressed kernel in the payload (its size, in four bytes) is not part of it.
"""

import ctypes
import lzma
import re
import struct
import zlib

from qemu import archive

ELF = b"\x7fELF"
UNPACKED_MAX = 4 << 30
LZ4_BLOCK = 8 << 20                 # of lz4's legacy frame, which is the kernel's
SIGNED = b"~Module signature appended~\n"


class BadKernel(Exception):
    pass


def from_stream(stream, data):
    content = stream.decompress(data, UNPACKED_MAX)
    if not stream.eof:
        raise BadKernel("it is cut short")
    return content, stream.unused_data


def from_gzip(data):
    return from_stream(zlib.decompressobj(zlib.MAX_WBITS | 16), data)


def from_xz(data):
    return from_stream(lzma.LZMADecompressor(), data)


def from_zstd(data):
    size = archive.frame_size(data, 0)
    return archive.unpack(data[:size]), data[size:]


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


MEMBERS = ((archive.ZSTD_MAGIC, from_zstd), (b"\xfd7zXZ\0", from_xz), (b"\x1f\x8b", from_gzip))       # (content, what follows)
DAMAGED = (BadKernel, archive.BadArchive, zlib.error, lzma.LZMAError, OSError)


def member_of(data):
    return next((unpack for magic, unpack in MEMBERS if data.startswith(magic)), None)


def unpacked(data):
    """The beginning of DATA, decompressed by its magic number; None if that is nothing known. What follows it does not matter."""
    if data.startswith(ELF):
        return data
    if data.startswith(b"\x02\x21\x4c\x18"):
        return from_lz4(data)
    unpack = member_of(data)
    try:
        return unpack(data)[0] if unpack else None
    except DAMAGED:
        return None


def whole(data):
    """DATA, decompressed to its last byte: members that follow one another, and zeros between them; as it is, if it is not
    compressed."""
    if not member_of(data):
        return data
    contents = []
    while data:
        unpack = member_of(data)
        if not unpack:
            raise BadKernel(f"after what is compressed, {len(data)} bytes follow that are not")
        try:
            content, data = unpack(data)
        except DAMAGED as error:
            raise BadKernel(f"it is damaged: {error}") from None
        contents.append(content)
        data = data.lstrip(b"\0")
    return b"".join(contents)


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
    try:
        content = whole(data)
    except BadKernel as error:
        raise BadKernel(f"{path}: {error}") from None
    if not content.startswith(ELF):
        raise BadKernel(f"{path} is not a kernel module")
    return content


def release_of(content):
    """The kernel that a module was built for."""
    found = re.search(rb"\0vermagic=([^ \0]+)", content)
    return found[1].decode(errors="replace") if found else ""
