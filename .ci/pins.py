# SPDX-License-Identifier: GPL-2.0-or-later
"""What is pinned and how it is fetched: deps.lock, the host's Debian mirrors (the main archive's and the security suite's), and
downloads that are verified before they get their name."""

import concurrent.futures
import functools
import hashlib
import os
import re
import shutil
import subprocess

from namespaces import CACHE, TOP, Refused, need_program, say

SUITE = "trixie"
SECURITY = SUITE + "-security"

# Source packages and the suite each comes from: only sid's cryptsetup has the mbedTLS backend.
SOURCES = {name: SUITE for name in (
    "musl mbedtls curl json-c expat util-linux lvm2 tpm2-tss libmicrohttpd libseccomp libcap2 "
    "chrony dhcpcd e2fsprogs dropbear").split()}
SOURCES["cryptsetup"] = "sid"
FEW, AT_ONCE = 20, 4            # files that are named one by one; downloads beside one another
KERNEL_PACKAGE = "linux-image-cloud-amd64"


class Lock:
    """
    deps.lock: `root NAME VERSION SUITE`; `source`, `kernel`, `headers` (the kernel's), `tool` (a package of the image root): NAME
    VERSION SHA256 SIZE PATH SUITE. The suite is the one that had this version when it was pinned; the main archive's, if both had
    it.
    """

    def __init__(self, path=os.path.join(TOP, "deps.lock")):
        self.root, self.sources, self.kernel, self.headers, self.date, self.notes = {}, [], None, [], "", []
        self.tools = []
        self.suites = {}        # of the packages in the root
        if not os.path.exists(path):
            return
        with open(path, encoding="ascii") as lines:
            for number, line in enumerate(lines, 1):
                field = line.split()
                if note := re.match(r"# (\S+ \S+: .*)", line):
                    self.notes.append(note[1])
                if not field or field[0].startswith("#"):
                    continue
                if field[0] == "date" and len(field) == 2:
                    self.date = field[1]
                elif field[0] == "root" and len(field) == 4:
                    self.root[field[1]], self.suites[field[1]] = field[2:]
                elif field[0] in ("source", "kernel", "headers", "tool") and len(field) == 7 and \
                        re.fullmatch("[0-9a-f]{64}", field[3]):
                    if field[0] == "kernel":
                        self.kernel = field[1:]
                    else:
                        {"source": self.sources, "headers": self.headers, "tool": self.tools}[field[0]].append(field[1:])
                else:
                    raise Refused(f"deps.lock:{number}: not understood: {line.strip()}")

    def write(self, path=os.path.join(TOP, "deps.lock")):
        with open(path + ".new", "w", encoding="ascii") as out:
            out.write("# What Gantry is built from and with, pinned. Written by `make update-deps`; see docs/building.md.\n"
                      "# source, kernel, headers, tool: package, version, sha256, size, path below the mirror, suite. root: "
                      "package, version, suite.\n")
            out.write(f"date {self.date}\n")
            for note in self.notes:
                out.write(f"# {note}\n")
            for fields in sorted(self.sources, key=lambda f: (f[0], f[4])):
                out.write("source " + " ".join(fields) + "\n")
            out.write("kernel " + " ".join(self.kernel) + "\n")
            for fields in self.headers:
                out.write("headers " + " ".join(fields) + "\n")
            for fields in sorted(self.tools):
                out.write("tool " + " ".join(fields) + "\n")
            for name in sorted(self.root):
                out.write(f"root {name} {self.root[name]} {self.suites[name]}\n")
        os.rename(path + ".new", path)


@functools.cache
def mirror(suite=SUITE):
    """The host's own mirror that has SUITE, or MIRROR, or for the security suite MIRROR_SECURITY."""
    what, label, variable = (("security suite of Debian", "Debian Debian-Security", "MIRROR_SECURITY") if suite == SECURITY else
                             ("Debian mirror", "Debian Debian", "MIRROR"))
    if os.environ.get(variable):
        return os.environ[variable].rstrip("/")
    need_program("apt-get", "apt")
    listing = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)",
                              "Created-By: Packages"], capture_output=True, text=True)
    for attempt in range(2):
        for line in listing.stdout.splitlines():
            uri, _, origin = line.partition(" ")
            if origin == label:
                return uri.rstrip("/")
        if attempt == 0 and os.geteuid() == 0:     # a fresh machine: apt has no lists yet
            subprocess.run(["apt-get", "-qq", "update"])
            listing = subprocess.run(listing.args, capture_output=True, text=True)
    raise Refused(f"no {what} in this host's apt configuration: if it has none, add one; if it has, run `sudo apt-get update`; "
                  f"or give one with {variable}=URL.")


@functools.cache
def keyring():
    if os.environ.get("KEYRING"):
        if not os.path.isfile(os.environ["KEYRING"]):
            raise Refused(f"KEYRING={os.environ['KEYRING']}: no such file.")
        say(f"  the mirrors' lists are checked with KEYRING={os.environ['KEYRING']}")
        return os.path.abspath(os.environ["KEYRING"])
    for path in ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"):
        if os.path.exists(path):
            return path
    need_program("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring")
    return "/usr/share/keyrings/debian-archive-keyring.gpg"


def apt_line(kind, suite):
    """A line for sources.list. A mirror that was given may be an archive, whose lists are no longer valid by their date."""
    given = os.environ.get("MIRROR_SECURITY" if suite == SECURITY else "MIRROR")
    return f"{kind} [signed-by={keyring()}{' check-valid-until=no' if given else ''}] {mirror(suite)} {suite} main"


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


def addresses(suite, path):
    """Where a file may be: a point release takes what the security suite had into the main archive."""
    found = [f"{mirror(suite)}/{path}"]
    if path.startswith("pool/updates/"):
        found.append(f"{mirror()}/{path.replace('pool/updates/', 'pool/', 1)}")
    return [address.replace("~", "%7e") for address in found]


def from_folder(wanted, folder, lock):
    """Takes a file from INPUTS, a folder, where it lies there. One that is not what is pinned is refused."""
    given = os.environ.get("INPUTS")
    if not given:
        return False
    name, version, want, _, path, _ = wanted
    base = os.path.basename(path)
    target = os.path.join(folder, base)
    try:
        shutil.copyfile(os.path.join(given, base), target + ".part")
    except FileNotFoundError:
        if not os.path.isdir(given):
            raise Refused(f"INPUTS={given}: no such folder.") from None
        return False
    if sha256(target + ".part") != want:
        os.unlink(target + ".part")
        raise Refused(f"{base} in INPUTS={given} is not what {lock} pins for {name} {version}: its sha256 differs.")
    os.rename(target + ".part", target)
    return True


def fetch(wanted, what, quiet=False, lock="deps.lock", update="update-deps"):
    """Fetches (name, version, sha256, size, path, suite) entries into sources/; nothing unverified is kept there."""
    folder = os.path.join(CACHE, "sources")
    os.makedirs(folder, exist_ok=True)
    missing = [w for w in wanted if not os.path.exists(os.path.join(folder, os.path.basename(w[4])))]
    missing = [w for w in missing if not from_folder(w, folder, lock)]
    if missing and not quiet and len(missing) > FEW:
        say(f"  fetching {len(missing)} times {what} ({sum(int(w[3]) for w in missing) / 1e6:.0f} MB)")

    def one(number, entry):
        if not quiet and len(missing) <= FEW:
            say(f"  [{number}/{len(missing)}] fetching {what} {os.path.basename(entry[4])} ({int(entry[3]) / 1e6:.1f} MB)")
        fetch_one(entry, folder, lock, update)

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
        try:
            list(threads.map(one, range(1, len(missing) + 1), missing))
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def fetch_one(entry, folder, lock, update):
    name, version, want, _, path, suite = entry
    target = os.path.join(folder, os.path.basename(path))
    part = f"{target}.part.{os.getpid()}"
    for address in addresses(suite, path) * 3:
        done = subprocess.run(["/usr/lib/apt/apt-helper", "-qq", "-o", "APT::Sandbox::User=root", "download-file", address,
                               part, "SHA256:" + want], capture_output=True, text=True)
        if done.returncode == 0 and os.path.exists(part):
            break
    else:
        variable = "MIRROR_SECURITY" if suite == SECURITY else "MIRROR"
        raise Refused(f"the mirror does not give {os.path.basename(path)}, which {lock} pins for {name} {version} "
                      f"({(done.stderr.strip().splitlines() or ['no reason given'])[-1]}): run `make {update}` to move "
                      f"the pins, or give an archive that still has it with {variable}=URL, or a folder with INPUTS=DIR.")
    if sha256(part) != want:
        os.unlink(part)
        raise Refused(f"{os.path.basename(path)} from the mirror is not what {lock} pins: its sha256 differs.")
    os.rename(part, target)
