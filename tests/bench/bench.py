#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`make bench`: the boots that the shell init was measured with, done again with Gantry, and what else has a number.

  N=3                             samples of each boot; the figure is their median (N=1 for a quick look)
  ONLY=scenarios,sizes,stages,disk,api,services     one or more of the six parts; default all

Prints one table and writes the same to build/bench.json. No figure makes it fail: what a boot takes depends on the machine
it is emulated on, and on what else runs there; a boot that does not come to its end does. docs/bench.md says what each
figure means and how it is got.
"""

import json
import os
import re
import shutil
import statistics
import sys
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [REPOSITORY, os.path.dirname(os.path.abspath(__file__))]
import api
import disks
import events
import figures
import logs
import services
from watch import Watch
from qemu import image, machine
from qemu.peers.platform import Platform, configure_network

FOLDER = os.path.join(image.BUILD, "bench")
PARTS = ("scenarios", "sizes", "stages", "disk", "api", "services")
MEMORY_MIB = 2048
DISK_BYTES = 1 << 30
SNAPSHOT_BYTES = (64 << 20) * 64 // 57          # the store's files come to 57/64 of what is asked for
SMALL_FILES = 12                                # and with the nine others to 21
RETH_START_MS = 1000
BOOT_TIMEOUT = 180

# The shell init's seconds and processes (docs/bench.md), and what Gantry must show.
SCENARIOS = {
    "A": ("A first boot, blank disk at 8 s", 8, 106.1, 474, 8 + 4.5),
    "B": ("B second boot, disk at 8 s", 8, 27.2, 353, 8 + 1.2),
    "C": ("C second boot, disk there", None, 25.2, 353, 2.0),
    "D": ("D first boot, disk there", None, 103.9, 473, 6.0),
    "E": ("E second boot, disk at 20 s", 20, 38.8, 365, 20 + 1.2),
}
PROCESSES_TARGET, USED_TARGET_MB, SHELL_USED_MB, PROGRAMS_TARGET_MB, SHELL_PROGRAMS_MB = 40, 60, 243.5, 5, 82.5
SHELL_STOP_S = 2.2
BOOT_PROGRAMS = ("chronyd", "dhcpcd", "mke2fs", "e2fsck")
OTHER_PROGRAMS = ("chronyc", "dropbear")
OVER = ("done", "ready", "skipped", "failed")


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- boots


def boot_config():
    """The image's own, its reth as slow to start as the one of the shell init's measurement, and with the report."""
    config = image.read_config(os.path.join(image.TEST_FOLDER, "boot.json"))
    reth = next(service for service in config["services"] if service["name"] == "reth")
    reth["command"] += ["--start-ms", str(RETH_START_MS)]
    # rbuilder runs only where the hub's document says so, and a stage that needed it would have to say the same
    config["stages"].append({"name": "bench", "type": "exec", "needs": ["reth"], "after": ["rbuilder"], "required": False,
                             "options": {"command": ["/bin/benchprobe", "report"]}})
    return config


def configurations():
    """{name: each boot.json that a part boots or runs}."""
    return {"scenarios": boot_config(), "disk": disks.steps_of(1, with_options=True).config, "api": api.CONFIG,
            "events": events.CONFIG, "logs": logs.config(4),
            "services": services.Gantry.config([*services.chain(2), ("quit", "quit", None)])}


def bench_initrd():
    config = boot_config()
    text, path = json.dumps(config, indent="\t"), os.path.join(FOLDER, "boot.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    image.check_config(os.path.join(image.BUILD, "init"), path)
    initrd = os.path.join(FOLDER, "initramfs.cpio")
    with open(os.path.join(image.TEST_OUT, "initramfs.cpio"), "rb") as base, open(initrd, "wb") as out:
        shutil.copyfileobj(base, out)
        out.write(image.overlay({"/etc/gantry/boot.json": text.encode()}))
    return initrd


def new_disk(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with open(os.path.join(folder, "disk.raw"), "wb") as file:
        file.truncate(DISK_BYTES)


class Boot:
    """One boot, from power-on to power-off, and what was read out of it. Guest seconds are of CLOCK_BOOTTIME."""

    def __init__(self, folder, tier=1, attach_s=None, initrd=None, extra=()):
        self.attach_s, self.mounted_after = attach_s, None
        built = image.TEST_OUT
        where = {"boot_disk": os.path.join(built, "gantry.raw")} if tier == 2 else {
            "kernel": os.path.join(built, "vmlinuz"), "initrd": initrd or os.path.join(built, "initramfs.cpio"),
            "cmdline": image.cmdline({}) + (" rdinit=/bin/benchprobe" if initrd else "")}
        disk = os.path.join(folder, "disk.raw")
        watch = Watch()
        with Platform(snapshot_bytes=SNAPSHOT_BYTES, small_files=SMALL_FILES), machine.Machine(
                folder, tpm=machine.tpm_template(image.BUILD), memory_mib=MEMORY_MIB,
                disk=disk if attach_s is None else None, extra=extra, **where) as guest:
            self.guest = guest
            self.follow(disk, measured=bool(initrd))
            self.others = watch.others(guest)
            guest.power_button()
            if guest.wait_end() != "guest-shutdown":
                raise machine.MachineError(f"did not power off; console {folder}/console.log")
        self.nodes = self.read_nodes()

    def follow(self, disk, measured):
        guest = self.guest
        first = guest.wait_for("gantry", kind="message", timeout=60)
        self.exec = float(guest.wait_line(r"benchprobe: exec at (\d+\.\d+)")[1]) if measured else first.time
        self.available_kib = int(guest.wait_line(r"benchprobe: available (\d+)")[1]) if measured else None
        loaded = guest.wait_for("gantry", text=r"modules loaded in", kind="message", timeout=60)
        self.modules = float(re.search(r"loaded in (\d+\.\d+) s", loaded.line)[1])
        self.zero = self.exec + self.modules    # as if the modules had been there, as they were for the shell init
        if self.attach_s is not None:
            self.attach(disk, loaded)
        self.booted = guest.wait_for("gantry", "booted", timeout=BOOT_TIMEOUT).time
        self.took = self.booted - self.zero
        if self.attach_s is not None:
            self.mounted_after = guest.moment_of(guest.find("disk", "done")[1]) - guest.attached
            self.took += self.attach_s - self.attached_at()
        self.report = None
        if measured:
            guest.wait_for("bench", "done", timeout=30)
            self.report = [event for event in guest.events if event.source == "bench" and event.kind == "message"]
        guest.wait(lambda: None if self.running() else True, 30, "the stages that the boot does not need")

    def running(self):
        """Stages and services that have begun and come to no end, good or bad: a boot does not wait for all of them."""
        last = {event.source: event.text for event in self.guest.events if event.kind == "state"}
        return [name for name, state in last.items() if state in ("running", "retrying")]

    def attach(self, disk, loaded):
        """The disk comes about ATTACH_S after `zero`: the guest's clock goes a little faster or slower than ours."""
        guest = self.guest
        moment = guest.moment_of(loaded) + self.zero + self.attach_s - loaded.time
        with guest.changed:
            guest.changed.wait_for(lambda: guest.ended, moment - time.monotonic())
        guest.disk = disk
        guest.attach_disk()

    def attached_at(self):
        """When it did come, in guest seconds after `zero`: by the two clocks at the first that the guest saw of it."""
        there = self.guest.find("disk", kind="message", text="^found ")[1]
        return there.time - (self.guest.moment_of(there) - self.guest.attached) - self.zero

    def read_nodes(self):
        """{stage or service: (began, took)}, seconds from PID 1's exec without the modules."""
        began, nodes = {}, {}
        for event in self.guest.events:
            if event.kind != "state" or event.source in ("gantry", "bench"):
                continue
            if event.text == "running":
                began[event.source] = event.time        # of the last attempt
            elif event.text in OVER and event.source not in nodes:
                start = began.get(event.source, event.time)
                nodes[event.source] = (start - self.zero, event.time - start)
        return nodes

    def fact(self, word, field):
        for event in self.report or []:
            if event.text == word:
                return int(event.fields[field])
        raise machine.MachineError(f"benchprobe said nothing of {word} {field}; console {self.guest.folder}/console.log")

    def processes(self, of_kernel=False):
        """Names of all processes from PID 1's exec to booted, PID 1 and the measuring itself left out. The kernel starts
        some by itself (a modprobe that is not there): their parent is a worker thread, not a process of this list."""
        seen = {event.fields["pid"]: event.fields for event in self.report if event.text in ("ended", "living")}
        return [one["process"] for one in seen.values() if (one["parent"] not in seen and one["parent"] != "1") == of_kernel]

    def stop_s(self):
        times = {event.text: event.time for event in self.guest.events if event.source == "gantry" and event.kind == "state"}
        return times["poweroff"] - times["stopping"]


def boot(name, note, *arguments, **options):
    """A boot, announced; where it does not come to its end there is no figure, and no bench."""
    made = Boot(*arguments, **options)
    say(f"  {note}{name}: {made.took:.2f} s, with modules {made.took + made.modules:.2f} s"
        f"  (others: {made.others:.2f} processors)")
    return made


# ---- the parts


def scenarios(samples):
    """{letter: [Boot]}: D on a machine of its own; A, B, C, E one after the other on another."""
    initrd, boots = bench_initrd(), {letter: [] for letter in SCENARIOS}
    for number in range(1, samples + 1):
        for letter in "DABCE":
            folder = os.path.join(FOLDER, "machine-" + ("d" if letter == "D" else "abce"))
            if letter in "DA":
                new_disk(folder)
            name, attach_s, *_ = SCENARIOS[letter]
            boots[letter].append(boot(name, f"{number}/{samples} ", folder, attach_s=attach_s, initrd=initrd))
    return boots


def scenario_figures(boots):
    found = []
    section = "Scenarios: from PID 1's exec to all services ready (tier 1, TCG, one processor)"
    how = ("guest clock: time of the event `booted` minus the time noted right before exec of /init, minus the time "
           "that the event `modules loaded` names, since the shell init was measured with modules already loaded; of A, B "
           "and E the time from device_add on, and 8 or 20 s")
    for letter, (name, _, shell, _, target) in SCENARIOS.items():
        found.append(figures.Figure(section, name, "s", how, [one.took for one in boots[letter]], shell, target))
    for letter, (name, *_) in SCENARIOS.items():
        found.append(figures.Figure(section, name[:1] + " with the modules", "s", "the same without subtracting the modules",
                                    [one.took + one.modules for one in boots[letter]]))
    found.append(figures.Figure(section, "modules", "s", "the event `modules loaded`, all boots",
                                [one.modules for row in boots.values() for one in row]))

    section = "Processes: started from PID 1's exec to all services ready"
    how = ("process accounting, switched on before exec of /init, and /proc at the end; every fork, without PID 1, kernel "
           "threads and the measuring itself; threads do not count")
    for letter, (name, _, _, shell, _) in SCENARIOS.items():
        counted = [len(one.processes()) for one in boots[letter]]
        found.append(figures.Figure(section, name, "", how, counted, shell, PROCESSES_TARGET))
    how = "the same, those whose parent is a kernel thread: programs that the kernel starts by itself, such as modprobe"
    found.append(figures.Figure(section, "by the kernel, in each", "", how,
                                [len(one.processes(of_kernel=True)) for row in boots.values() for one in row]))

    section = "Memory and devices"
    every = [one for row in boots.values() for one in row]
    how = "in the guest when all services are ready: MemTotal - MemAvailable; the daemons are stand-ins of 50 kB"
    used = [(one.fact("memory", "total_kib") - one.fact("memory", "available_kib")) * 1024 / 1e6 for one in every]
    found.append(figures.Figure(section, "memory used", "MB", how, used, SHELL_USED_MB, USED_TARGET_MB))
    how = "the same right before exec of /init: what the kernel keeps for itself and the unpacked initramfs"
    before = [(one.fact("memory", "total_kib") - one.available_kib) * 1024 / 1e6 for one in every]
    found.append(figures.Figure(section, "of it before PID 1", "MB", how, before))
    how = "in the guest when all services are ready: MemTotal - MemFree - the file cache - SReclaimable"
    found.append(figures.Figure(section, "memory taken", "MB", how, [one.fact("taken", "kib") * 1024 / 1e6 for one in every]))
    how = "/proc/1/smaps_rollup when all services are ready"
    for name, field in (("PID 1, RSS", "rss_kib"), ("PID 1, PSS", "pss_kib"), ("PID 1, private dirty", "private_dirty_kib")):
        found.append(figures.Figure(section, name, "kB", how, [one.fact("pid1", field) * 1024 / 1000 for one in every]))
    how = "host clock: from QMP device_add to the arrival of the event `disk done`"
    for name, letters, target in (("blank disk: attached to mounted", "A", 3.0), ("known disk: attached to mounted", "BE", 1.0)):
        took = [one.mounted_after for letter in letters for one in boots[letter]]
        found.append(figures.Figure(section, name, "s", how, took, target=target))
    how = "guest clock: from the event `stopping` (power button) to `poweroff`, the last one"
    found.append(figures.Figure(section, "stopping everything", "s", how, [one.stop_s() for one in every], SHELL_STOP_S))
    return found


def size_figures():
    inputs, section = image.Inputs(image.BUILD), "Sizes"
    stripped, built = "the file as it is in the image", "the file in build/test"
    found = []

    def add(name, path, how, target=None):
        found.append(figures.Figure(section, name, "MB", how, [os.path.getsize(path) / 1e6], target=target))
        return found[-1].value

    total = add("gantry (init)", os.path.join(image.BUILD, "init"), stripped, 2.5)
    for name in BOOT_PROGRAMS + OTHER_PROGRAMS:
        value = add(name, os.path.join(inputs["LIBS"], "bin", name), stripped)
        total += value if name in BOOT_PROGRAMS else 0
    found.append(figures.Figure(section, "programs of the boot", "MB", "gantry, " + ", ".join(BOOT_PROGRAMS), [total],
                                SHELL_PROGRAMS_MB, PROGRAMS_TARGET_MB))
    for name, file in (("initramfs", "initramfs.cpio"), ("UKI", "gantry.efi")):
        add(name, os.path.join(image.TEST_OUT, file), built)
    return found


def stage_boots(samples, boots):
    """{column: [Boot]}: first and second boot in either tier, the disk there from the start."""
    columns = {"tier 1, first": boots.get("D", []), "tier 1, second": boots.get("C", []),
               "tier 2, first": [], "tier 2, second": []}
    for number in range(1, samples + 1):
        for tier in (1, 2):
            if tier == 1 and boots:
                continue
            folder = os.path.join(FOLDER, f"machine-stages-{tier}")
            new_disk(folder)
            for which in ("first", "second"):
                name = f"tier {tier}, {which}"
                columns[name].append(boot(name, f"{number}/{samples} ", folder, tier=tier))
    return columns


def stage_cells(columns):
    """{node: [(began, took) or None for each column]}, in the order in which they begin; medians."""
    names = {}
    for made in columns.values():
        for one in made:
            for name, (began, _) in one.nodes.items():
                names[name] = min(began, names.get(name, began))
    cells = {}
    for name in sorted(names, key=names.get):
        cells[name] = []
        for made in columns.values():
            found = [one.nodes[name] for one in made if name in one.nodes]
            cells[name].append(tuple(statistics.median(values) for values in zip(*found)) if found else None)
    cells["booted"] = [(0.0, statistics.median(one.booted - one.zero for one in made)) for made in columns.values()]
    cells["modules"] = [(0.0, statistics.median(one.modules for one in made)) for made in columns.values()]
    return cells


STAGES_HOW = ("guest seconds: when it began (0: PID 1's exec, without the modules; in tier 2 PID 1's first event) and how long "
              "it ran, from the events of its states; the disk is there from the start")


def options():
    samples, only = int(os.environ.get("N") or 3), (os.environ.get("ONLY") or ",".join(PARTS)).replace(",", " ").split()
    if samples < 1 or set(only) - set(PARTS):
        raise ValueError(f"N is 1 or more, ONLY some of {', '.join(PARTS)}")
    return samples, only


def bench(samples, only):
    load, start = os.getloadavg()[0], time.monotonic()
    os.makedirs(FOLDER, exist_ok=True)
    if set(only) - {"api", "services"}:
        image.ensure()
    if set(only) & {"scenarios", "stages", "disk"}:
        machine.enter_private_network()
        configure_network()
    boots = scenarios(samples) if "scenarios" in only else {}
    columns = stage_boots(samples, boots) if "stages" in only else {}
    volumes = disks.measure(samples, say) if "disk" in only else {}
    of_api, api_others = api.measure(samples, say) if "api" in only else ([], 0)
    of_services, services_others = services.measure(samples, say) if "services" in only else ([], 0)
    found = (scenario_figures(boots) if boots else []) + (size_figures() if "sizes" in only else []) + of_api + of_services

    every = [one for made in (*boots.values(), *columns.values()) for one in made]
    others = max([one.others for one in every] + [one.others for one in volumes.values()] + [api_others, services_others])
    kvm = machine.hardware_virtualisation()
    facts = {"samples": samples, "processors": os.cpu_count(), "load_before": load, "others_busy": others,
             "accelerator": "kvm" if kvm else "tcg", "took_s": time.monotonic() - start}
    text = figures.table(f"Gantry, median of {samples}; emulated on {os.cpu_count()} processors ({facts['accelerator']}), "
                         f"load before {load:.1f}, others kept at most {others:.2f} processors busy", found)
    stages = {}
    if columns:
        cells = stage_cells(columns)
        text += figures.stage_table("Stages: began, took (s)", list(columns), cells, STAGES_HOW)
        stages = {name: dict(zip(columns, row)) for name, row in cells.items()}
    if boots:
        names = boots["C"][-1].processes()
        facts["processes_of_c"] = {name: names.count(name) for name in sorted(set(names))}
    if volumes:
        disk_text, facts["disk"] = disks.tables(volumes, samples)
        text += disk_text
    if others > 0.3:
        text += "\nOther work ran on this machine: these figures are only good for a look.\n"
    path = os.path.join(image.BUILD, "bench.json")
    image.write_new(path, figures.to_json(facts, found, stages).encode())
    print("\n" + text + f"\nAlso in {os.path.relpath(path, REPOSITORY)}")


def main():
    try:
        bench(*options())
    except (machine.MachineError, image.BuildError, ValueError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(__doc__)
        sys.exit(0)
    sys.exit(main())
