# SPDX-License-Identifier: GPL-2.0-or-later
"""The same tree gives the same bytes: built in two folders, on two dates, with different environment, umask, parallelism
and order of files, the binary, the initramfs, the UKI and the disk images are identical."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

NOT_COPIED = {"build", ".git", "__pycache__"}
OUTPUTS = ("build/init", "build/guest", "build/modules", "build/test")
NOT_COMPARED = {"lock", "inputs"}           # the image builder's own notes: they name the folder


# A command in the image root, whose compiler made build/init: its arguments are the root, the folder, and the command.
IN_IMAGE_ROOT = """
import os, sys
sys.path.insert(0, ".ci")
import namespaces
namespaces.PRIVILEGED = "GANTRY_USERNS" not in os.environ
root, folder, *command = sys.argv[1:]
held = {name: os.open(name, os.O_PATH) for name in ("/cache", folder)}
view = namespaces.build_view(f"/proc/self/fd/{os.open(root, os.O_PATH)}")
for name, descriptor in held.items():
    os.makedirs(view + name, exist_ok=True)
    namespaces.attach(view, f"/proc/self/fd/{descriptor}", name)
os.chroot(view)
os.chdir(folder)
os.execvp(command[0], command)
"""


def image_root():
    with open("build/paths.env", encoding="ascii") as lines:
        return "/cache/" + dict(line.strip().split("=", 1) for line in lines)["ROOT_ID"]


def copy_tree(source, target, backwards):
    """A copy whose folder entries are made in the other order, and whose dates are all the same and old."""
    os.makedirs(target)
    for where, folders, names in os.walk(source):
        folders[:] = sorted((name for name in folders if name not in NOT_COPIED), reverse=backwards)
        for name in sorted(names, reverse=backwards):
            destination = os.path.join(target, os.path.relpath(where, source), name)
            os.makedirs(os.path.dirname(destination), exist_ok=True)
            shutil.copy(os.path.join(where, name), destination, follow_symlinks=False)
            os.utime(destination, (1_500_000_000, 1_500_000_000), follow_symlinks=False)
    os.makedirs(os.path.join(target, "build"))
    shutil.copy("build/paths.env", os.path.join(target, "build/paths.env"))
    os.utime(os.path.join(target, "build/paths.env"), (1_500_000_000, 1_500_000_000))


def start(folder, date, jobs, umask, extra):
    environment = {name: os.environ[name] for name in ("PATH", "GANTRY_CACHE", "GANTRY_INSIDE", "GANTRY_USERNS")
                   if name in os.environ}
    # each compiles for itself: the other's objects from the cache would be no proof
    environment.update(extra, GANTRY_HOST_TOP=folder, GANTRY_HOST_CACHE="/cache", CCACHE_DISABLE="1")
    return subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--kill-child", sys.executable, "-c", IN_IMAGE_ROOT,
                             image_root(), folder, "faketime", "-f", f"@{date}", "make", f"-j{jobs}", "image"], env=environment,
                            umask=umask, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def digests(folder):
    result = {}
    for output in OUTPUTS:
        top = os.path.join(folder, output)
        paths = [os.path.join(where, name) for where, _, names in os.walk(top) for name in names]
        if os.path.isfile(top):
            paths = [top]
        for path in paths:
            if os.path.basename(path) not in NOT_COMPARED:
                with open(path, "rb") as file:
                    result[os.path.relpath(path, folder)] = hashlib.file_digest(file, "sha256").hexdigest()
    return result


class Reproducible(unittest.TestCase):
    def test_two_folders_and_two_dates_give_the_same_bytes(self):
        with tempfile.TemporaryDirectory(dir="build") as near, tempfile.TemporaryDirectory(prefix="a-longer-name-") as far:
            folders = [os.path.join(os.path.abspath(near), "one"), os.path.join(far, "two", "deeper")]
            copy_tree(".", folders[0], False)
            copy_tree(folders[0], folders[1], True)
            builds = [start(folders[0], "2026-01-02 03:04:05", 1, 0o022, {"HOME": "/root", "TZ": "UTC", "LANG": "C"}),
                      start(folders[1], "2031-11-12 13:14:15", 2, 0o077,
                            {"HOME": "/tmp", "TZ": "Asia/Tokyo", "LANG": "C.UTF-8", "USER": "somebody", "SHLVL": "3"})]
            outputs = [build.communicate()[0] for build in builds]
            for build, text in zip(builds, outputs):
                self.assertEqual(0, build.returncode, text)
            first, second = (digests(folder) for folder in folders)
            self.assertIn("build/init", first)
            self.assertTrue([name for name in first if name.endswith(".efi")], first)
            self.assertTrue([name for name in first if name.endswith(".vhd")], first)
            self.assertEqual(first, second)
            with open("build/init", "rb") as file:      # whose objects may be from the cache
                self.assertEqual(hashlib.file_digest(file, "sha256").hexdigest(), first["build/init"])

    test_two_folders_and_two_dates_give_the_same_bytes.alone = True


if __name__ == "__main__":
    unittest.main()
