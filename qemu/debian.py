# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of the build root for the guest: files for image.overlay(), each with the shared libraries it needs.

The test image has no C library and no shell. So this module collects the files that Debian's programs need, at the paths
where the programs look for them: the ELF interpreter, the libraries that ldd lists, and plugins. Plugins are named by hand,
since a program does not declare what it loads at run time. The result is a dict {path: (bytes, mode)}; nothing is written.
"""

import os
import re
import shutil
import subprocess

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
ENV = "/usr/bin/env"                # exec stages cannot set an environment
# Libraries that systemd's programs and libcryptsetup's token plugin load for a TPM.
TPM2_PLUGINS = tuple(f"{LIBRARIES}/{name}" for name in (
    "libtss2-esys.so.0", "libtss2-mu.so.0", "libtss2-rc.so.0", "libtss2-tcti-device.so.0",
    "cryptsetup/libcryptsetup-token-systemd-tpm2.so"))


class DebianError(Exception):
    pass


def find(name):
    path = name if name.startswith("/") else shutil.which(name, path="/usr/sbin:/usr/bin")
    if not path or not os.path.exists(path):
        raise DebianError(f"{name} is not in the build root")
    return path


def needed(path):
    """Paths of the interpreter and of every library that the ELF file PATH needs, as its interpreter finds them."""
    listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    if "statically linked" in listed.stdout or "not a dynamic executable" in listed.stdout + listed.stderr:
        return set()
    if listed.returncode != 0 or "not found" in listed.stdout:
        raise DebianError(f"ldd {path}: {listed.stderr.strip() or listed.stdout.strip()}")
    return set(re.findall(r"(?:^\s*|=> )(/\S+) \(0x", listed.stdout, re.M))


def programs(*names, plugins=()):
    """{path: (bytes, mode)} of programs (names or paths; absolute paths stay as they are) and plugins (paths)."""
    found = {}
    for path in [find(name) for name in (*names, *plugins)]:
        for file in {path, *needed(path)}:
            if file not in found:
                with open(file, "rb") as source:        # through links: libx.so.1 becomes the file itself
                    found[file] = (source.read(), 0o755)
    return found


def command(path, *arguments, **environment):
    """The command of an exec stage: a program of the build root, by name or path, with that environment."""
    return [ENV, *(f"{name}={value}" for name, value in environment.items()), find(path), *arguments]


def cryptsetup(*arguments):
    """Debian's cryptsetup, without udev: the guest has none to make device nodes or to wait for."""
    return command("cryptsetup", *arguments, DM_DISABLE_UDEV="1")
