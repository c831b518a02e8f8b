# SPDX-License-Identifier: GPL-2.0-or-later
"""Variations of the standard image, for tests and benchmarks: another configuration, further files, a signed policy."""

import json
import os
import shutil

from qemu import disk, image, policy


def initramfs(folder, change=None, files=None):
    """The path of the standard image's initramfs with a changed configuration and further files, checked as usual.

    CHANGE gets the configuration and changes it in place; FILES is as for image.overlay(). The result lies in FOLDER.
    """
    standard = os.path.join(image.TEST_OUT, "initramfs.cpio")
    if change is None and not files:
        return standard
    files = dict(files or {})
    if change:
        config = image.read_config(os.path.join(image.TEST_FOLDER, "boot.json"))
        before = list(config["modules"])
        change(config)
        text = json.dumps(config, indent="\t")
        path = os.path.join(folder, "boot.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        image.check_config(os.path.join(image.BUILD, "init"), path)
        files.setdefault("/etc/gantry/boot.json", text.encode())
        if config["modules"] != before:
            files = image.module_files(image.Inputs(image.BUILD), config["modules"]) | files
    path = os.path.join(folder, "initramfs.cpio")
    with open(standard, "rb") as base, open(path, "wb") as out:
        shutil.copyfileobj(base, out)
        out.write(image.overlay(files))
    return path


def make(folder, change=None, files=None, sign=None, version=1):
    """Another image than the standard one: gantry.efi and gantry.raw in FOLDER, with CHANGE and FILES as above.

    SIGN: the path of a private key, which signs its disk policy for VERSION. Nothing is refused here that a test may
    want to see refused by the machine. Returns the path of the disk.
    """
    os.makedirs(folder, exist_ok=True)
    efi, raw = os.path.join(folder, "gantry.efi"), os.path.join(folder, "gantry.raw")
    seen = {}

    def changed(config):
        if change:
            change(config)
        seen.update(config)

    image.write_uki(image.Inputs(image.BUILD), initramfs(folder, changed if change else None, files), efi, image.cmdline(seen))
    if sign:
        policy.sign_image(folder, sign, version)
    else:
        disk.write_disk(raw, efi)
    return raw
