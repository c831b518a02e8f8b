# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian packages of an image. FOLDER/packages names them, one a line; `-NAME` is left out with all that only it needs.
FOLDER/packages.lock pins them and what they depend on: `wanted` with the names, then NAME VERSION SHA256 SIZE PATH SUITE."""

import os
import re
import stat

from archive import Archive, field
from namespaces import Refused, say
from pins import SECURITY, SUITE, fetch

NAME = re.compile(r"-?[a-z0-9][a-z0-9+.-]+")
STATUS = ("Package", "Version", "Architecture", "Provides", "Multi-Arch", "Maintainer")     # what apt reads of an installed one
HEAD = ("# The packages of this image and what they depend on, pinned by `make update-packages`: name, version, sha256, size,\n"
        "# path, suite.\n")


def lines_of(path):
    """The lines of a plain file; of anything else none are waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, encoding="utf-8") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused(f"{path} is not a plain file.")
        return file.readlines()


def wanted(folder):
    """The lines of FOLDER/packages, sorted; [] if there is none."""
    path, names = os.path.join(folder, "packages"), set()
    if os.path.exists(path):
        for number, line in enumerate(lines_of(path), 1):
            name = line.partition("#")[0].strip()
            if name and not NAME.fullmatch(name):
                raise Refused(f"{path}:{number}: {name!r} is not the name of a package.")
            names |= {name} if name else set()
    return sorted(names)


def locked(folder):
    """The entries of FOLDER/packages.lock, for fetch(). Refused where it pins something else than FOLDER/packages names."""
    path, names, entries = os.path.join(folder, "packages.lock"), None, []
    if not wanted(folder) and not os.path.exists(path):
        return []
    if os.path.exists(path):
        for number, line in enumerate(lines_of(path), 1):
            fields = line.split()
            if not fields or fields[0].startswith("#"):
                continue
            if fields[0] == "wanted":
                names = fields[1:]
            elif len(fields) == 6 and re.fullmatch("[0-9a-f]{64}", fields[2]) and fields[3].isdigit() and \
                    fields[5] in (SUITE, SECURITY):
                entries.append(fields)
            else:
                raise Refused(f"{path}:{number}: not understood: {line.strip()}")
    if names != wanted(folder):
        raise Refused(f"{path} is not of the packages that {folder}/packages names: run `make update-packages IMAGE={folder}`.")
    return entries


def fetch_locked(folder):
    fetch(locked(folder), "package", lock="packages.lock", update=f"update-packages IMAGE={folder}")


def closure(archive, names):
    """The names of all packages that apt would install for NAMES into an empty system, without recommended ones."""
    left_out = [name[1:] for name in names if name.startswith("-")]
    with open(os.path.join(archive.state, "status"), "w", encoding="utf-8") as status:
        for name in left_out:       # to apt, they are installed and need nothing
            stanza = archive.best(archive.binaries, name)[1]
            if not stanza:
                raise Refused(f"no mirror has the package {name}.")
            kept = "".join(f"{key}: {field(stanza, key)}\n" for key in STATUS
                           if re.search(rf"^{key}:", stanza, re.M))
            status.write(f"{kept}Status: install ok installed\nDescription: left out\n\n")
    try:
        chosen = archive.apt("apt-get", "-qq", "--simulate", "--no-install-recommends", "install",
                             *(name for name in names if not name.startswith("-")))
    finally:
        open(os.path.join(archive.state, "status"), "w", encoding="utf-8").close()
    return re.findall(r"^Inst (\S+) ", chosen, re.M)


def update(folder):
    """Writes FOLDER/packages.lock with what the mirrors have now, and shows what moved."""
    names = wanted(folder)
    path = os.path.join(folder, "packages.lock")
    if not names:
        raise Refused(f"{folder}/packages names no package.")
    before = {}
    if os.path.exists(path):
        before = {fields[0]: fields[1] for line in lines_of(path) if len(fields := line.split()) == 6}
    archive = Archive()
    entries = [archive.package(name.partition(":")[0]) for name in sorted(closure(archive, names))]
    with open(path + ".new", "w", encoding="utf-8") as out:
        out.write(HEAD + " ".join(["wanted", *names]) + "\n" + "".join(" ".join(fields) + "\n" for fields in entries))
    os.rename(path + ".new", path)
    after = {fields[0]: fields[1] for fields in entries}
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            print(f"  {name} {before.get(name, '-')} -> {after.get(name, '-')}", flush=True)
    say(f"  {len(entries)} packages, {sum(int(fields[3]) for fields in entries) / 1e6:.1f} MB: review and commit {path}")
