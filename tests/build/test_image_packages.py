# SPDX-License-Identifier: GPL-2.0-or-later
"""An image's Debian packages: pinned from signed lists of a mirror of the test's own, fetched by content, and unpacked without
their scripts."""

import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import unittest

import test_pins
from test_pins import SECURITY, SUITE

sys.path.insert(0, test_pins.TOP)
from qemu import debs, image  # noqa: E402
from qemu.archive import Archive  # noqa: E402


class Packages(test_pins.Pins):
    """The mirror, the checkout and run_it() of Pins, none of its tests."""

    def setUp(self):
        super().setUp()
        self.image = os.path.join(self.folder, "image")
        os.mkdir(self.image)
        self.write("boot.json", "{}")

    def write(self, name, text):
        with open(os.path.join(self.image, name), "w", encoding="utf-8") as file:
            file.write(text)

    def lines(self):
        with open(os.path.join(self.image, "packages.lock"), encoding="utf-8") as file:
            return [line.split() for line in file if not line.startswith("#")]

    def pin(self, status=0):
        done = self.run_it("update-packages", GANTRY_IMAGE=self.image)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_the_named_packages_and_all_that_they_need_are_pinned_and_what_moves_is_shown(self):
        self.debian.binary(SUITE, "web", "1.0", "Depends: library, tool | other\nRecommends: compiler\n")
        self.debian.binary(SUITE, "tool", "2.0", "Depends: scripts\n")
        self.debian.binary(SUITE, "scripts", "3.0")
        self.debian.binary(SECURITY, "library", "1.0+deb13u1")
        self.debian.publish()
        self.write("packages", "# a web server\nweb\n")
        said = self.pin()
        self.assertEqual([line[:2] for line in self.lines()],
                         [["wanted", "web"], ["library", "1.0+deb13u1"], ["scripts", "3.0"], ["tool", "2.0"], ["web", "1.0"]])
        self.assertEqual([line[5] for line in self.lines()[1:]], [SECURITY, SUITE, SUITE, SUITE])
        self.assertIn("  web - -> 1.0\n", said)
        self.write("packages", "web\n-tool   # and what it needs\n")
        self.assertIn("  tool 2.0 -> -\n", self.pin())
        self.assertEqual([line[0] for line in self.lines()[1:]], ["library", "web"])

    def test_wrong_names_and_a_lock_of_other_packages_are_refused_and_change_nothing(self):
        for text, sentence in (("", "packages names no package"), ("nothing-of-this-name\n", "nothing-of-this-name"),
                               ("Web Server\n", "packages:1: 'Web Server' is not the name of a package"),
                               ("compiler\n-nothing-of-this-name\n", "no mirror has the package nothing-of-this-name")):
            self.write("packages", text)
            self.assertIn(sentence, self.pin(status=1))
            self.assertFalse(os.path.exists(os.path.join(self.image, "packages.lock")))
        self.pin_all()
        self.write("packages", "compiler\n")
        self.pin()
        self.write("packages", "compiler\nlibrary\n")
        done = self.run_it("make", "image", GANTRY_IMAGE=self.image)
        self.assertIn(f"is not of the packages that {self.image}/packages names: run `make update-packages IMAGE={self.image}`",
                      done.stderr)
        self.write("packages", "compiler\n")
        self.write("packages.lock", "wanted compiler\ncompiler 1.0 abc 4 pool/x.deb trixie\n")
        done = self.run_it("make", "image", GANTRY_IMAGE=self.image)
        self.assertIn("packages.lock:2: not understood: compiler 1.0 abc", done.stderr)

    def test_a_package_that_changed_or_is_gone_is_a_clear_stop(self):
        self.pin_all()
        self.write("packages", "compiler\n")
        self.pin()
        path = self.lines()[1][4]
        os.unlink(os.path.join(self.folder, "cache/sources", os.path.basename(path)))       # the image root has it, too
        self.debian.put(SUITE, path, b"another content")
        done = self.run_it("make", "image", GANTRY_IMAGE=self.image)
        self.assertIn("which packages.lock pins for compiler 1.0", done.stderr)
        os.unlink(os.path.join(self.debian.folder, test_pins.FOLDERS[SUITE], path))
        done = self.run_it("make", "image", GANTRY_IMAGE=self.image)
        self.assertIn(f"run `make update-packages IMAGE={self.image}` to move the pins", done.stderr)


for name in dir(test_pins.Pins):        # they run as what they are
    if name.startswith("test_"):
        setattr(Packages, name, None)


class Unpacking(unittest.TestCase):
    def setUp(self):
        self.folder = os.path.join(image.BUILD, "results", f"debs-{os.getpid()}")
        os.makedirs(self.folder)
        self.addCleanup(shutil.rmtree, self.folder)
        self.lock = os.path.join(self.folder, "packages.lock")

    def deb(self, name, members, postinst=""):
        """A package of (path, mode, content, or link target for a mode with the type of a link), and its line in the lock."""
        def packed(entries):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w:xz", format=tarfile.GNU_FORMAT) as tar:
                for path, mode, content in entries:
                    member = tarfile.TarInfo("./" + path)
                    member.mode = stat.S_IMODE(mode)
                    member.uid = 33 if path.startswith("var/lib/of-its-user") else 0
                    if stat.S_ISDIR(mode):
                        member.type = tarfile.DIRTYPE
                    elif stat.S_ISLNK(mode):
                        member.type, member.linkname = tarfile.SYMTYPE, content
                    elif stat.S_ISCHR(mode):
                        member.type = tarfile.CHRTYPE
                    elif content.startswith("./"):
                        member.type, member.linkname = tarfile.LNKTYPE, content
                    else:
                        member.size = len(content)
                    tar.addfile(member, io.BytesIO(content.encode()) if member.isreg() else None)
            return out.getvalue()

        path = os.path.join(self.folder, f"{name}_1.0_amd64.deb")
        control = f"Package: {name}\nVersion: 1.0\nArchitecture: amd64\nMaintainer: A\nDescription: x\n"
        pieces = {"debian-binary": b"2.0\n", "data.tar.xz": packed(members),
                  "control.tar.xz": packed([("control", 0o644, control)] + ([("postinst", 0o755, postinst)] if postinst else []))}
        for file in ("debian-binary", "control.tar.xz", "data.tar.xz"):
            with open(os.path.join(self.folder, file), "wb") as out:
                out.write(pieces[file])
        subprocess.run(["ar", "rcD", path, "debian-binary", "control.tar.xz", "data.tar.xz"], cwd=self.folder, check=True)
        digest = test_pins.hashlib.sha256(image.read_file(path)).hexdigest()
        with open(self.lock, "a", encoding="ascii") as lock:
            lock.write(f"{name} 1.0 {digest} {os.path.getsize(path)} pool/{name}_1.0_amd64.deb trixie\n")
        return path

    def laid(self):
        archive = Archive()
        return archive, debs.lay(archive, self.lock, self.folder)

    def test_files_links_modes_and_owners_are_those_of_the_package_and_what_differs_between_machines_is_dropped(self):
        self.deb("web", [("usr", stat.S_IFDIR | 0o755, ""), ("usr/bin/web", 0o4755, "program"), ("bin/old", 0o755, "old"),
                         ("usr/bin/same", 0o755, "./usr/bin/web"), ("usr/bin/link", stat.S_IFLNK | 0o777, "web"),
                         ("etc/web.conf", 0o640, "conf"), ("var/log/web", stat.S_IFDIR | 0o750, ""),
                         ("var/log/web/first", 0o644, "x"),
                         ("var/lib/of-its-user", stat.S_IFDIR | 0o700, ""), ("usr/share/doc/web/copyright", 0o644, "x"),
                         ("usr/share/man/man1/web.1.gz", 0o644, "x"), ("var/cache/web/aux", 0o644, "x"),
                         ("etc/machine-id", 0o444, "x")],
                 "#!/bin/sh\nset -e\n# adduser nobody-here\nadduser --quiet --system --group \\\n  --home /nonexistent web-user\n"
                 "useradd -r other-user || true\nupdate-rc.d web defaults\n")
        archive, accounts = self.laid()
        found = {path: (f"{entry[0]:o}", entry[1], entry[4].decode()) for path, entry in archive.entries.items()
                 if not stat.S_ISDIR(entry[0]) or path.startswith("var")}
        self.assertEqual(found, {
            **{name: ("120777", 0, f"usr/{name}") for name in ("bin", "sbin", "lib", "lib64")},
            "usr/bin/web": ("104755", 0, "program"), "usr/bin/old": ("100755", 0, "old"),
            "usr/bin/same": ("104755", 0, "program"),
            "usr/bin/link": ("120777", 0, "web"), "etc/web.conf": ("100640", 0, "conf"),
            "var": ("40755", 0, ""), "var/log": ("40755", 0, ""), "var/log/web": ("40750", 0, ""),
            "var/lib": ("40755", 0, ""), "var/lib/of-its-user": ("40700", 33, "")})
        self.assertEqual(accounts, {"web-user": "web", "other-user": "web"})

    def test_a_package_that_is_not_what_was_pinned_is_refused(self):
        path = self.deb("web", [("usr/bin/web", 0o755, "program")])
        with open(path, "ab") as deb:
            deb.write(b"\n")
        with self.assertRaisesRegex(debs.BadPackage, "web_1.0_amd64.deb is not what packages.lock pins for web 1.0: its sha256"):
            self.laid()
        os.unlink(path)
        with self.assertRaisesRegex(debs.BadPackage, "web_1.0_amd64.deb, which packages.lock pins for web 1.0: No such file"):
            self.laid()

    def test_devices_and_paths_out_of_the_image_are_refused(self):
        self.deb("bad", [("dev/zero", stat.S_IFCHR | 0o666, "")])
        with self.assertRaisesRegex(debs.BadPackage, "bad: ./dev/zero is neither a file nor a folder nor a link"):
            self.laid()
        os.unlink(self.lock)
        self.deb("bad", [("../../etc/passwd", 0o644, "x")])
        with self.assertRaisesRegex(debs.BadPackage, r"bad: \./\.\./\.\./etc/passwd leaves the image"):
            self.laid()


if __name__ == "__main__":
    unittest.main()
