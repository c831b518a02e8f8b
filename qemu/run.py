#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`make run`: boots the image in a machine on the emulated platform, and shows the boot as it happens.

  IMAGE=DIR         the image of that folder (docs/images.md) instead of the test image
  EXIT=1            power off after the boot; the exit status is the result of the boot (see below)
  AGAIN=1           the machine of the last run: same image, disk and TPM; the key is unsealed, the snapshot kept
  TIER=1|2          1: start the kernel directly; 2 (default): start it through firmware, measured
  DISK_AFTER=8      seconds from PID 1's start until the data disk is attached; 0: from the start; never: not at all
  DISK=blank        content of a new disk: blank (default), foreign, damaged (also with AGAIN=1); or removed: blank, and
                    removed once it is in use
  FAULTS="hub=status:403:3 s3=drop_after:4M:2"      faults of the peers; `FAULTS=help` lists them
  SNAPSHOT=64M      size of the emulated reth snapshot
  PORT=3535         port of the System API on this machine
  TIMEOUT=300       seconds after which the boot counts as failed

Exit status: 0 the boot succeeded; 2 held; 3 kernel panic; 4 time-out; 5 the machine ended by itself; 1 anything else.
make prints that status and itself ends with 2 for every one that is not 0.
"""

import contextlib
import os
import shutil
import signal
import socket
import sys
import threading

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPOSITORY)
from qemu import image, machine, view
from qemu.peers import faults
from qemu.peers.platform import ADDRESSES, Platform, configure_network

DISK_BYTES = 1 << 30
DISKS = ("blank", "foreign", "damaged", "removed")
SUCCESS, ERROR, HELD, PANIC, TIMEOUT, ENDED = range(6)


class Stop(Exception):
    pass


def switch(name, default, convert, takes):
    """The value of one switch, from the environment (make passes its variables on)."""
    text = os.environ.get(name, "") or default
    try:
        return convert(text)
    except (ValueError, KeyError):
        raise ValueError(f"{name}={text}: {name} must be {takes}") from None


def seconds(text):
    value = float(text)
    if not 0 <= value < 1e6:
        raise ValueError
    return value


def port_number(text):
    if not 0 <= int(text) < 1 << 16:
        raise ValueError
    return int(text)


def peer_faults(text):
    """The words PEER=FAULT of TEXT as {peer: [fault]}."""
    chosen = {}
    for word in text.split():
        peer, equals, fault = word.partition("=")
        if not equals or peer not in ADDRESSES:
            raise faults.FaultError(f"{word!r} is not PEER=FAULT; peers: {', '.join(ADDRESSES)}; FAULTS=help lists faults")
        faults.Fault.parse(fault)
        chosen.setdefault(peer, []).append(fault)
    return chosen


def options():
    try:
        wrong = peer_faults(os.environ.get("FAULTS", ""))
    except faults.FaultError as error:
        raise ValueError(f"FAULTS: {error}") from None
    flag = {"0": False, "1": True}.__getitem__
    return {
        "exit": switch("EXIT", "0", flag, "0 or 1"), "again": switch("AGAIN", "0", flag, "0 or 1"),
        "tier": switch("TIER", "2", {"1": 1, "2": 2}.__getitem__, "1 or 2"),
        "port": switch("PORT", "3535", port_number, "a port number"),
        "disk_after": switch("DISK_AFTER", "8", lambda text: None if text == "never" else seconds(text),
                             "a number of seconds, or `never`"),
        "disk": switch("DISK", "blank", {name: name for name in DISKS}.__getitem__, f"one of {', '.join(DISKS)}"),
        "timeout": switch("TIMEOUT", "300", seconds, "a number of seconds"),
        "snapshot": switch("SNAPSHOT", "64M", faults.parse_size, "a size, like 64M"), "faults": wrong,
    }


def outer_port(port):
    """A listening socket in the host's network; it stays there when this process enters its own namespace."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    return listener


def relay(listener):
    """Relays connections from the host to the guest's System API, which is reachable only inside the namespace."""

    def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve(outside):
        with outside:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", machine.API_PORT)) as inside:
                back = threading.Thread(target=pump, args=(inside, outside), daemon=True)
                back.start()
                pump(outside, inside)
                back.join()

    while True:
        try:
            outside, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(outside,), daemon=True).start()


def prepare(chosen, out):
    """The run's folder: that of the last run, or a new one with a new disk and the image that lies in OUT.

    AGAIN=1 keeps the image of the last run: another image has other measurements and could not unseal the disk's key.
    """
    folder = os.environ.get("GANTRY_RUN", os.path.join(image.BUILD, "run"))
    disk_path = os.path.join(folder, "disk.raw")
    if chosen["again"]:
        if not os.path.exists(disk_path):
            raise ValueError(f"AGAIN=1: no earlier run in {os.path.relpath(folder, REPOSITORY)}: run `make run` first")
    else:
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        make = machine.foreign_disk if chosen["disk"] == "foreign" else machine.blank_disk
        make(disk_path, DISK_BYTES)
        for name in ("gantry.raw", "vmlinuz", "initramfs.cpio", "cmdline"):
            os.link(os.path.join(out, name), os.path.join(folder, name))
    if chosen["disk"] == "damaged":
        machine.damage_luks(disk_path)
    return folder, disk_path


def new_machine(chosen, out, on_line):
    folder, disk_path = prepare(chosen, out)
    after = chosen["disk_after"]
    boot = {"boot_disk": os.path.join(folder, "gantry.raw")} if chosen["tier"] == 2 else {
        "kernel": os.path.join(folder, "vmlinuz"), "initrd": os.path.join(folder, "initramfs.cpio"),
        "cmdline": image.read_file(os.path.join(folder, "cmdline")).decode()}
    return machine.Machine(folder, tpm=machine.tpm_template(image.BUILD), disk=None if after is None else disk_path,
                           attach_after=after or None, on_line=on_line, **boot)


class Run:
    def __init__(self, chosen):
        self.chosen = chosen
        self.out = image.ensure(image.chosen_folder())
        config = image.read_config(os.path.join(image.chosen_folder(), "boot.json"))
        names = [node["name"] for node in config["stages"] if node.get("when") != "held"]
        names += [node["name"] for node in config["services"] if node.get("enabled", True)]
        self.view = view.View(names)
        self.changed = threading.Condition()
        self.machine = None

    def on_line(self, _, event):
        with self.changed:
            if event:
                self.view.take(event)
            self.changed.notify_all()
        if self.chosen["disk"] == "removed" and event and (event.source, event.text) == ("disk", "done"):
            threading.Thread(target=self.remove_disk, daemon=True).start()

    def remove_disk(self):
        try:
            self.machine.remove_disk()
            self.say("the disk was removed")
        except machine.MachineError as error:
            self.say(f"cannot remove the disk: {error}")

    def say(self, text):
        with self.changed:
            self.view.erase()
            print(text, flush=True)

    def verdict(self):
        """The result of the boot, (exit status, sentence), or None while it continues."""
        guest = self.machine
        if guest.find("gantry", "booted"):
            return SUCCESS, "booted"
        if held := guest.find("gantry", "held"):
            return HELD, f"held: {held[1].fields.get('text', 'no reason given')}"
        if guest.panic:
            return PANIC, f"kernel panic: {guest.panic}"
        if guest.ended:
            return ENDED, f"the machine ended by itself ({guest.shutdown_reason or 'QEMU crashed'})"
        return None

    def watch(self, until, timeout=None):
        """Shows the boot until UNTIL() returns a value, or the time is over (None)."""
        limit = None if timeout is None else machine.time.monotonic() + timeout * machine.TIMEOUT_SCALE
        with self.changed:
            while (result := until()) is None:
                left = None if limit is None else limit - machine.time.monotonic()
                if left is not None and left <= 0:
                    return None
                self.view.draw()
                tick = 0.2 if self.view.terminal else 1.0
                self.changed.wait(tick if left is None else min(tick, left))
            self.view.draw()
            return result

    def boot(self, address):
        status, why = self.watch(self.verdict, self.chosen["timeout"]) or (
            TIMEOUT, f"time-out: neither booted nor held after {self.chosen['timeout']:.0f} s")
        if status == HELD:      # the next events report the reaction
            self.watch(lambda: True if self.machine.ended or self.machine.find("azure-held", "done|failed") else None, 10)
        self.view.draw()
        self.view.drawn, self.view.live = 0, False      # the last picture stays
        self.say("\n" + self.view.chart())
        log = os.path.relpath(os.path.join(self.machine.folder, "console.log"), REPOSITORY)
        self.say(f"\n{why}\nconsole: {log}")
        if self.chosen["exit"] or status in (PANIC, ENDED, TIMEOUT):
            return self.power_off(status)
        self.say(f"System API: {address}   (curl -k {address}/api/v1/events?format=text)\nCtrl-C stops everything.")
        self.watch(lambda: True if self.machine.ended else None)
        self.say(f"the machine is off ({self.machine.shutdown_reason or 'QEMU crashed'})")
        return status

    def power_off(self, status):
        if self.machine.ended:
            return status
        for _ in range(12):         # a press before PID 1 reads the button is lost
            with contextlib.suppress(machine.MachineError):
                self.machine.power_button()
            if self.watch(lambda: True if self.machine.ended else None, 5):
                break
        if self.machine.shutdown_reason == "guest-shutdown":
            self.say("powered off by its power button")
            return status
        self.say("the power button had no effect within 60 s")
        return status or TIMEOUT

    def go(self):
        listener = outer_port(self.chosen["port"])
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"
        machine.enter_private_network()
        configure_network()
        threading.Thread(target=relay, args=(listener,), daemon=True).start()
        with Platform(faults=self.chosen["faults"], snapshot_bytes=self.chosen["snapshot"]):
            self.machine = new_machine(self.chosen, self.out, self.on_line)
            with self.machine:
                try:
                    return self.boot(address)
                except Stop:
                    verdict = self.verdict()
                    self.say("\nstopped")
                    return SUCCESS if verdict and verdict[0] == SUCCESS else 130


def main():
    if os.environ.get("FAULTS") == "help":
        print(faults.__doc__)
        return SUCCESS
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        return Run(options()).go()
    except (machine.MachineError, *image.REFUSALS) as error:
        print(f"run: {error}", file=sys.stderr)
        return ERROR
    except Stop:
        return 130


def stop(*_):
    raise Stop


if __name__ == "__main__":
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(__doc__)
        sys.exit(0)
    sys.exit(main())
