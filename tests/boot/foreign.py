# SPDX-License-Identifier: GPL-2.0-or-later
"""What others put on a disk, made by their own tools: CONTENTS is a list of manydisks.Disk, none of which may be taken
for blank. What a tool makes only with a kernel driver that is rarely there (md, dm-integrity) is written by hand after
its documentation, and the tool must then recognise it. Where ids, dates and keys can be chosen, they are the same each
time.

Some contents lie only in the middle of the disk, the first and last megabyte reading as zeros, as after somebody has
wiped the beginning: nothing but a look at samples in between can notice those.
"""

import contextlib
import hashlib
import os
import struct
import subprocess
import tempfile

from manydisks import Disk, Unavailable

MIB = 1 << 20
UUID = "6d1b7c50-2a0b-4e0f-9a57-0f6f7a1c33%02x"
ENVIRONMENT = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "E2FSPROGS_FAKE_TIME": "1700000000", "LC_ALL": "C"}
PASSPHRASE = b"somebody else's passphrase"
PBKDF2 = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
ARGON2 = ("--pbkdf", "argon2id", "--pbkdf-memory", "64", "--pbkdf-force-iterations", "4", "--pbkdf-parallel", "1")
OUR_SHAPE = ("--sector-size", "4096", "--cipher", "aes-xts-plain64", "--key-size", "512")
SMALL = ("--luks2-metadata-size", "16k", "--luks2-keyslots-size", "2016k", "--offset", "4096")  # data from 2 MiB on

CONTENTS = []


def content(name, says, mib=64, **more):
    """A decorator: what the function does to a disk of zeros is a content."""
    def register(fill):
        def make(path):
            blank(path, mib * MIB)
            fill(path)
            assert os.path.getsize(path) == mib * MIB, f"{name} changed the size of its disk"
        CONTENTS.append(Disk(name, make, says, **more))
        return fill
    return register


def blank(path, size):
    with open(path, "wb") as file:
        file.truncate(size)


def run(*command, stdin=b""):
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True,
                          env=ENVIRONMENT).stdout


def put(path, offset, content_bytes):
    """Negative offsets count from the end."""
    with open(path, "r+b") as file:
        file.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
        file.write(content_bytes)


def get(path, offset, size):
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(size)


def wipe(path, start=0, size=MIB):
    put(path, start, bytes(size))


def noise(size, seed="noise"):
    """Bytes that look random and are the same each time."""
    return hashlib.shake_128(seed.encode()).digest(size)


@contextlib.contextmanager
def some_files(mib=32):
    """A folder with files that hold so much."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(mib // 4):
            with open(os.path.join(folder, f"file-{number}"), "wb") as file:
                file.write(noise(4 * MIB, f"file {number}"))
        yield folder


# File systems

@content("ext2", "ext2 signature")
def _(path):
    run("mke2fs", "-q", "-F", "-t", "ext2", "-U", UUID % 2, path)


@content("ext3", "ext3 signature")
def _(path):
    run("mke2fs", "-q", "-F", "-t", "ext3", "-U", UUID % 3, path)


@content("ext4", "ext4 signature")
def ext4(path, *options):
    run("mke2fs", "-q", "-F", "-t", "ext4", "-U", UUID % 4, "-E", f"hash_seed={UUID % 5},lazy_itable_init=1,nodiscard",
        *options, path)


@content("ext4-journal-elsewhere", "jbd signature")
def _(path):
    run("mke2fs", "-q", "-F", "-O", "journal_dev", "-U", UUID % 6, path)


@content("xfs", "xfs signature", mib=300)
def xfs(path):
    run("mkfs.xfs", "-q", "-m", f"uuid={UUID % 7}", path)


@content("btrfs", "btrfs signature", mib=128)
def btrfs(path, *options):
    run("mkfs.btrfs", "-q", "-U", UUID % 8, *options, path)


@content("f2fs", "f2fs signature")
def f2fs(path):
    run("mkfs.f2fs", "-q", path)


@content("nilfs2", "nilfs2 signature", mib=256)
def _(path):
    run("mkfs.nilfs2", "-q", "-f", path)


@content("jfs", "jfs signature")
def _(path):
    run("mkfs.jfs", "-q", path)


@content("vfat", "vfat signature")
def vfat(path):
    run("mkfs.vfat", "-i", "6d1b7c50", "--invariant", path)


@content("exfat", "exfat signature")
def _(path):
    run("mkfs.exfat", "-U", UUID % 9, path)


@content("ntfs", "ntfs signature")
def ntfs(path):
    run("mkntfs", "-F", "-Q", "-q", path)


@content("udf", "udf signature")
def _(path):
    run("mkudffs", "--uuid=6d1b7c506d1b7c50", path)


@content("iso9660", "iso9660 signature")
def _(path):
    with some_files(4) as folder:
        put(path, 0, run("xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", folder))


@content("squashfs", "squashfs signature")
def _(path):
    with some_files(4) as folder:
        image = os.path.join(folder, "image")
        run("mksquashfs", folder, image, "-quiet", "-no-progress", "-e", image)
        put(path, 0, get(image, 0, -1))


@content("erofs", "erofs signature")
def _(path):
    with some_files(4) as folder, tempfile.TemporaryDirectory() as other:
        image = os.path.join(other, "image")
        run("mkfs.erofs", "-T0", "--all-root", "-U", UUID % 10, image, folder)
        put(path, 0, get(image, 0, -1))


@content("swap", "swap signature")
def _(path):
    run("mkswap", "-U", UUID % 11, path)


# Volumes and arrays

@content("lvm2", "LVM2_member signature")
def lvm2(path):
    try:
        loop = run("losetup", "--find", "--show", path).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        raise Unavailable("pvcreate wants a block device, and there is no loop device here") from None
    try:
        run("pvcreate", "-ff", "-y", "--nolocking", "--config",
            "devices{use_devicesfile=0 obtain_device_list_from_udev=0 external_device_info_source=\"none\" "
            f"filter=[\"a|^{loop}$|\",\"r|.*|\"]}} activation{{udev_sync=0 udev_rules=0}} backup{{backup=0 archive=0}}",
            loop)
    finally:
        run("losetup", "--detach", loop)


@content("bcache-backing", "bcache signature")
def _(path):
    run("make-bcache", "-B", path)


@content("bcache-cache", "bcache signature")
def _(path):
    run("make-bcache", "-C", path)


@content("verity-hashes", "DM_verity_hash signature")
def _(path):
    with some_files(4) as folder:
        run("veritysetup", "format", f"--uuid={UUID % 12}", "--salt=-", os.path.join(folder, "file-0"), path)


@content("integrity", "DM_integrity signature")
def _(path):
    """By hand: drivers/md/dm-integrity.c, struct superblock. integritysetup formats only through the driver."""
    put(path, 0, struct.pack("<8sBbHIQIB", b"integrt", 1, 15, 4, 88, 120000, 0, 0))
    assert b"tag_size 4" in run("integritysetup", "dump", path)


def md_sum(superblock, words):
    total = sum(struct.unpack_from(f"<{words}I", superblock)) + sum(superblock[words * 4:])
    return (total & 0xffffffff) + (total >> 32)


@content("mdraid-0-90", "linux_raid_member signature")
def _(path):
    """By hand, like the other two: linux/raid/md_p.h. mdadm makes arrays only through the driver."""
    size = os.path.getsize(path)
    words = [0] * 1024
    words[:16] = [0xa92b4efc, 0, 90, 0, 0, 0x6d1b7c50, 1700000000, 1, size // 1024 - 64, 1, 2, 0, 0, 1, 2, 3]
    words[32:38] = [1700000000, 1, 1, 1, 1, 0]
    words[39] = 1                                           # events
    words[128:133] = words[992:997] = [0, 8, 16, 0, 6]      # the disk: active, in sync
    words[38] = md_sum(struct.pack("<1024I", *words), 1024)
    put(path, (size & ~0xffff) - 0x10000, struct.pack("<1024I", *words))
    assert b"Version : 0.90" in mdadm_reads(path)


def mdraid_1(path, minor, offset):
    sectors, data = os.path.getsize(path) // 512, 0 if minor == 0 else 2048
    superblock = bytearray(256 + 2 * 128)
    struct.pack_into("<IIII", superblock, 0, 0xa92b4efc, 1, 0, 0)
    superblock[16:64] = noise(16, "array") + b"elsewhere:0".ljust(32, b"\0")
    struct.pack_into("<QIIQII", superblock, 64, 1700000000, 1, 0, sectors - 2048 - 32, 0, 2)
    struct.pack_into("<QQQ", superblock, 128, data, sectors - 2048 - 32, offset // 512)
    superblock[168:184] = noise(16, "device")
    struct.pack_into("<QQQII", superblock, 192, 1700000000, 1, (1 << 64) - 1, 0, 128)
    struct.pack_into("<128H", superblock, 256, 0, *[0xffff] * 127)
    struct.pack_into("<I", superblock, 216, md_sum(superblock, len(superblock) // 4))
    put(path, offset, superblock)
    assert b"Version : 1." in mdadm_reads(path)


def mdadm_reads(path):
    read = run("mdadm", "--examine", path)
    assert b"- correct" in read, read
    return read


@content("mdraid-1-0-at-the-end", "linux_raid_member signature")
def _(path):
    mdraid_1(path, 0, (os.path.getsize(path) // 512 - 16 & ~7) * 512)


@content("mdraid-1-1", "linux_raid_member signature")
def _(path):
    mdraid_1(path, 1, 0)


@content("mdraid-1-2", "linux_raid_member signature")
def _(path):
    mdraid_1(path, 2, 4096)


# Encrypted volumes of others

def luks(path, *options):
    with tempfile.NamedTemporaryFile() as key:
        key.write(PASSPHRASE)
        key.flush()
        run("cryptsetup", "-q", "luksFormat", *options, "--key-file", key.name, path)
    put(path, 20 * MIB, noise(4 * MIB, "somebody's ciphertext"))


def luks2(path, *options, kdf=PBKDF2):
    luks(path, "--type", "luks2", "--uuid", UUID % 13, *kdf, *options)


@content("luks1", "header refused: version 1")
def _(path):
    luks(path, "--type", "luks1", "--uuid", UUID % 14, "--pbkdf-force-iterations", "1000")


@content("luks2-foreign-key", "tpm2: .*hub: wrong key")
def _(path):
    luks2(path, *OUR_SHAPE)


@content("luks2-foreign-key-argon2", "tpm2: .*hub: wrong key")
def _(path):
    luks2(path, *OUR_SHAPE, *SMALL, kdf=ARGON2)


@content("luks2-foreign-key-512", "tpm2: .*hub: wrong key|sector size 512")
def _(path):
    luks2(path, *SMALL, "--sector-size", "512", "--key-size", "512")


@content("luks2-large-metadata", "header refused: header size 4194304")
def _(path):
    luks2(path, *OUR_SHAPE, "--luks2-metadata-size", "4m", "--luks2-keyslots-size", "4m")


@content("luks2-aes-cbc", "header refused: cipher \"aes-cbc-essiv:sha256\"")
def _(path):
    luks2(path, *SMALL, "--cipher", "aes-cbc-essiv:sha256", "--key-size", "256")


@content("luks2-integrity", "header refused: ")
def _(path):
    """cryptsetup makes it only with the driver, so the segment's integrity is added by hand."""
    luks2(path, *OUR_SHAPE, *SMALL)
    for offset in 0, 0x4000:
        copy = bytearray(get(path, offset, 0x4000))
        text = bytes(copy[4096:]).rstrip(b"\0").replace(
            b'"sector_size":4096', b'"sector_size":4096,"integrity":{"type":"hmac(sha256)",'
            b'"journal_encryption":"none","journal_integrity":"none"}')
        copy[4096:] = text.ljust(0x3000, b"\0")
        copy[448:512] = bytes(64)
        copy[448:480] = hashlib.sha256(copy).digest()
        put(path, offset, copy)


def damage(path, *offsets):
    for offset in offsets:
        put(path, offset + 0x1010, noise(64, "damage"))


@content("luks2-primary-damaged", "wrong key")
def _(path):
    luks2(path, *OUR_SHAPE, *SMALL)
    damage(path, 0)


@content("luks2-secondary-damaged", "wrong key")
def _(path):
    luks2(path, *OUR_SHAPE, *SMALL)
    damage(path, 0x4000)


@content("luks2-both-damaged", "header refused: both copies are damaged")
def _(path):
    luks2(path, *OUR_SHAPE, *SMALL)
    damage(path, 0, 0x4000)


@content("luks2-primary-erased", "wrong key")
def _(path):
    luks2(path, *OUR_SHAPE, *SMALL)
    wipe(path, 0, 0x4000)


@content("luks2-secondary-erased", "wrong key")
def _(path):
    luks2(path, *OUR_SHAPE, *SMALL)
    wipe(path, 0x4000, 0x4000)


@content("luks2-large-primary-erased", "header refused: |crypto_LUKS signature")
def _(path):
    luks2(path, *OUR_SHAPE, "--luks2-metadata-size", "4m", "--luks2-keyslots-size", "4m")
    wipe(path, 0, 4 * MIB)


@content("luks2-keyslots-erased", "header refused: no keyslot")
def _(path):
    luks2(path, *OUR_SHAPE, *SMALL)
    run("cryptsetup", "-q", "erase", path)


@content("ciphertext-of-a-detached", "byte 0 is not zero")
def _(path):
    put(path, 0, noise(64 * MIB, "detached"))


# Partition tables

def table(path, text):
    run("sfdisk", "-q", path, stdin=text.encode())


GPT = f"label: gpt\nlabel-id: {UUID % 15}\n"


@content("gpt", "gpt partition table")
def gpt(path):
    table(path, GPT + f"start=2048, size=65536, uuid={UUID % 16}\n")


@content("gpt-empty", "gpt partition table")
def _(path):
    table(path, GPT)


@content("gpt-backup-only", "gpt partition table")
def _(path):
    gpt(path)
    wipe(path)


@content("gpt-primary-only", "partition table")
def _(path):
    gpt(path)
    wipe(path, -MIB)


@content("gpt-checksum-wrong", "partition table|byte")
def _(path):
    gpt(path)
    put(path, 512 + 56, b"x")
    put(path, -512 + 56, b"x")


@content("gpt-with-esp", "is the boot disk", options={"wait_s": 8})
def _(path):
    table(path, GPT + f"start=2048, size=65536, type=uefi, uuid={UUID % 17}\n")


@content("mbr", "dos partition table")
def _(path):
    table(path, "label: dos\nlabel-id: 0x6d1b7c50\nstart=2048, size=65536, type=83\n")


@content("mbr-empty", "dos partition table|byte 440 is not zero")
def _(path):
    table(path, "label: dos\nlabel-id: 0x6d1b7c50\n")


@content("mbr-with-esp", "is the boot disk", options={"wait_s": 8})
def _(path):
    table(path, "label: dos\nlabel-id: 0x6d1b7c50\nstart=2048, size=65536, type=ef\n")


@content("sun-label", "sun partition table")
def _(path):
    table(path, "label: sun\n")


@content("sgi-label", "sgi partition table")
def _(path):
    table(path, "label: sgi\n")


# No signature at all

def lonely(name, offset, says=None, mib=64):
    """All zeros but for one byte. Negative: from the end."""
    at = offset if offset >= 0 else mib * MIB + offset

    @content(f"byte-{name}", says or f"byte {at} is not zero", mib=mib)
    def _(path):
        put(path, offset, b"\1")


lonely("first", 0)
lonely("end-of-first-sector", 511)
lonely("mbr-gap", 1023)
lonely("second-page", 4096)
lonely("at-64-kib", 0x10000)
lonely("end-of-first-mib", MIB - 1)
lonely("start-of-last-mib", -MIB)
lonely("start-of-last-sector", -512)
lonely("last", -1)


@content("ext4-first-4-kib-wiped", "byte 4096 is not zero")
def _(path):
    ext4(path)
    wipe(path, 0, 4096)


@content("ntfs-first-mib-wiped", "ntfs signature|byte")
def _(path):
    ntfs(path)
    wipe(path)


@content("noise-in-the-last-mib", r"byte 660602\d\d is not zero")
def _(path):
    put(path, -MIB, noise(MIB))


# Only in the middle of the disk: needs samples

SAMPLED = r"byte \d+ is not zero|signature"

lonely("middle", 32 * MIB, SAMPLED)
lonely("at-17-of-64", 17 * MIB, SAMPLED)
lonely("at-64-mib", 64 * MIB, SAMPLED, mib=192)         # not a 64th of the size


@content("ext4-first-mib-wiped", SAMPLED, mib=160)
def _(path):
    """The first copy of the superblock that is left is that of block group 1, at 128 MiB."""
    ext4(path, "-b", "4096")
    wipe(path, 0, 100 * MIB)


@content("ext2-small-first-mib-wiped", SAMPLED)
def _(path):
    """1 KiB blocks: a copy of the superblock at 8 MiB + 1 KiB, and little else."""
    run("mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024", "-U", UUID % 2, path)
    wipe(path, 0, 8 * MIB)


@content("ext4-full-first-mib-wiped", SAMPLED)
def _(path):
    with some_files() as folder:
        ext4(path, "-d", folder)
    wipe(path)


@content("xfs-first-mib-wiped", SAMPLED, mib=300)
def _(path):
    xfs(path)
    wipe(path)


@content("btrfs-first-mib-wiped", SAMPLED, mib=128)
def _(path):
    btrfs(path)
    wipe(path)


@content("btrfs-mirror-only", SAMPLED, mib=200)
def _(path):
    """The copy of the superblock at 64 MiB, in one block of 4 KiB."""
    btrfs(path)
    wipe(path, 0, 64 * MIB)
    wipe(path, 64 * MIB + 0x11000, 200 * MIB - (64 * MIB + 0x11000))


@content("f2fs-first-mib-wiped", SAMPLED, mib=128)
def _(path):
    f2fs(path)
    with some_files() as folder:
        run("sload.f2fs", "-f", folder, path)
    wipe(path)


@content("vfat-first-mib-wiped", SAMPLED)
def _(path):
    vfat(path)
    with some_files() as folder:
        run("mcopy", "-i", path, *sorted(entry.path for entry in os.scandir(folder)), "::")
    wipe(path)


@content("partition-with-no-table", SAMPLED)
def _(path):
    """Both copies of the GPT wiped with a megabyte each; the file system in its partition is all there."""
    with some_files() as folder, tempfile.NamedTemporaryFile() as partition:
        blank(partition.name, 60 * MIB)
        ext4(partition.name, "-d", folder)
        put(path, MIB, get(partition.name, 0, -1))


@content("luks2-header-wiped", SAMPLED)
def _(path):
    """The header of 16 MiB is gone, the ciphertext is not."""
    luks2(path, *OUR_SHAPE)
    put(path, 16 * MIB, noise(24 * MIB, "ciphertext"))
    wipe(path, 0, 16 * MIB)


@content("lvm2-first-mib-wiped", SAMPLED)
def _(path):
    lvm2(path)
    put(path, MIB, noise(32 * MIB, "a logical volume"))
    wipe(path)
