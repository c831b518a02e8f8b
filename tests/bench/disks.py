# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk's part of `make bench`: Gantry's dm-crypt settings beside Debian's defaults, and what mount options do.

Both volumes are in one guest, on disks of the same kind whose files lie in the host's memory, and are measured in turn,
so that only their ratio is read and what else this machine does falls on both. fio does the measuring; there is no shell in
the guest, so every step is a stage of its own. Results come out as a tar on one more disk.
"""

import io
import json
import os
import statistics
import tarfile
import tempfile
import time

import figures
from watch import Watch

from qemu import debian, image, machine, variant

OURS, STOCK, RESULTS = 10, 11, 20       # LUNs
DISK_BYTES, RESULTS_BYTES = 640 << 20, 16 << 20
FILE_MIB, SEQUENTIAL_MIB, RANDOM_MIB = 256, 96, 12
SYNCED_KIB, LOOKED_AT_KIB, CHURN_MIB, APPEND_SECONDS = 3 << 10, 6 << 10, 64, 14      # of what the options are tried with
MOUNT, TRY = "/mnt", "/dev/mapper/try"
KEY = b"not-secret-only-for-the-bench"
TIMEOUT = 900
OUT = "/bench"

# name: fio's options for it, what is read from the result, and its unit
RAW = {
    "sequential write": (f"rw=write bs=1m size={SEQUENTIAL_MIB}m", "write", "MiB/s"),
    "sequential read": (f"rw=read bs=1m size={SEQUENTIAL_MIB}m", "read", "MiB/s"),
    "random 4 KiB write": (f"rw=randwrite bs=4k size={FILE_MIB}m io_size={RANDOM_MIB}m", "write", "IOPS"),
    "random 4 KiB read": (f"rw=randread bs=4k size={FILE_MIB}m io_size={RANDOM_MIB}m", "read", "IOPS"),
}
VOLUMES = {"Gantry": "/dev/mapper/persistent", "Debian": "/dev/mapper/stock"}


def job(name, options, **more):
    lines = [f"[{name}]", "stonewall", *options.split(), *(f"{key}={value}" for key, value in more.items())]
    return "\n".join(lines) + "\n"


class Steps:
    """Stages in a row, each after the one before, and the files that they need."""

    def __init__(self, config):
        self.config = config
        config.setdefault("hardening", {})["writable"] = [OUT]
        self.files = debian.programs("env", "cryptsetup", "fio", "mount", "umount", "blockdev", "tar")
        self.files |= {f"{OUT}/key": KEY, f"{MOUNT}/nothing": b""}
        self.last = config["stages"][-1]["name"]
        self.count = 0

    def run(self, command):
        self.count += 1
        name = f"step-{self.count}"
        self.config["stages"].append({"name": name, "type": "exec", "needs": [self.last], "retry": {"limit": 1},
                                      "deadline_s": TIMEOUT, "options": {"command": command}})
        self.last = name

    def fio(self, name, jobs):
        path = f"{OUT}/{name.replace(' ', '-')}"
        self.files[path + ".fio"] = ("[global]\nioengine=psync\niodepth=1\nthread\n" + jobs).encode()
        self.run(debian.command("fio", "--output-format=json", f"--output={path}.json", path + ".fio"))

    def remount(self, options):
        self.run(debian.command("mount", "-o", f"remount,{options}", MOUNT))


def volumes(steps, samples):
    """The raw devices in turn. Gantry's is unmounted, and nothing but the benchmark is on it afterwards."""
    key = ["--batch-mode", "--key-file", f"{OUT}/key"]
    steps.run(["/bin/probe", "links"])
    steps.run(debian.command("umount", "/persistent"))
    steps.run(debian.cryptsetup("luksFormat", *key, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", f"/dev/lun/{STOCK}"))
    steps.run(debian.cryptsetup("open", *key, f"/dev/lun/{STOCK}", "stock"))
    jobs = ""
    for number in range(samples):
        for what, (options, *_) in RAW.items():
            for whose, device in VOLUMES.items():
                jobs += job(f"{whose}/{what}/{number}", options, filename=device, direct=1)
    steps.fio("volumes", jobs)
    steps.run(debian.cryptsetup("close", "stock"))


def mount_options(steps, samples):
    """On ext4 over dm-crypt with Gantry's settings, with discards let through."""
    key = ["--batch-mode", "--key-file", f"{OUT}/key"]
    device = f"/dev/lun/{STOCK}"
    steps.run(debian.cryptsetup("luksFormat", *key, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
                                "--sector-size", "4096", device))
    steps.run(debian.cryptsetup("open", *key, "--perf-no_read_workqueue", "--perf-no_write_workqueue", "--allow-discards",
                                device, "try"))
    steps.run(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "1",
               "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", TRY])
    steps.run(debian.command("mount", "-t", "ext4", TRY, MOUNT))
    data = f"{MOUNT}/data"
    steps.fio("layout", job("layout", f"rw=write bs=1m size={FILE_MIB}m direct=1 fallocate=none end_fsync=1", filename=data))
    for number in range(samples):
        for seconds in (5, 30):
            steps.remount(f"commit={seconds}")
            steps.fio(f"commit {seconds} sync {number}", job(
                "sync", f"rw=randwrite bs=4k size={FILE_MIB}m io_size={SYNCED_KIB}k fsync=1", filename=data))
            steps.fio(f"commit {seconds} append {number}", job(
                "append", f"rw=write bs=16k size=64m rate_iops=100 time_based runtime={APPEND_SECONDS} "
                "fallocate=none unlink=1", filename=f"{MOUNT}/log"))
        steps.remount("commit=5")
        for word in ("nodiscard", "discard"):
            steps.remount(word)
            steps.fio(f"{word} churn {number}", job(
                "churn", f"rw=write bs=256k size={CHURN_MIB}m nrfiles=32 fallocate=none fsync=8 loops=3 unlink_each_loop=1 "
                "unlink=1", directory=MOUNT))
        steps.remount("nodiscard")
        for kib in (128, 16, 0):
            steps.run(debian.command("blockdev", "--setra", str(kib * 2), TRY))
            for advice in (0, 1):       # with it fio says MADV_RANDOM, as MDBX does when it is told not to read ahead
                steps.fio(f"readahead {kib} mmap {advice} {number}", job(
                    "mmap", f"ioengine=mmap rw=randread bs=4k size={FILE_MIB}m io_size={LOOKED_AT_KIB}k "
                    f"fadvise_hint={advice}", filename=data))
            steps.fio(f"readahead {kib} sequential {number}", job(
                "sequential", f"rw=read bs=128k size={SEQUENTIAL_MIB}m fadvise_hint=0", filename=data))
        steps.run(debian.command("blockdev", "--setra", "256", TRY))
        for name in ("none", "mq-deadline"):
            steps.run(["/bin/probe", "queue", str(STOCK), "scheduler", name])
            both = "".join(job(f"{word} {jobs}", f"rw={word} bs=4k size={FILE_MIB}m io_size={LOOKED_AT_KIB}k "
                               f"numjobs={jobs} direct=1 group_reporting=1", filename=data)
                           for word in ("randread", "randwrite") for jobs in (1, 4))
            steps.fio(f"scheduler {name} {number}", both)
    steps.run(debian.command("umount", MOUNT))


class Run(dict):
    """{name of a fio run: its JSON} of one guest, and how many processors others kept busy meanwhile."""

    others = 0.0


def steps_of(samples, with_options):
    """The configuration, with all that fio does in one guest, and its files."""
    config = image.read_config(os.path.join(image.TEST_FOLDER, "boot.json"))
    config["services"], config["stages"] = [], [one for one in config["stages"] if one["name"] == "disk"]
    config["stages"][0]["options"]["keys"] = ["tpm2"]
    for key in ("log", "logs", "api", "refresh"):
        config.pop(key, None)
    config["modules"].append("mq_deadline")     # after the disks' own, so that none is what they come with
    steps = Steps(config)
    volumes(steps, samples)
    if with_options:
        mount_options(steps, samples)
    steps.run(debian.command("tar", "-C", OUT, "-cf", f"/dev/lun/{RESULTS}", "."))
    return steps


def run(cpus, samples, with_options):
    """What fio found in one guest with so many processors."""
    steps = steps_of(samples, with_options)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        return boot(folder, steps.config, steps.files, cpus)


def boot(folder, config, files, cpus):
    disks, found = {}, Run()
    for lun in (OURS, STOCK, RESULTS):
        disks[lun] = os.path.join(folder, f"lun-{lun}.raw")
        machine.blank_disk(disks[lun], RESULTS_BYTES if lun == RESULTS else DISK_BYTES)
    initrd = variant.initramfs(folder, lambda standard: (standard.clear(), standard.update(config)), files)
    with machine.Machine(folder, tpm=machine.tpm_template(image.BUILD), cpus=cpus, memory_mib=2048, nic=False,
                         kernel=os.path.join(image.TEST_OUT, "vmlinuz"), initrd=initrd, cmdline=image.cmdline({}),
                         disk=disks.pop(OURS), more_disks=disks) as guest:
        watch = Watch()
        guest.wait_for("gantry", "booted", timeout=TIMEOUT)
        found.others = watch.others(guest)
        guest.power_button()
        guest.wait_end()
    with open(disks[RESULTS], "rb") as raw, tarfile.open(fileobj=io.BytesIO(raw.read())) as tar:
        for member in tar.getmembers():
            if member.name.endswith(".json"):
                found[os.path.basename(member.name)[:-5]] = json.loads(tar.extractfile(member).read())
    return found


# ---- what is read out of it


def one(result, direction, unit):
    numbers = result[direction]
    return numbers["bw_bytes"] / (1 << 20) if unit == "MiB/s" else numbers["iops"]


def volume_rows(results):
    """(workload, unit, Gantry, Debian, ratio, latencies) for each workload; medians, also of the ratios of the pairs."""
    jobs = {found["jobname"]: found for found in results["volumes"]["jobs"]}
    rows = []
    for what, (_, direction, unit) in RAW.items():
        pairs = []
        for number in range(len(jobs) // (len(RAW) * len(VOLUMES))):
            pair = [jobs[f"{whose}/{what}/{number}"] for whose in VOLUMES]
            values = [one(found, direction, unit) for found in pair]
            pairs.append((*values, values[0] / values[1],
                          *(found[direction]["lat_ns"]["mean"] / 1000 for found in pair),
                          *(found[direction]["clat_ns"]["percentile"]["99.000000"] / 1000 for found in pair)))
        rows.append((what, unit, *(statistics.median(column) for column in zip(*pairs))))
    return rows


def option_rows(results, samples):
    """[(option, workload, value, unit, what the disk did)], medians."""

    def median(name, read):
        return statistics.median(read(results[f"{name}-{number}"]) for number in range(samples))

    def iops(direction):
        return lambda run: run["jobs"][0][direction]["iops"]

    def disk(field):
        return lambda run: sum(found[field] for found in run["disk_util"][:1])

    rows = []
    for seconds in (5, 30):
        rows.append((f"commit={seconds}", "4 KiB write, fsync", median(f"commit-{seconds}-sync", iops("write")), "IOPS",
                     f"{median(f'commit-{seconds}-sync', disk('write_ios')):.0f} writes"))
        rows.append((f"commit={seconds}", f"append 1.6 MiB/s, {APPEND_SECONDS} s",
                     median(f"commit-{seconds}-append", iops("write")), "IOPS",
                     f"{median(f'commit-{seconds}-append', disk('write_ios')):.0f} writes"))
    for word in ("nodiscard", "discard"):
        rows.append((word, "files made, synced, deleted", median(
            f"{word}-churn", lambda run: run["jobs"][0]["write"]["bw_bytes"] / (1 << 20)), "MiB/s", ""))
    for kib in (128, 16, 0):
        for advice, word in ((0, "mmap random"), (1, "mmap random, MADV_RANDOM")):
            name = f"readahead-{kib}-mmap-{advice}"
            rows.append((f"read-ahead {kib} KiB", word, median(name, iops("read")), "IOPS",
                         f"{median(name, disk('read_sectors')) / 2048:.0f} MiB read"))
        rows.append((f"read-ahead {kib} KiB", "sequential, buffered", median(
            f"readahead-{kib}-sequential", lambda run: run["jobs"][0]["read"]["bw_bytes"] / (1 << 20)), "MiB/s", ""))
    for name in ("none", "mq-deadline"):
        for index, word in enumerate(("random read", "random read, 4 at once", "random write", "random write, 4 at once")):
            direction = "read" if "read" in word else "write"
            rows.append((f"scheduler {name}", word, median(
                f"scheduler-{name}", lambda run, i=index, d=direction: run["jobs"][i][d]["iops"]), "IOPS", ""))
    return rows


VOLUMES_HOW = ("fio, psync, one at a time, direct, on the raw /dev/mapper nodes in turn; Gantry: 4096-byte sectors, no work "
               "queues; Debian: luksFormat and open of its cryptsetup without options but a quick pbkdf2; ratio: median of the "
               "ratios of pairs; files of the disks in the host's memory; latency in microseconds, Gantry / Debian")
OPTIONS_HOW = ("fio on ext4 over dm-crypt with Gantry's settings, two processors; what the disk did is of the dm device, in "
               "one run")


def tables(found, samples):
    """(text, JSON) of {cpus: results}."""
    text, data = "", {}
    for cpus, results in found.items():
        rows = volume_rows(results)
        data[f"{cpus} processors"] = [dict(zip(("workload", "unit", "gantry", "debian", "ratio", "latency_gantry_us",
                                                "latency_debian_us", "p99_gantry_us", "p99_debian_us"), row)) for row in rows]
        lines = [["", "Gantry", "Debian", "unit", "ratio", "mean us", "p99 us"]]
        for what, unit, ours, stock, ratio, *times in rows:
            lines.append([what, f"{ours:.0f}", f"{stock:.0f}", unit, f"{ratio:.2f}x",
                          f"{times[0]:.0f} / {times[1]:.0f}", f"{times[2]:.0f} / {times[3]:.0f}"])
        text += "\n".join(["", f"Volume: Gantry's settings and Debian's defaults, {cpus} processor{'s' * (cpus > 1)}"]
                          + figures.grid(lines)) + "\n"
    text += "\n".join(figures.wrapped("how: " + VOLUMES_HOW, "    ")) + "\n"
    for results in found.values():
        if "layout" not in results:
            continue
        rows = option_rows(results, samples)
        data["options"] = [dict(zip(("option", "workload", "value", "unit", "disk"), row)) for row in rows]
        lines = [["", "workload", "", "unit", "disk"]]
        lines += [[option, what, f"{value:.0f}", unit, disk] for option, what, value, unit, disk in rows]
        text += "\n".join(["", "Mount options, read-ahead, scheduler"] + figures.grid(lines)
                          + figures.wrapped("how: " + OPTIONS_HOW, "    ")) + "\n"
    return text, data


def measure(samples, say):
    """{processors: Run}; the mount options only once."""
    found = {}
    for cpus in (1, 2):
        start = time.monotonic()
        found[cpus] = run(cpus, samples, with_options=cpus == 2)
        say(f"  disk, {cpus} processor{'s' * (cpus > 1)}: {time.monotonic() - start:.0f} s"
            f"  (others: {found[cpus].others:.2f} processors)")
    return found
