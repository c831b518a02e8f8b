# SPDX-License-Identifier: GPL-2.0-or-later
"""LUKS2 headers that a hostile host might put on the disk: HEADERS is a list of manydisks.Disk. Each is one that
cryptsetup made, with the key this machine has, changed in one thing, with checksums made right again. So nothing but
the check of the header stands between it and the machine. Format: LUKS2 On-Disk Format Specification 1.1.

Where a change leaves a header that is sound (a whole one from another disk), the volume opens, and what is in it is no
file system: the stage must close it again, with nothing written.

    python3 tests/boot/hostile.py FOLDER    writes the headers as inputs of tests/fuzz/fuzz_luks.c
"""

import copy
import functools
import hashlib
import json
import os
import struct
import sys
import tempfile

if __name__ == "__main__":
    sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."), os.path.dirname(__file__)]
from foreign import MIB, OUR_SHAPE, PBKDF2, SMALL, blank, get, noise, put, run
from manydisks import Disk
from qemu.peers.hub import DISK_KEY

BINARY = 4096                   # bytes before the metadata, in each copy
LAYOUTS = {                     # what cryptsetup makes, and how much of the disk that is
    "small": (SMALL, 2 * MIB),
    "usual": ((), 16 * MIB),
    "huge": (("--luks2-metadata-size", "4m", "--luks2-keyslots-size", "4m"), 12 * MIB),
}
REFUSED = "header refused: "
OPENED = "holds no ext4 file system"            # what is said of a volume that opened and holds nothing we know
WRONG_KEY = "hub: wrong key"
TOO_SHORT = "neither blank nor ours"            # to hold a header at all
LENIENT = REFUSED + "|" + OPENED                # refused, or read as the sound part of it says

HEADERS = []
CHANGES = {}                    # name -> (layout, change)


@functools.cache
def made_by_cryptsetup(layout, passphrase=DISK_KEY, number=0):
    """The first bytes of a disk with such a volume. Another number: another volume."""
    options, size = LAYOUTS[layout]
    with tempfile.TemporaryDirectory() as folder:
        key, disk = os.path.join(folder, "key"), os.path.join(folder, "disk")
        with open(key, "w", encoding="ascii") as file:
            file.write(passphrase)
        blank(disk, 64 * MIB)
        run("cryptsetup", "-q", "luksFormat", "--type", "luks2", *PBKDF2, *OUR_SHAPE, *options, "--key-file", key, disk)
        return get(disk, 0, size)


class Header:
    """The two copies and what follows them up to the data. Changes go into `metadata`, which both copies get, or into
    `texts`, the metadata of each as bytes; and into `binary`, the part before it."""

    def __init__(self, content):
        self.copy_size = struct.unpack_from(">Q", content, 8)[0]
        starts = 0, self.copy_size
        self.binary = [bytearray(content[start:start + BINARY]) for start in starts]
        self.texts = [content[start + BINARY:start + self.copy_size].rstrip(b"\0") for start in starts]
        self.rest = content[2 * self.copy_size:]
        self.metadata = json.loads(self.texts[0])
        self.seal = self.sha256
        self.size = 64 * MIB                # of the disk

    def sha256(self, content):
        return hashlib.sha256(content).digest()

    def dump(self):
        """Into the texts what the metadata say now, as cryptsetup writes it."""
        self.texts = [json.dumps(self.metadata, separators=(",", ":")).encode()] * 2

    def put(self, offset, content):
        """Into the binary part of both copies."""
        for binary in self.binary:
            binary[offset:offset + len(content)] = content

    def copies(self):
        for binary, text in zip(self.binary, self.texts):
            whole = bytearray(binary + text.ljust(self.copy_size - BINARY, b"\0"))
            assert len(whole) == self.copy_size
            whole[448:512] = bytes(64)
            whole[448:512] = self.seal(whole).ljust(64, b"\0")
            yield bytes(whole)

    def content(self):
        return b"".join(self.copies()) + self.rest


def changed(layout, change):
    header = Header(made_by_cryptsetup(layout))
    before = copy.deepcopy(header.metadata)
    change(header)
    if header.metadata != before:
        header.dump()
    return header


def header(name, words="", layout="small", says=None, **more):
    """A decorator: what the function does to a header makes it hostile. It is refused with these words, unless `says`
    is what the stage says instead."""
    def register(change):
        def make(path):
            changed_header = changed(layout, change)
            content = changed_header.content()
            blank(path, changed_header.size)
            put(path, 0, content[:changed_header.size])
            if changed_header.size > len(content):
                put(path, len(content), noise(min(MIB // 16, changed_header.size - len(content)), "ciphertext"))
        CHANGES[name] = layout, change
        if not says:
            more["holds"] = "is_refused_and_left_untouched"
        HEADERS.append(Disk(name, make, says or REFUSED + words, **more))
        return change
    return register


def metadata(name, words, *path, value=None, **more):
    """The metadata's member at `path` gets a value."""
    @header(name, words, **more)
    def _(header):
        place = header.metadata
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value


def binary(name, words, offset, value):
    @header(name, words)
    def _(header):
        header.put(offset, value)


def second_keyslot(header, **changes):
    header.metadata["keyslots"]["1"] = {**copy.deepcopy(header.metadata["keyslots"]["0"]), **changes}
    header.metadata["digests"]["0"]["keyslots"].append("1")
    return header.metadata["keyslots"]["1"]


# Sound ones: without them, the others might be refused for what they all share

for layout in ("small", "usual"):
    header(f"sound-{layout}", layout=layout, says=OPENED, event="^opened by hub, keyslot 0$",
           holds="opens_with_the_key_and_is_left_untouched")(lambda header: None)

# The segment: what is encrypted, how, and where

SEGMENT = "segments", "0"
metadata("null-cipher", 'cipher "cipher_null-ecb"', *SEGMENT, "encryption", value="cipher_null-ecb")
metadata("null-cipher-usual", 'cipher "cipher_null-ecb"', *SEGMENT, "encryption", value="cipher_null-ecb",
         layout="usual")
metadata("other-cipher", 'cipher "serpent-xts-plain64"', *SEGMENT, "encryption", value="serpent-xts-plain64")
metadata("weaker-iv", 'cipher "aes-xts-plain"', *SEGMENT, "encryption", value="aes-xts-plain")
metadata("ecb", 'cipher "aes-ecb"', *SEGMENT, "encryption", value="aes-ecb")
metadata("kernel-s-cipher-name", 'cipher "capi:xts', *SEGMENT, "encryption", value="capi:xts(aes)-plain64")
metadata("empty-cipher", 'cipher ""', *SEGMENT, "encryption", value="")
metadata("cipher-with-escapes", r'cipher "aes\?\[2J\?"', *SEGMENT, "encryption", value="aes\x1b[2J\n")
metadata("nul-in-cipher", "metadata is not .*NUL in a string", *SEGMENT, "encryption", value="aes-xts-plain64\0-and-more")
metadata("segment-shrunk", "segment does not cover", *SEGMENT, "size", value="4194304")
metadata("segment-of-no-size", "segment does not cover", *SEGMENT, "size", value="0")
metadata("segment-over-the-header", "segment offset", *SEGMENT, "offset", value="16384")
metadata("segment-not-aligned", "segment offset", *SEGMENT, "offset", value=str(2 * MIB + 512))
metadata("segment-behind-the-disk", "segment offset", *SEGMENT, "offset", value=str(64 * MIB))
metadata("segment-very-far", "segment offset", *SEGMENT, "offset", value=str(2 ** 64))
metadata("segment-offset-negative", "segment offset", *SEGMENT, "offset", value="-4096")
metadata("segment-moved", "segment offset", *SEGMENT, "offset", value=str(4 * MIB))
metadata("segment-linear", "segment is of an unsupported type", *SEGMENT, "type", value="linear")
metadata("segment-with-flags", "segment is of an unsupported type", *SEGMENT, "flags", value=["backup-final"])
metadata("segment-with-integrity", "segment is of an unsupported type", *SEGMENT, "integrity", value={
    "type": "hmac(sha256)", "journal_encryption": "none", "journal_integrity": "none"})
metadata("sector-size-1024", "sector size 1024", *SEGMENT, "sector_size", value=1024)
metadata("sector-size-0", "sector size 0", *SEGMENT, "sector_size", value=0)
metadata("iv-tweak", "segment does not cover", *SEGMENT, "iv_tweak", value="8")
metadata("second-segment", "not exactly one segment", "segments", "1", value={
    "type": "linear", "offset": str(32 * MIB), "size": "dynamic"})
metadata("no-segment", "not exactly one segment", "segments", value={})
metadata("segments-as-a-list", "metadata does not consist of the five known objects", "segments", value=[])

# Keyslots: what trying a key may cost and touch

KEYSLOT = "keyslots", "0"
ARGON2 = {"type": "argon2id", "time": 4, "memory": 65536, "cpus": 1, "salt": "QUJDREVGR0hJSktMTU5PUFFSU1RVVg=="}
metadata("pbkdf2-takes-years", "keyslot 0: key derivation", *KEYSLOT, "kdf", "iterations", value=2 ** 31 - 1)
metadata("pbkdf2-too-fast", "keyslot 0: key derivation", *KEYSLOT, "kdf", "iterations", value=1)
metadata("pbkdf2-of-another-hash", "keyslot 0: key derivation", *KEYSLOT, "kdf", "hash", value="md5")
metadata("argon2-takes-all-memory", "keyslot 0: key derivation", *KEYSLOT, "kdf",
         value={**ARGON2, "memory": 4 << 20})
metadata("argon2-takes-years", "keyslot 0: key derivation", *KEYSLOT, "kdf", value={**ARGON2, "time": 10 ** 6})
metadata("argon2-takes-all-cpus", "keyslot 0: key derivation", *KEYSLOT, "kdf", value={**ARGON2, "cpus": 64})
metadata("kdf-none", "keyslot 0: key derivation", *KEYSLOT, "kdf", "type", value="none")
metadata("keyslot-null-cipher", "keyslot 0: area encryption", *KEYSLOT, "area", "encryption",
         value="cipher_null-ecb")
metadata("keyslot-key-size", "keyslot 0: key size", *KEYSLOT, "key_size", value=32)
metadata("keyslot-no-stripes", "keyslot 0: anti-forensic splitter", *KEYSLOT, "af", "stripes", value=1)
metadata("keyslot-priority", "keyslot 0: priority", *KEYSLOT, "priority", value=7)
metadata("keyslot-in-the-header", "keyslot 0: area is misplaced", *KEYSLOT, "area", "offset", value="4096")
metadata("keyslot-in-the-data", "keyslot 0: area is misplaced", *KEYSLOT, "area", "offset", value=str(2 * MIB))
metadata("keyslot-into-the-data", "keyslot 0: area is misplaced", *KEYSLOT, "area", "offset", value=str(2 * MIB - 8192))
metadata("keyslot-very-far", "keyslot 0: area is misplaced", *KEYSLOT, "area", "offset", value=str(2 ** 64 - 4096))
metadata("keyslot-too-small", "keyslot 0: area is misplaced", *KEYSLOT, "area", "size", value="4096")
metadata("keyslot-in-the-data-usual", "keyslot 0: area is misplaced", *KEYSLOT, "area", "offset", value=str(16 * MIB),
         layout="usual")
metadata("no-keyslot", "no keyslot", "keyslots", value={})


@header("keyslots-overlap", "keyslots 0 and 1 overlap")
def _(header):
    second_keyslot(header)


@header("nine-keyslots", "keyslot 8: area is misplaced or of the wrong size")
def _(header):
    first = header.metadata["keyslots"]["0"]
    for number in range(1, 9):
        area = {**first["area"], "offset": str(int(first["area"]["offset"]) + number * int(first["area"]["size"]))}
        header.metadata["keyslots"][str(number)] = {**copy.deepcopy(first), "area": area}
        header.metadata["digests"]["0"]["keyslots"].append(str(number))


@header("reencryption-keyslot", "keyslot 1 is of an unsupported type")
def _(header):
    keyslot = second_keyslot(header, type="reencrypt", mode="reencrypt", direction="forward", key_size=1)
    keyslot["area"] = {"type": "none", "offset": str(MIB), "size": "524288"}
    del keyslot["kdf"], keyslot["af"]


# Digests, tokens, configuration

DIGEST = "digests", "0"
metadata("digest-without-keyslot", "digest does not cover the keyslots", *DIGEST, "keyslots", value=[])
metadata("digest-of-missing-keyslot", "digest does not cover the keyslots", *DIGEST, "keyslots", value=["0", "3"])
metadata("digest-without-segment", "digest does not cover the segment", *DIGEST, "segments", value=[])
metadata("digest-of-another-segment", "digest does not cover the segment", *DIGEST, "segments", value=["1"])
metadata("digest-takes-years", "digest is of an unsupported type", *DIGEST, "iterations", value=2 ** 31 - 1)
metadata("second-digest", "not exactly one digest", "digests", "1", value={
    "type": "pbkdf2", "keyslots": [], "segments": [], "hash": "sha256", "iterations": 1000, "salt": "AAAA",
    "digest": "AAAA"})
metadata("token-of-missing-keyslot", 'token "0"', "tokens", "0", value={"type": "other", "keyslots": ["5"]})
metadata("many-tokens", "too many tokens", "tokens", value={
    str(number): {"type": "other", "keyslots": []} for number in range(33)})
metadata("reencryption-required", "unknown flags or requirements", "config", "requirements",
         value={"mandatory": ["online-reencrypt-v2"]})
metadata("unknown-requirement", "unknown flags or requirements", "config", "requirements",
         value={"mandatory": ["something-new"]})
metadata("unknown-flag", "unknown flags or requirements", "config", "flags", value=["something-new"])
metadata("discards-allowed-by-flag", "unknown flags or requirements", "config", "flags",
         value=["allow-discards"])
metadata("keyslots-area-too-large", "keyslots area is too large", "config", "keyslots_size", value=str(32 * MIB))
metadata("metadata-size-other", "metadata size", "config", "json_size", value="4096")
metadata("unknown-member", "metadata does not consist of the five known objects", "more", value={})


@header("digest-of-another-volume", says=WRONG_KEY)
def _(header):
    header.metadata["digests"] = Header(made_by_cryptsetup("small", number=1)).metadata["digests"]


# Whole headers of other disks

@header("header-of-another-key", says=WRONG_KEY)
def _(header):
    header.__init__(made_by_cryptsetup("small", passphrase="the key of another disk", number=2))


@header("header-of-another-disk", says=OPENED, event="^opened by hub, keyslot 0$", holds="is_no_file_system_and_left_untouched")
def _(header):
    header.__init__(made_by_cryptsetup("small", number=3))


@header("keyslots-of-another-disk", says=WRONG_KEY)
def _(header):
    header.rest = Header(made_by_cryptsetup("small", number=4)).rest


# The binary part

binary("version-3", "version 3", 6, struct.pack(">H", 3))
binary("header-size-0", "header size 0", 8, bytes(8))
binary("header-size-not-a-power", "header size 16385", 8, struct.pack(">Q", 16385))
binary("header-size-4-mib-claimed", "header size 4194304", 8, struct.pack(">Q", 4 * MIB))
binary("header-size-endless", f"header size {2 ** 63}", 8, struct.pack(">Q", 2 ** 63))
binary("checksum-algorithm", "both copies are damaged", 72, b"crc32c\0")
binary("uuid-malformed", "UUID is malformed", 168, b"../../../../etc/passwd\0\0\0\0\0\0\0\0\0\0\0\0\0\0")
binary("offset-of-the-copies", "both copies are damaged", 256, struct.pack(">Q", 8192))
header("header-size-4-mib", "header size 4194304", "huge")(lambda header: None)


@header("checksums-wrong", "both copies are damaged")
def _(header):
    header.seal = lambda content: bytes(range(32))


@header("checksums-of-nothing", "both copies are damaged")
def _(header):
    header.seal = lambda content: bytes(32)


@header("checksum-sha512", "both copies are damaged")
def _(header):
    header.put(72, b"sha512\0")
    header.seal = lambda content: hashlib.sha512(content).digest()


# The two copies against each other

@header("copies-differ", ".*differ")
def _(header):
    second = copy.deepcopy(header.metadata)
    second["keyslots"]["0"]["priority"] = 2
    header.texts[1] = json.dumps(second).encode()


def null_cipher_in_secondary(header):
    header.texts[1] = header.texts[0].replace(b'"aes-xts-plain64","sector_size"', b'"cipher_null-ecb","sector_size"')
    assert header.texts[0] != header.texts[1]


@header("secondary-of-null-cipher", "")
def _(header):
    null_cipher_in_secondary(header)


@header("newer-copy-of-null-cipher", says=LENIENT)
def _(header):
    null_cipher_in_secondary(header)
    header.binary[1][16:24] = struct.pack(">Q", 1000)


@header("uuids-differ", ".*differ")
def _(header):
    header.binary[1][168:172] = b"ffff"


# The text of the metadata

def text(name, words="", change=None, **more):
    @header(name, words, **more)
    def _(header):
        before = header.texts
        header.texts = [change(text) for text in before]
        assert header.texts != before, name


def pad(text, size=0x4000 - BINARY):
    return text + b" " * (size - len(text))


NOT_JSON = "metadata is not a JSON object"
text("bytes-behind-the-metadata", "bytes after the end", lambda text: text + b"\0secret")
text("bytes-after-the-object", NOT_JSON, lambda text: text + b" x")
text("second-object", NOT_JSON, lambda text: text + b"{}")
text("metadata-without-end", "metadata is not NUL-terminated", pad)
text("metadata-cut", NOT_JSON, lambda text: text[:-1])
text("metadata-a-list", NOT_JSON, lambda text: b"[" + text + b"]")
text("metadata-only-a-space", NOT_JSON, lambda text: b" ")
text("metadata-deep", NOT_JSON, lambda text: text[:-1] + b',"more":' + b"[" * 2000 + b"]" * 2000 + b"}")
text("metadata-deep-and-open", NOT_JSON, lambda text: b'{"a":' * 2000)
text("metadata-not-utf-8", "", lambda text: text.replace(b'"crypt"', b'"cr\xff\xfept"'))
text("nul-between", "bytes after the end", lambda text: text.replace(b'"crypt"', b'"cr\0ypt"'))
text("comment-inside", NOT_JSON, lambda text: b"/* */" + text)
text("number-as-text", "", lambda text: text.replace(b'"iterations":1000', b'"iterations":"1000"'))
text("number-with-fraction", "", lambda text: text.replace(b'"iterations":1000', b'"iterations":1000.5'))
text("number-beyond-64-bits", "", lambda text: text.replace(b'"iterations":1000', b'"iterations":' + b"9" * 30))
text("cipher-twice-null-last", "", lambda text: text.replace(
    b'"sector_size":4096', b'"sector_size":4096,"encryption":"cipher_null-ecb"'))
text("cipher-twice-null-first", NOT_JSON, change=lambda text: text.replace(
    b'"iv_tweak":"0"', b'"iv_tweak":"0","encryption":"cipher_null-ecb"'))
text("segments-twice", "", lambda text: text[:-1] + b',"segments":{}}')


# Disks that are too short for what their header says

def shorter(name, words, size, **more):
    @header(name, words, **more)
    def _(header):
        header.size = size


shorter("cut-at-the-data", "segment begins beyond the end", 2 * MIB)
shorter("cut-in-the-keyslots", "segment begins beyond the end", MIB)
shorter("cut-after-copies", "", 0x8000, says=TOO_SHORT)
shorter("cut-after-primary", "", 0x4000, says=TOO_SHORT)
shorter("disk-of-one-sector", "", 512, says=TOO_SHORT)


def write_fuzz_inputs(folder):
    """As fuzz_luks.c takes them: metadata after a byte that is not r; after an r, both copies as they are."""
    os.makedirs(folder, exist_ok=True)
    for name, (layout, change) in CHANGES.items():
        if layout != "small":
            continue
        one = changed(layout, change)
        fresh = Header(made_by_cryptsetup(layout))
        same = one.texts[0] == one.texts[1] and one.binary == fresh.binary and one.seal.__name__ == "sha256"
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"j" + one.texts[0] if same else b"r" + b"".join(one.copies()))


if __name__ == "__main__":
    write_fuzz_inputs(sys.argv[1])
