# SPDX-License-Identifier: GPL-2.0-or-later
"""One virtual machine: QEMU controlled over QMP, its TPM, its disks, and its console parsed into events.

Tier 1 starts the kernel directly (fast; faster with vmlinux, which needs no decompression). Tier 2 starts the disk image
through UEFI firmware (measured); that disk is LUN 0 beside the data disk, as on Azure. Everything runs in a private network
namespace and ends with this process. Threads read the console and QMP and wake up waiting callers; nothing sleeps or polls.
"""

import collections
import fcntl
import hashlib
import itertools
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time

from qemu.tdx import azure_tpm

AZURE_ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"
DATA_LUN = 10
DATA_SERIAL, BOOT_SERIAL = "GANTRY-DATA-0001", "GANTRY-BOOT-0001"
API_PORT = 3535
WAKE_S = 30                             # seconds until a machine that goes on has printed a line
ABOVE_INITRD_MIB = 32                   # memory above a PVH kernel's initrd, for the ACPI tables and similar
DELIVERY = struct.Struct("<QQQ48s")      # to qemu/guest/doorstep.c: the archive's size, how many disks, the time, random bytes
MEMORY = ".memory"                      # the name of a saved machine's memory ends with it
GET_STATEBLOB = 12                      # swtpm's control protocol, swtpm_ioctls(3); numbers are big-endian
TIMEOUT_SCALE = float(os.environ.get("GANTRY_TIMEOUT_SCALE", "1"))

Event = collections.namedtuple("Event", "time level source kind text fields line")

EVENT = re.compile(r"\[\s*(\d+\.\d+)\] (debug|info|notice|warning|error) (\S+) (state|progress|message): ?(.*)")
FIELD = re.compile(r"(?:^| )([a-z_][a-z0-9_]*)=(\S*)$")
PANIC = re.compile(r"Kernel panic - not syncing: (.*)")


def parse_event(line):
    """An Event from a console line, or None: a kernel message, firmware, or torn output."""
    found = EVENT.search(line)
    if not found:
        return None
    moment, level, source, kind, text = found.groups()
    fields = {}
    if kind == "state":
        word, _, text_rest = text.partition(" ")
        if text_rest.startswith("text="):
            fields["text"], text_rest = text_rest[5:], ""
        else:
            text_rest, cut, last = text_rest.partition(" text=")
            if cut:
                fields["text"] = last
        fields.update(pair.partition("=")[::2] for pair in text_rest.split() if "=" in pair)
        text = word
    else:
        while found := FIELD.search(text):
            fields[found[1]] = found[2]
            text = text[:found.start()]
    return Event(float(moment), level, source, kind, text, fields, line)


class MachineError(Exception):
    pass


def enter_private_network():
    """Moves this process into a network namespace of its own, with loopback (still down) and nothing else."""
    try:
        os.unshare(os.CLONE_NEWNET)
    except PermissionError:
        uid, gid = os.getuid(), os.getgid()
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
        for name, content in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(content)


def hardware_virtualisation():
    """True if the CPU reports virtualisation and /dev/kvm can be opened: some /dev/kvm cannot run a stock kernel."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        flags = next((line.split() for line in file if line.startswith("flags")), [])
    return ("vmx" in flags or "svm" in flags) and os.access("/dev/kvm", os.R_OK | os.W_OK)


def start_bound(command, **arguments):
    """Starts a process that is killed when this one ends, in any way, and that does not receive Ctrl-C."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], start_new_session=True, **arguments)


def make_tpm(folder):
    """Makes a TPM with new seeds and with Azure's objects; FOLDER becomes its state."""
    try:
        azure_tpm.provision(folder)
    except (azure_tpm.TpmError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise MachineError(f"cannot make a virtual TPM: {error}") from None


def tpm_template(build):
    """The folder with the state of a new TPM, made once; each machine starts from a copy."""
    folder = os.path.abspath(os.path.join(build, "tpm"))
    os.makedirs(build, exist_ok=True)
    with open(folder + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(folder):
            shutil.rmtree(folder + ".new", ignore_errors=True)
            make_tpm(folder + ".new")
            os.rename(folder + ".new", folder)
    return folder


def blank_disk(path, size):
    with open(path, "wb") as file:
        file.truncate(size)


def foreign_disk(path, size):
    """A disk with a foreign file system (ext4)."""
    blank_disk(path, size)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", path], check=True)


def damage_luks(path):
    """Overwrites both copies of the LUKS2 binary header with garbage after the magic; a disk without LUKS gets the magic too."""
    garbage = hashlib.shake_128(b"damaged").digest(256)
    with open(path, "r+b") as file:
        for offset, magic in ((0, b"LUKS\xba\xbe"), (0x4000, b"SKUL\xba\xbe")):
            file.seek(offset)
            file.write(magic + b"\0\2")
            file.seek(offset + 0x100)
            file.write(garbage)


def delivery(overlay, disks):
    return DELIVERY.pack(len(overlay), disks, time.time_ns(), os.urandom(48)) + overlay


class WithoutState(threading.Thread):
    """Between QEMU and swtpm: what QEMU would save of the TPM is empty, so a machine that goes on has its own TPM's state."""

    def __init__(self, swtpm):
        super().__init__(daemon=True)
        self.swtpm = swtpm
        self.qemu, self.theirs = socket.socketpair()
        self.start()

    def run(self):
        with self.qemu, self.swtpm:
            while True:
                request, fds, _, _ = socket.recv_fds(self.qemu, 4096, 1)
                if not request:
                    return
                if struct.unpack_from(">I", request)[0] == GET_STATEBLOB:
                    self.qemu.sendall(bytes(16))        # result, flags, length in all, length here
                    continue
                socket.send_fds(self.swtpm, [request], fds)
                for fd in fds:
                    os.close(fd)
                answer = self.swtpm.recv(4096)
                if not answer:
                    return
                self.qemu.sendall(answer)


class Qmp:
    """QEMU's control connection. Calls `on_event` for each event, in the reader's thread."""

    def __init__(self, connection, on_event):
        self.connection = connection
        self.stream = connection.makefile("r", encoding="utf-8")
        self.on_event = on_event
        self.changed = threading.Condition()
        self.answers = {}
        self.numbers = itertools.count(1)
        self.closed = False
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.command("qmp_capabilities")

    def read(self):
        try:
            for line in self.stream:
                message = json.loads(line)
                if "event" in message:
                    self.on_event(message)
                elif "id" in message:
                    with self.changed:
                        self.answers[message["id"]] = message
                        self.changed.notify_all()
        except (OSError, ValueError):
            pass
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def close(self):
        self.reader.join(5)
        self.stream.close()
        self.connection.close()

    def command(self, name, timeout=30, **arguments):
        number = next(self.numbers)
        request = {"execute": name, "id": number}
        if arguments:
            request["arguments"] = {key.replace("_", "-"): value for key, value in arguments.items()}
        try:
            self.connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise MachineError(f"QMP {name}: QEMU has ended") from None
        with self.changed:
            self.changed.wait_for(lambda: number in self.answers or self.closed, timeout * TIMEOUT_SCALE)
            answer = self.answers.pop(number, None)
        if answer is None:
            raise MachineError(f"QMP {name}: QEMU did not answer")
        if "error" in answer:
            raise MachineError(f"QMP {name}: {answer['error']['desc']}")
        return answer["return"]


class Machine:
    """A machine and the folder with its state (TPM, firmware variables, disks) and logs.

    A new Machine over the same folder is the same machine, switched on again. `more_disks` are {lun: path}, attached from
    the start beside the data disk. `forward` are ports of the guest that are forwarded from 127.0.0.1. `nic`: True, False for
    no card, a tap device's name, or None for a card that nothing is forwarded to.
    """

    def __init__(self, folder, *, kernel=None, initrd=None, cmdline="console=ttyS0 quiet panic=-1", boot_disk=None,
                 tpm=None, nic=True, disk=None, attach_after=None, lun=DATA_LUN, more_disks=None, memory_mib=1024, cpus=1,
                 asset_tag=AZURE_ASSET_TAG, api_port=API_PORT, ovmf_code="/usr/share/OVMF/OVMF_CODE_4M.fd",
                 ovmf_vars="/usr/share/OVMF/OVMF_VARS_4M.fd", on_line=None, extra=(), write_log=None,
                 forward=(), save_to=None, saved=None, doorstep=None):
        self.folder = os.path.abspath(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.tier = 1 if kernel else 2
        self.kernel, self.initrd, self.cmdline, self.boot_disk = kernel, initrd, cmdline, boot_disk
        self.tpm, self.nic, self.lun, self.memory_mib, self.asset_tag = tpm, nic, lun, memory_mib, asset_tag
        self.disk, self.attach_after, self.more_disks, self.cpus = disk, attach_after, dict(more_disks or {}), cpus
        self.api_port, self.ovmf_code, self.ovmf_vars, self.extra = api_port, ovmf_code, ovmf_vars, list(extra)
        self.on_line, self.forward = on_line, tuple(forward)
        self.write_log = write_log              # file that records every write to the data disk (tests/boot/writelog.py)
        self.save_to = save_to                  # where save() will write
        self.saved = saved                      # what save() wrote: the machine goes on there, its data disk attached first
        self.doorstep = doorstep                # qemu/doorstep.py. True: to be saved there; bytes: goes on with this archive
        self.migration = None                   # how far that is
        self.changed = threading.Condition()
        self.lines, self.events, self.moments = [], [], []
        self.panic = self.shutdown_reason = None
        self.ended = False
        self.attached = None                    # host time of device_add
        self.trouble = None                     # an error outside the guest
        self.deleted = set()
        self.qemu = self.swtpm = self.qmp = self.door = None
        self.started = None
        self.attachments = itertools.count(1)
        self.attachment = None

    # Life

    def start(self):
        """A machine that goes on from a saved one and prints nothing begins again, once, and says so: that was seen of one in
        some three hundred, while all drivers of devices were in the saved one; why is not known."""
        self.start_qemu()
        if self.saved and self.doorstep is not None and not self.wakes():
            print(f"{self.folder}: the saved machine {self.saved} did not wake, another one goes on from it", flush=True)
            self.close()
            self.ended, self.migration = False, None
            self.start_qemu()
        return self

    def wakes(self):
        """Whether it prints a line."""
        with self.changed:
            return self.changed.wait_for(lambda: self.lines or self.ended, WAKE_S * TIMEOUT_SCALE)

    def start_qemu(self):
        kvm = hardware_virtualisation()
        ours, theirs = socket.socketpair()
        command = ["qemu-system-x86_64", "-M", "q35,memory-backend=memory", "-object", self.memory_backend(),
                   "-accel", "kvm" if kvm else "tcg", "-cpu", "host" if kvm else "EPYC",
                   "-smp", str(self.cpus), "-m", str(self.memory_mib), "-nodefaults", "-no-user-config", "-no-reboot",
                   "-display", "none", "-serial", "stdio",
                   "-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon", "chardev=qmp,mode=control",
                   "-device", "virtio-rng-pci", "-device", "virtio-scsi-pci,id=scsi0",
                   "-smbios", "type=1,manufacturer=Microsoft Corporation,product=Virtual Machine"]
        if self.asset_tag:
            command += ["-smbios", f"type=3,manufacturer=Microsoft Corporation,asset={self.asset_tag}"]
        descriptors = [theirs.fileno()]
        if self.doorstep is not None:
            self.door, door = socket.socketpair()
            descriptors.append(door.fileno())
            command += ["-chardev", f"socket,id=door,fd={door.fileno()}", "-device", "virtio-serial-pci",
                        "-device", "virtserialport,chardev=door,name=gantry-doorstep"]
        if isinstance(self.nic, str):           # a tap device (qemu/dhcp.py)
            command += ["-netdev", f"tap,id=n0,ifname={self.nic},script=no,downscript=no"]
        elif self.nic is not False:
            forward = ((self.api_port, API_PORT), *zip(self.forward, self.forward)) if self.nic else ()
            command += ["-netdev", "user,id=n0,ipv6=off,net=10.0.0.0/24,host=10.0.0.1,dhcpstart=10.0.0.4,dns=10.0.0.3" +
                        "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for here, there in forward)]
        if self.nic is not False:
            command += ["-device", "virtio-net-pci,netdev=n0,mac=00:0d:3a:11:22:33,romfile="]
        tpm_end = None
        if self.tpm:
            tpm_end = self.start_tpm()
            if self.doorstep is True:
                tpm_end = WithoutState(tpm_end).theirs
            descriptors.append(tpm_end.fileno())
            command += ["-chardev", f"socket,id=tpm,fd={tpm_end.fileno()}", "-tpmdev", "emulator,id=tpm0,chardev=tpm",
                        "-device", "tpm-crb,tpmdev=tpm0"]
        command += self.boot_arguments() + self.extra
        if self.saved:
            command += ["-incoming", "defer"]
        if self.disk and self.attach_after is None and not self.saved:
            node = self.block_node("data0", self.disk, self.write_log)
            command += self.disk_arguments(node, "disk0", self.lun, DATA_SERIAL)
            self.attachment = "disk0"
        for lun, path in {} if self.saved else self.more_disks.items():
            node = self.block_node(f"more{lun}", path)
            command += self.disk_arguments(node, f"lun{lun}", lun, f"GANTRY-MORE-{lun}")
        self.log = open(os.path.join(self.folder, "console.log"), "wb")
        with open(os.path.join(self.folder, "qemu.log"), "wb") as errors:
            self.started = time.monotonic()
            self.qemu = start_bound(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                                    pass_fds=descriptors)
        theirs.close()
        if tpm_end:
            tpm_end.close()
        if self.doorstep is not None:
            door.close()
        self.reader = threading.Thread(target=self.read_console, daemon=True)
        self.reader.start()
        try:
            self.qmp = Qmp(ours, self.on_qmp)
        except MachineError:
            self.close()
            with open(os.path.join(self.folder, "qemu.log"), encoding="utf-8", errors="replace") as errors:
                raise MachineError(f"QEMU did not start: {errors.read().strip()}") from None
        if self.saved:
            self.resume()
        if self.disk and self.attach_after is not None:
            threading.Thread(target=self.attach_late, daemon=True).start()

    def memory_backend(self):
        """The memory of a machine to be saved is a file. Those that go on map it, each with changes of its own: nothing is read
        but what they use."""
        size = f"id=memory,size={self.memory_mib}M"
        if not self.saved and not self.save_to:
            return f"memory-backend-ram,{size}"
        share, path = ("off", self.saved) if self.saved else ("on", self.save_to)
        return f"memory-backend-file,{size},share={share},mem-path={os.path.abspath(path)}{MEMORY}"

    def start_tpm(self):
        """Starts swtpm on the folder's TPM state, which is copied from the template `tpm` on first use."""
        state = os.path.join(self.folder, "tpm")
        if not os.path.exists(state):
            shutil.copytree(self.tpm, state)
        ours, theirs = socket.socketpair()
        with open(os.path.join(self.folder, "swtpm.log"), "wb") as log:
            self.swtpm = start_bound(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}",
                                      "--ctrl", f"type=unixio,clientfd={theirs.fileno()}",
                                      "--flags", "not-need-init,startup-clear", "--terminate"],
                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[theirs.fileno()])
        theirs.close()
        return ours

    def boot_arguments(self):
        if self.tier == 1:
            return self.kernel_arguments() + self.boot_disk_arguments()
        variables = os.path.join(self.folder, "vars.fd")
        if not os.path.exists(variables):
            shutil.copyfile(self.ovmf_vars, variables)
        return ["-drive", f"if=pflash,unit=0,readonly=on,format=raw,file={self.ovmf_code}",
                "-drive", f"if=pflash,unit=1,format=raw,file={variables}", *self.boot_disk_arguments()]

    def boot_disk_arguments(self):
        """In tier 1 nothing boots from it, but what is on it is there. A machine that goes on has it attached."""
        if not self.boot_disk or self.saved:
            return []
        return ["-drive", f"if=none,id=esp,format=raw,readonly=on,file={self.boot_disk}",
                "-device", "scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,lun=0,drive=esp,bootindex=1"]

    def kernel_arguments(self):
        with open(self.kernel, "rb") as file:
            if file.read(4) != b"\x7fELF":
                return ["-kernel", self.kernel, "-initrd", self.initrd, "-append", self.cmdline]
        # With a TPM, QEMU would place the initrd of a PVH kernel over the ACPI tables, which are below the TPM's event log.
        # So it is loaded elsewhere, into memory that memmap= reserves; the kernel copies it from there.
        size, end = os.path.getsize(self.initrd), self.memory_mib - ABOVE_INITRD_MIB
        mib = (size >> 20) + 1
        place = f"{end - mib << 20:#x}"
        return ["-kernel", self.kernel,
                "-append", f"{self.cmdline} memmap={mib}M${place} initrdmem={place},{size}",
                "-device", f"loader,file={self.initrd},addr={place},force-raw=on"]

    def read_console(self):
        for raw in self.qemu.stdout:
            self.log.write(raw)
            self.log.flush()
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            event = parse_event(line)
            with self.changed:
                self.lines.append(line)
                if event:
                    self.events.append(event)
                    self.moments.append(time.monotonic())
                elif found := PANIC.search(line):
                    self.panic = found[1]
                self.changed.notify_all()
            if self.on_line:
                self.on_line(line, event)
        self.qemu.wait()
        self.log.close()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def on_qmp(self, message):
        with self.changed:
            if message["event"] == "SHUTDOWN":
                self.shutdown_reason = message["data"]["reason"]
            elif message["event"] == "DEVICE_DELETED":
                self.deleted.add(message["data"].get("device"))
            elif message["event"] == "MIGRATION":
                self.migration = message["data"]["status"]
            self.changed.notify_all()

    def save(self):
        """Stops the machine for good and writes its state, with that of its TPM, to the file `save_to`; its memory is in the one
        beside it."""
        self.qmp.command("stop")
        self.migrate("migrate", self.save_to)

    def resume(self):
        self.migrate("migrate-incoming", self.saved)
        self.qmp.command("cont")
        if self.boot_disk:
            self.add_disk({"node-name": "esp", "driver": "raw", "read-only": True, "file": {
                "driver": "file", "filename": os.path.abspath(self.boot_disk)}}, "lun0", 0, BOOT_SERIAL)
        if self.disk and self.attach_after is None:
            self.attach_disk()
        for lun, path in self.more_disks.items():
            self.add_disk(self.block_node(f"more{lun}", path), f"lun{lun}", lun, f"GANTRY-MORE-{lun}")
        if self.doorstep is not None:
            disks = len(self.more_disks) + bool(self.boot_disk) + (self.disk is not None and self.attach_after is None)
            with self.door:
                self.door.sendall(delivery(self.doorstep, disks))

    def migrate(self, command, path):
        self.qmp.command("migrate-set-capabilities", capabilities=[{"capability": name, "state": True}
                                                                   for name in ("events", "x-ignore-shared")])
        self.qmp.command(command, uri=f"file:{os.path.abspath(path)}")
        self.wait(lambda: self.migration in ("completed", "failed") or None, 60, "the machine's state")
        if self.migration == "failed":
            raise MachineError(f"{command}: the machine's state could not be written or read: {path}")

    def kill(self):
        """Kills QEMU: a power cut, without notice to the guest."""
        if self.qemu and self.qemu.poll() is None:
            self.qemu.kill()
        self.close()

    def close(self):
        for process in (self.qemu, self.swtpm):
            if process and process.poll() is None and process is self.qemu:
                process.kill()
        if self.qemu:
            self.qemu.wait()
            self.reader.join()
            self.qemu.stdout.close()
        if self.swtpm:
            try:
                self.swtpm.wait(5)              # ends by itself after QEMU, when its state is written
            except subprocess.TimeoutExpired:
                self.swtpm.kill()
                self.swtpm.wait()
        if self.qmp:
            self.qmp.close()
        if self.door:
            self.door.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    # Acts

    def block_node(self, name, path, write_log=None):
        disk = {"driver": "raw", "cache": {"no-flush": True},
                "file": {"driver": "file", "filename": os.path.abspath(path), "cache": {"no-flush": True}}}
        if not write_log:
            disk["discard"] = disk["file"]["discard"] = "unmap"
            return {"node-name": name, **disk}
        with open(write_log, "wb"):
            pass
        return {"node-name": name, "driver": "blklogwrites", "log-sector-size": 512, "log-super-update-interval": 1,
                "file": disk, "log": {"driver": "file", "filename": os.path.abspath(write_log), "cache": {"no-flush": True}}}

    def disk_arguments(self, block_node, device, lun, serial):
        return ["-blockdev", json.dumps(block_node), "-device",
                f"scsi-hd,id={device},bus=scsi0.0,channel=0,scsi-id=0,lun={lun},drive={block_node['node-name']},serial={serial}"]

    def attach_late(self):
        with self.changed:
            self.changed.wait_for(lambda: self.events or self.ended)
            self.changed.wait_for(lambda: self.ended, self.attach_after)
            if self.ended:
                return
        try:
            self.attach_disk()
        except MachineError as error:
            with self.changed:
                self.trouble = f"cannot attach the disk: {error}"
                self.changed.notify_all()

    def attach_disk(self):
        number = next(self.attachments)
        node, device = f"data{number}", f"disk{number}"
        self.add_disk(self.block_node(node, self.disk, self.write_log), device, self.lun, DATA_SERIAL)
        self.attachment = device

    def add_disk(self, block_node, device, lun, serial):
        self.qmp.command("blockdev-add", **block_node)
        self.attached = time.monotonic()
        self.qmp.command("device_add", driver="scsi-hd", id=device, bus="scsi0.0", channel=0, scsi_id=0, lun=lun,
                         drive=block_node["node-name"], serial=serial)

    def remove_disk(self, timeout=30):
        device = self.attachment
        self.qmp.command("device_del", id=device)
        self.wait(lambda: device in self.deleted or None, timeout, f"removal of {device}")
        self.qmp.command("blockdev-del", node_name="data" + device[len("disk"):])

    def power_button(self):
        self.qmp.command("system_powerdown")

    def reset(self):
        self.qmp.command("system_reset")

    # Waiting

    def wait(self, condition, timeout, what):
        """Returns the value of CONDITION() once it is not None; fails when the machine ends or the time is over."""
        result = []

        def satisfied():
            value = condition()
            if value is not None:
                result.append(value)
            return bool(result) or self.ended or self.trouble

        with self.changed:
            self.changed.wait_for(satisfied, timeout * TIMEOUT_SCALE)
        if result:
            return result[-1]
        why = "the machine ended first" if self.ended else f"not within {timeout * TIMEOUT_SCALE:.0f} s"
        if self.panic or self.trouble:
            why = f"kernel panic: {self.panic}" if self.panic else self.trouble
        tail = "\n  ".join(self.lines[-25:])
        raise MachineError(f"waited for {what}: {why}; console {self.folder}/console.log ends with\n  {tail}")

    def find(self, source=None, state=None, text=None, level=None, since=0, kind=None):
        """(index, Event) of the first matching event from index SINCE on, or None. TEXT is a regular expression."""
        kind = "state" if state else kind
        for index in range(since, len(self.events)):
            event = self.events[index]
            if source and event.source != source or kind and event.kind != kind or level and event.level != level:
                continue
            if state and not re.fullmatch(state, event.text):
                continue
            if text and not re.search(text, event.fields.get("text", "") if state else event.line.split(": ", 1)[-1]):
                continue
            return index, event
        return None

    def wait_for(self, source=None, state=None, text=None, level=None, timeout=30, since=0, despite_held=False, kind=None):
        """The first matching event, including earlier ones. A held boot fails the wait at once."""
        what = " ".join(str(part) for part in (source, state, text and f"/{text}/", level) if part)
        expects_held = despite_held or state and re.fullmatch(state, "held")

        def condition():
            if found := self.find(source, state, text, level, since, kind):
                return found[1]
            if not expects_held and (held := self.find("gantry", "held")):
                raise MachineError(f"waited for {what}: boot is held: {held[1].fields.get('text')}; "
                                   f"console {self.folder}/console.log")
            return None

        return self.wait(condition, timeout, what)

    def wait_line(self, pattern, timeout=30):
        """The first console line that matches, from any source."""
        return self.wait(lambda: next((found for line in self.lines if (found := re.search(pattern, line))), None),
                         timeout, f"line /{pattern}/")

    def wait_end(self, timeout=60):
        """Waits until the machine is off; returns the reason: guest-shutdown, guest-reset, guest-panic, ... or crashed."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.ended, timeout * TIMEOUT_SCALE):
                tail = "\n  ".join(self.lines[-15:])
                raise MachineError(f"the machine is still on after {timeout * TIMEOUT_SCALE:.0f} s; console ends with\n  {tail}")
        self.close()
        return self.shutdown_reason or "crashed"

    def moment_of(self, event):
        """Host time (monotonic) at which EVENT arrived."""
        return self.moments[self.events.index(event)]
