# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine saved at init's doorstep: the kernel has started, has unpacked the standard image and loaded its modules, and
qemu/guest/doorstep.c waits for what a machine has of its own: the rest of its initramfs, its time, random numbers. A machine
that goes on from there has its own disks, attached while it waits, and its own TPM, and saves the seconds of an emulated
kernel's start, which are the same each time.

One machine is saved for each shape (memory, processors, devices, command line) and image, by the first that asks for it."""

import fcntl
import hashlib
import os
import shutil
import tempfile

from qemu import machine

# Built-in parts of the kernel that would hold on to the saved machine's TPM (IMA), or only test themselves (jitterentropy).
CMDLINE = "initcall_blacklist=init_ima,jent_mod_init rdinit=/bin/doorstep"
WAITING = r"doorstep: waiting"
START_S = 120


def digest_of(*paths):
    """Of the versions of these files, not of all that is in them: that would take a tenth of a second of each boot."""
    versions = [(path, state.st_size, state.st_mtime_ns) for path in paths for state in [os.stat(path)]]
    return hashlib.sha256(repr(versions).encode()).hexdigest()[:16]


def saved(folder, *, initrd, **shape):
    """The path of the saved machine for a shape: the arguments of a machine without disks, whose initramfs begins with INITRD.
    It lies in FOLDER, where those of other images are removed."""
    image = digest_of(initrd, shape["kernel"], __file__, machine.__file__)
    words = repr(sorted({**shape, "tpm": bool(shape["tpm"])}.items()))
    path = os.path.join(folder, image, hashlib.sha256(words.encode()).hexdigest()[:16])
    if os.path.exists(path):
        return path
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for other in set(os.listdir(folder)) - {"lock", image}:
            shutil.rmtree(os.path.join(folder, other), ignore_errors=True)
        os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".lock", "w", encoding="ascii") as lock:       # who wants another shape does not wait for this one
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as state:
                shape["cmdline"] += " " + CMDLINE
                new = os.path.join(state, "saved")
                with machine.Machine(state, initrd=initrd, doorstep=True, save_to=new, **shape) as guest:
                    guest.wait_line(WAITING, START_S)
                    guest.save()
                for suffix in machine.MEMORY, "":
                    os.rename(new + suffix, path + suffix)
    return path
