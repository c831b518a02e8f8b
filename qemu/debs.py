# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian packages of an image, as its packages.lock pins them, unpacked into the archive: no script of theirs runs. What
differs from one machine to another (logs, caches) and what a machine without a shell has no use for (manuals, translations) is
dropped."""

import hashlib
import io
import os
import re
import stat
import subprocess
import tarfile

FOLDER = os.path.join(os.environ.get("GANTRY_CACHE", "/cache"), "sources")
DROPPED = re.compile(r"usr/share/(doc|doc-base|man|info|locale|lintian|bug|menu|applications|pixmaps|icons)(/|$)|"
                     r"var/lib/(apt|dpkg)(/|$)|etc/machine-id$")
FILES_DROPPED = ("var/log/", "var/cache/")      # their folders stay
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}


class BadPackage(Exception):
    pass


def entries(lock):
    """[(name, version, sha256, file name)] of packages.lock, whose form .ci/debs.py has checked."""
    with open(lock, encoding="utf-8") as lines:
        found = [line.split() for line in lines]
    return [(*fields[:3], os.path.basename(fields[4])) for fields in found if len(fields) == 6 and not fields[0].startswith("#")]


def output(*command, name, content):
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    if done.returncode != 0:
        raise BadPackage(f"{name}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def lay(archive, lock, folder=FOLDER):
    """Adds the packages of LOCK to ARCHIVE. Returns {account: package} of the users that the packages' scripts would make."""
    accounts = {}
    for path, target in MERGED.items():
        archive.directory("/" + target)
        archive.link("/" + path, target)
    for name, version, digest, file in entries(lock):
        try:
            with open(os.path.join(folder, file), "rb") as deb:
                content = deb.read()
        except OSError as error:
            raise BadPackage(f"{file}, which packages.lock pins for {name} {version}: {error.strerror}") from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise BadPackage(f"{file} is not what packages.lock pins for {name} {version}: its sha256 differs")
        with tarfile.open(fileobj=io.BytesIO(output("dpkg-deb", "--fsys-tarfile", "-", name=name, content=content))) as tar:
            for member in tar:
                add(archive, name, tar, member)
        for account in users(output("dpkg-deb", "--ctrl-tarfile", "-", name=name, content=content)):
            accounts.setdefault(account, name)
    return accounts


def add(archive, package, tar, member):
    name = os.path.normpath(member.name)
    if name == "." or DROPPED.match(name):
        return
    if name.startswith(("/", "..")):
        raise BadPackage(f"{package}: {member.name} leaves the image")
    path, mode = archive.resolve("/" + name), stat.S_IMODE(member.mode)
    if member.isdir():
        if not archive.is_link(path) and path not in archive.entries:
            archive.parents(path)
            archive.directory(path, mode, member.uid, member.gid)
        return
    if name.startswith(FILES_DROPPED):
        return
    archive.parents(path)
    if member.issym():
        archive.link(path, member.linkname)
    elif member.islnk():
        target = archive.resolve("/" + os.path.normpath(member.linkname))
        if target not in archive.entries:
            raise BadPackage(f"{package}: {member.name} is a hard link to {member.linkname}, which is not in the image")
        archive.entries[path] = archive.entries[target]
    elif member.isreg():
        archive.file(path, tar.extractfile(member).read(), mode, member.uid, member.gid)
    else:
        raise BadPackage(f"{package}: {member.name} is neither a file nor a folder nor a link")


def users(control):
    """The names of users in a package's scripts, as they are nearly always made: adduser --system, useradd, sysusers."""
    with tarfile.open(fileobj=io.BytesIO(control)) as tar:
        scripts = [tar.extractfile(member).read().decode(errors="replace") for member in tar
                   if os.path.basename(member.name) in ("preinst", "postinst")]
    text = "\n".join(scripts).replace("\\\n", " ")
    return sorted({name for line in re.findall(r"^[^#\n]*\b(?:adduser|useradd)\b[^\n|;&]*", text, re.M)
                   for name in re.findall(r"\s([a-z_][a-z0-9_-]+)(?=\s*(?:$|>|[|;&}]))", line)})
