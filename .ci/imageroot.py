# SPDX-License-Identifier: GPL-2.0-or-later
"""The image root: the small Debian in which libraries, binary and image are made. It is made of the very files that deps.lock
pins by their SHA-256, without a network: a mirror is only one of the places where such a file can be had. So it is the same for
ever, and whatever else is in the build root, where tests run, shapes no byte of an image."""

import os
import shutil
import subprocess
import time

from namespaces import CACHE, CLONE_NEWNET, PRIVILEGED, Refused, check, in_user_namespace, libc, need_program, say
from pins import SUITE, fetch, sha256

LEFT_OUT = ("locale", "doc", "info", "man")
RELEASE = f"Origin: Debian\nLabel: Debian\nSuite: stable\nCodename: {SUITE}\nArchitectures: amd64\n"


def packages(path):
    with open(path, encoding="utf-8") as text:
        return " ".join(line for line in text.read().splitlines() if not line.startswith("#")).split()


def archive_of(tools, folder):
    """FOLDER becomes an archive of these packages that apt takes; each file is what was pinned."""
    stanzas = []
    for name, version, want, size, path, _ in tools:
        base = os.path.basename(path)
        fetched, here = os.path.join(CACHE, "sources", base), os.path.join(folder, base)
        if sha256(fetched) != want:
            os.unlink(fetched)
            raise Refused(f"{base} in the cache was not what deps.lock pins for {name} {version} and has been removed: "
                          "run make again.")
        try:
            os.link(fetched, here)
        except OSError:
            shutil.copyfile(fetched, here)
        about = subprocess.run(["dpkg-deb", "-f", here], capture_output=True, text=True)
        if about.returncode != 0:
            raise Refused(f"{base}: {about.stderr.strip()}")
        stanzas.append(f"{about.stdout.strip()}\nFilename: ./{base}\nSize: {size}\nSHA256: {want}\n\n")
    with open(os.path.join(folder, "Packages"), "w", encoding="utf-8") as out:
        out.write("".join(stanzas))
    with open(os.path.join(folder, "Release"), "w", encoding="utf-8") as out:
        out.write(RELEASE)


def without_network():
    if PRIVILEGED:
        check(libc.unshare(CLONE_NEWNET), "unshare the network")


def make(lock, path):
    """Makes the root at PATH, whole or not at all."""
    started = time.monotonic()
    if not lock.tools:
        raise Refused("deps.lock pins no packages of the image root: run `make update-deps ONLY=image`.")
    need_program("mmdebstrap", "mmdebstrap")
    if not PRIVILEGED:
        need_program("newuidmap", "uidmap")
    fetch(lock.tools, "package of the image root")
    say(f"  making the image root of {len(lock.tools)} pinned packages (about half a minute)")
    temporary, folder = f"{path}.{os.getpid()}", f"{path}.{os.getpid()}.debs"
    log = os.path.join(CACHE, "log", "image-root.log")
    os.makedirs(os.path.dirname(log), exist_ok=True)
    try:
        os.makedirs(folder)
        archive_of(lock.tools, folder)
        command = ["mmdebstrap", "--variant=apt", "--mode=" + ("root" if PRIVILEGED else "unshare"), "--format=" +
                   ("directory" if PRIVILEGED else "tar"), "--include=" + ",".join(fields[0] for fields in lock.tools),
                   *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT),
                   '--aptopt=APT::Sandbox::User "root"', "--skip=check/qemu",
                   "--customize-hook=mkdir -p \"$1/src\" \"$1/cache\" \"$1/data\"",
                   "--customize-hook=printf '127.0.0.1 localhost\\n' > \"$1/etc/hosts\"",
                   SUITE, temporary if PRIVILEGED else temporary + ".tar", f"deb [trusted=yes] copy:{folder} ./"]
        with open(log, "w", encoding="utf-8") as out:
            made = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                  preexec_fn=without_network, env={**os.environ, "SOURCE_DATE_EPOCH": "0"}).returncode
        if made == 0 and not PRIVILEGED:
            os.makedirs(temporary)
            made = in_user_namespace(lambda: subprocess.call(
                ["tar", "-x", "-C", temporary, "--exclude=./dev/*", "-f", temporary + ".tar"]))
        if made != 0:
            with open(log, encoding="utf-8", errors="replace") as text:
                for line in text.readlines()[-15:]:
                    say("    | " + line.rstrip())
            raise Refused(f"mmdebstrap could not make the image root; its whole log is {log}.")
        open(os.path.join(temporary, ".complete"), "w", encoding="utf-8").close()
        os.rename(temporary, path)
    finally:
        remove = lambda: subprocess.call(["rm", "-rf", folder, temporary, temporary + ".tar"])
        remove() if PRIVILEGED else in_user_namespace(remove)
    say(f"  image root made in {time.monotonic() - started:.0f} s")
