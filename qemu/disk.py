# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the bootable disk: a GPT with an EFI system partition that contains one file, and a partition for the signed policy.

The disk depends only on the bytes of that file: identifiers, dates and layout are constants, so the same kernel image gives
the same disk on any day and any machine. So this module writes partition table and FAT itself, instead of tools that take
identifiers from a random source and dates from a clock. The policy (qemu/policy.py) is raw in its partition, which is zero
until a policy is signed. No component measures that partition, so a later signature changes nothing else on the disk.
UEFI 2.10 section 5.3 (GPT), Microsoft FAT specification 1.03, Microsoft VHD specification 1.0.
"""

import os
import shutil
import struct
import uuid
import zlib

SECTOR = 512
MIB = 1 << 20
DISK_GUID = uuid.UUID("7d6c0f4e-6f3a-4d0c-9a51-67616e747279")
PART_GUID = uuid.UUID("c0ffee11-6f3a-4d0c-9a51-67616e747279")
VHD_GUID = uuid.UUID("5eed0001-6f3a-4d0c-9a51-67616e747279")
POLICY_GUID = uuid.UUID("c0ffee12-6f3a-4d0c-9a51-67616e747279")
ESP_TYPE = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
POLICY_TYPE = uuid.UUID("6a6e7472-7967-4d0c-9a51-706f6c696379")
POLICY_BYTES = 64 << 10            # size of its partition, which begins at a whole MiB after the ESP
FAT_SERIAL = 0x67616E74
FAT_DATE = 0x0021                  # 1980-01-01, the earliest date that FAT can store
VHD_TIME = 0                       # seconds since 2000-01-01

FAT_RESERVED = 32
MIN_CLUSTERS = 65525               # fewer would make it FAT16 by definition
CLUSTER_SECTORS = (64, 32, 16, 8, 4, 2, 1)      # of 32 KiB at most: firmware reads cluster by cluster
FILE_MAX = (1 << 32) - 1
ESP_MIN = 72 * MIB
BESIDE_ESP = 2 * MIB               # of the disk: the tables, and the policy


def align(value, unit):
    return (value + unit - 1) // unit * unit


def directory_entry(name, attributes, cluster, size):
    base, _, extension = name.partition(".")
    return struct.pack("<8s3sBBBHHHHHHHI", base.encode().ljust(8), extension.encode().ljust(3), attributes, 0, 0, 0,
                       FAT_DATE, FAT_DATE, cluster >> 16, 0, FAT_DATE, cluster & 0xFFFF, size)


def layout(sectors):
    """(sectors of a cluster, of a FAT, number of clusters): the largest clusters with which it is FAT32."""
    for per_cluster in CLUSTER_SECTORS:
        fat_sectors = -(-(sectors - FAT_RESERVED) * 4 // (per_cluster * SECTOR + 8))
        clusters = (sectors - FAT_RESERVED - 2 * fat_sectors) // per_cluster
        if clusters >= MIN_CLUSTERS:
            return per_cluster, fat_sectors, clusters
    raise ValueError(f"{sectors} sectors are too few for FAT32")


def fat32(size, total_bytes, hidden_sectors, names=("EFI", "BOOT", "BOOTX64.EFI")):
    """A FAT32 volume with one contiguous file of SIZE bytes, as a list of (offset, bytes), and the file's offset; the rest is
    zero."""
    sectors = total_bytes // SECTOR
    per_cluster, fat_sectors, clusters = layout(sectors)
    data_start = FAT_RESERVED + 2 * fat_sectors
    file_clusters = -(-size // (per_cluster * SECTOR))
    first_file = 5                                     # 2 is the root, 3 EFI, 4 BOOT
    assert first_file - 2 + file_clusters <= clusters

    boot = bytearray(SECTOR)
    struct.pack_into("<3s8sHBHBHHBHHHII", boot, 0, b"\xeb\x58\x90", b"GANTRY  ", SECTOR, per_cluster,
                     FAT_RESERVED, 2, 0, 0, 0xF8, 0, 63, 255, hidden_sectors, sectors)
    struct.pack_into("<IHHIHH12xBBBI11s8s", boot, 36, fat_sectors, 0, 0, 2, 1, 6, 0x80, 0, 0x29, FAT_SERIAL,
                     b"NO NAME    ", b"FAT32   ")
    boot[510:512] = b"\x55\xaa"
    info = bytearray(SECTOR)
    struct.pack_into("<I", info, 0, 0x41615252)
    struct.pack_into("<III", info, 484, 0x61417272, clusters - 3 - file_clusters, first_file + file_clusters)
    info[510:512] = b"\x55\xaa"

    end = 0x0FFFFFFF
    table = struct.pack("<5I", 0x0FFFFFF8, end, end, end, end)
    chain = list(range(first_file + 1, first_file + file_clusters)) + [end]
    table += struct.pack(f"<{len(chain)}I", *chain)

    def cluster_at(number):
        return (data_start + (number - 2) * per_cluster) * SECTOR

    directory = 0x10
    root = directory_entry(names[0], directory, 3, 0)
    efi = dot_entries(3, 0) + directory_entry(names[1], directory, 4, 0)
    boot_folder = dot_entries(4, 3) + directory_entry(names[2], 0x20, first_file, size)
    return [(0, bytes(boot)), (SECTOR, bytes(info)), (6 * SECTOR, bytes(boot)), (7 * SECTOR, bytes(info)),
            (FAT_RESERVED * SECTOR, table), ((FAT_RESERVED + fat_sectors) * SECTOR, table),
            (cluster_at(2), root), (cluster_at(3), efi), (cluster_at(4), boot_folder)], cluster_at(first_file)


def dot_entries(cluster, parent):
    """`.` and `..`; a parent that is the root is written as cluster 0."""
    dates = struct.pack("<BBBHHH", 0x10, 0, 0, 0, FAT_DATE, FAT_DATE)
    return b"".join(name.ljust(11) + dates + struct.pack("<HHHHI", where >> 16, 0, FAT_DATE, where & 0xFFFF, 0)
                    for name, where in ((b".", cluster), (b"..", parent)))


def gpt(disk_bytes, partitions):
    """The protective MBR and both tables of [(type, GUID, name, offset, size)], as a list of (offset, bytes)."""
    sectors = disk_bytes // SECTOR
    mbr = bytearray(SECTOR)
    struct.pack_into("<B3sB3sII", mbr, 446, 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, sectors - 1)
    mbr[510:512] = b"\x55\xaa"
    entries = b"".join(
        struct.pack("<16s16sQQQ72s", kind.bytes_le, guid.bytes_le, offset // SECTOR, (offset + size) // SECTOR - 1, 0,
                    name.encode("utf-16-le")) for kind, guid, name, offset, size in partitions).ljust(128 * 128, b"\0")

    def header(here, other, table):
        fields = [b"EFI PART", 0x10000, 92, 0, 0, here, other, 34, sectors - 34, DISK_GUID.bytes_le, table, 128, 128,
                  zlib.crc32(entries)]
        layout = "<8sIIIIQQQQ16sQIII"
        fields[3] = zlib.crc32(struct.pack(layout, *fields))
        return struct.pack(layout, *fields)

    last = sectors - 1
    return [(0, bytes(mbr)), (SECTOR, header(1, last, 2)), (2 * SECTOR, entries),
            ((last - 32) * SECTOR, entries), (last * SECTOR, header(last, 1, last - 32))]


def write_disk(path, uki, policy=b"", esp_min=ESP_MIN):
    """PATH becomes a raw disk that boots the file UKI, with POLICY in its partition; returns its size."""
    size = os.path.getsize(uki)
    if size > FILE_MAX:
        raise ValueError(f"{uki} has {size} bytes, and FAT32 holds {FILE_MAX} in a file")
    esp_bytes = max(esp_min, align(size + 4 * MIB, MIB))
    disk_bytes = esp_bytes + BESIDE_ESP
    policy_at = MIB + esp_bytes
    assert len(policy) <= POLICY_BYTES
    pieces = gpt(disk_bytes, [(ESP_TYPE, PART_GUID, "gantry", MIB, esp_bytes),
                              (POLICY_TYPE, POLICY_GUID, "gantry-policy", policy_at, POLICY_BYTES)])
    volume, file_at = fat32(size, esp_bytes, MIB // SECTOR)
    pieces += [*((MIB + offset, data) for offset, data in volume), (policy_at, policy)]
    with open(path + ".new", "wb") as out, open(uki, "rb") as content:
        out.truncate(disk_bytes)
        for offset, data in pieces:
            out.seek(offset)
            out.write(data)
        out.seek(MIB + file_at)
        shutil.copyfileobj(content, out, MIB)
    os.replace(path + ".new", path)
    return disk_bytes


def geometry(sectors):
    """Cylinders, heads and sectors as the VHD specification's appendix computes them."""
    sectors = min(sectors, 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        per_track, heads = 255, 16
        return sectors // per_track // heads, heads, per_track
    per_track = 17
    tracks = sectors // per_track
    heads = max((tracks + 1023) // 1024, 4)
    if tracks >= heads * 1024 or heads > 16:
        per_track, heads = 31, 16
        tracks = sectors // per_track
    if tracks >= heads * 1024:
        per_track, heads = 63, 16
        tracks = sectors // per_track
    return tracks // heads, heads, per_track


def vhd_footer(size):
    """The 512 bytes that make a raw disk of SIZE bytes a fixed VHD, as Azure takes it."""
    assert size % MIB == 0
    layout = ">8sIIQI4sI4sQQHBBII16sB"
    fields = [b"conectix", 2, 0x10000, (1 << 64) - 1, VHD_TIME, b"gtry", 0x10000, b"Wi2k", size, size,
              *geometry(size // SECTOR), 2, 0, VHD_GUID.bytes, 0]
    fields[14] = ~sum(struct.pack(layout, *fields)) & 0xFFFFFFFF
    return struct.pack(layout, *fields).ljust(SECTOR, b"\0")


def write_vhd(path, raw):
    """PATH becomes the fixed VHD of the raw disk RAW; zero blocks stay holes."""
    with open(raw, "rb") as source, open(path + ".new", "wb") as out:
        while block := source.read(MIB):
            if block.count(0) == len(block):
                out.seek(len(block), 1)
            else:
                out.write(block)
        out.write(vhd_footer(source.tell()))
    os.replace(path + ".new", path)
