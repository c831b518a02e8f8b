# SPDX-License-Identifier: GPL-2.0-or-later
"""What is pinned and how it is fetched: deps.lock, the host's Debian mirror, and downloads that are verified before they get
their name."""

import hashlib
import os
import re
import subprocess

from namespaces import CACHE, TOP, Refused, need_program, say

SUITE = "trixie"

# Packages whose output can end up in the image's bytes: a different version is said, and with PINNED=1 refused.
EXACT = re.compile(r"^(gcc|g\+\+|cpp|libgcc|binutils|libbinutils|linux-headers|linux-kbuild|linux-libc-dev|libc6-dev|"
                   r"systemd-ukify|systemd-boot-efi|python3-pefile|mtools|dosfstools|fdisk|libfdisk1|cpio|zstd|"
                   r"libzstd1|xz-utils|liblzma5|kmod|libkmod2|cmake|make|autoconf|automake|libtool|bison|flex|gperf)"
                   r"([-.0-9].*)?$")

# Source packages and the suite each comes from: only sid's cryptsetup has the mbedTLS backend.
SOURCES = {name: SUITE for name in (
    "musl mbedtls curl json-c expat util-linux lvm2 tpm2-tss libmicrohttpd libseccomp libcap2 "
    "chrony dhcpcd e2fsprogs dropbear").split()}
SOURCES["cryptsetup"] = "sid"
KERNEL_PACKAGE = "linux-image-cloud-amd64"


class Lock:
    """deps.lock: `root NAME VERSION`; `source`, `kernel`, `headers` (the kernel's): NAME VERSION SHA256 SIZE PATH."""

    def __init__(self, path=os.path.join(TOP, "deps.lock")):
        self.root, self.sources, self.kernel, self.headers, self.date, self.notes = {}, [], None, [], "", []
        if not os.path.exists(path):
            return
        with open(path, encoding="ascii") as lines:
            for number, line in enumerate(lines, 1):
                field = line.split()
                if note := re.match(r"# (\S+ \S+: built without .*)", line):
                    self.notes.append(note[1])
                if not field or field[0].startswith("#"):
                    continue
                if field[0] == "date" and len(field) == 2:
                    self.date = field[1]
                elif field[0] == "root" and len(field) == 3:
                    self.root[field[1]] = field[2]
                elif field[0] in ("source", "kernel", "headers") and len(field) == 6 and re.fullmatch("[0-9a-f]{64}", field[3]):
                    if field[0] == "source":
                        self.sources.append(field[1:])
                    elif field[0] == "headers":
                        self.headers.append(field[1:])
                    else:
                        self.kernel = field[1:]
                else:
                    raise Refused(f"deps.lock:{number}: not understood: {line.strip()}")

    def write(self, path=os.path.join(TOP, "deps.lock")):
        with open(path + ".new", "w", encoding="ascii") as out:
            out.write("# What Gantry is built from and with, pinned. Written by `make update-deps`; see docs/building.md.\n"
                      "# source, kernel, headers: package, version, sha256, size, path below the mirror. root: package, "
                      "version.\n")
            out.write(f"date {self.date}\n")
            for note in self.notes:
                out.write(f"# {note}\n")
            for fields in sorted(self.sources, key=lambda f: (f[0], f[4])):
                out.write("source " + " ".join(fields) + "\n")
            out.write("kernel " + " ".join(self.kernel) + "\n")
            for fields in self.headers:
                out.write("headers " + " ".join(fields) + "\n")
            for name in sorted(self.root):
                out.write(f"root {name} {self.root[name]}\n")
        os.rename(path + ".new", path)


def mirror():
    """The host's own Debian mirror, or MIRROR."""
    if os.environ.get("MIRROR"):
        return os.environ["MIRROR"].rstrip("/")
    need_program("apt-get", "apt")
    listing = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)",
                              "Created-By: Packages"], capture_output=True, text=True)
    for attempt in range(2):
        for line in listing.stdout.splitlines():
            uri, _, origin = line.partition(" ")
            if origin == "Debian Debian":
                return uri.rstrip("/")
        if attempt == 0 and os.geteuid() == 0:     # a fresh machine: apt has no lists yet
            subprocess.run(["apt-get", "-qq", "update"])
            listing = subprocess.run(listing.args, capture_output=True, text=True)
    raise Refused("no Debian mirror in this host's apt configuration: run `sudo apt-get update` first, or give one "
                  "with MIRROR=URL.")


def keyring():
    for path in ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"):
        if os.path.exists(path):
            return path
    need_program("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring")
    return "/usr/share/keyrings/debian-archive-keyring.gpg"


def proxy_options():
    """The host's proxy settings, for the apt that mmdebstrap starts with a configuration of its own."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True).stdout
    return [line for line in dump.splitlines() if re.match(r"Acquire::https?::(Proxy|CaInfo|Verify-)", line, re.I)]


def sha256(path):
    value = hashlib.sha256()
    with open(path, "rb") as data:
        for block in iter(lambda: data.read(1 << 20), b""):
            value.update(block)
    return value.hexdigest()


def fetch(wanted, what):
    """Fetches (name, version, sha256, size, path) entries into sources/; nothing unverified is kept there."""
    folder = os.path.join(CACHE, "sources")
    os.makedirs(folder, exist_ok=True)
    missing = [w for w in wanted if not os.path.exists(os.path.join(folder, os.path.basename(w[4])))]
    if not missing:
        return
    base, helper = mirror(), "/usr/lib/apt/apt-helper"
    for number, (name, version, want, size, path) in enumerate(missing, 1):
        say(f"  [{number}/{len(missing)}] fetching {what} {os.path.basename(path)} ({int(size) / 1e6:.1f} MB)")
        target = os.path.join(folder, os.path.basename(path))
        for _ in range(3):
            done = subprocess.run([helper, "-qq", "-o", "APT::Sandbox::User=root", "download-file",
                                   f"{base}/{path}".replace("~", "%7e"), target + ".part", "SHA256:" + want],
                                  capture_output=True, text=True)
            if done.returncode == 0 and os.path.exists(target + ".part"):
                break
        else:
            raise Refused(f"the mirror does not give {os.path.basename(path)}, which deps.lock pins for {name} {version} "
                          f"({(done.stderr.strip().splitlines() or ['no reason given'])[-1]}): run `make update-deps` to move "
                          f"the pins, or give an archive that still has it with MIRROR=URL.")
        if sha256(target + ".part") != want:
            os.unlink(target + ".part")
            raise Refused(f"{os.path.basename(path)} from the mirror is not what deps.lock pins: its sha256 differs.")
        os.rename(target + ".part", target)
