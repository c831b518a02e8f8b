# SPDX-License-Identifier: GPL-2.0-or-later
"""How the pins move: the main archive and the security suite are a small one of the test's own, with signed lists, behind an HTTP
server; which of both is taken, what is told of it, and what is refused."""

import functools
import hashlib
import http.server
import io
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, ".ci"))
from pins import SECURITY, SOURCES, SUITE, Lock  # noqa: E402

FOLDERS = {SUITE: "debian", "sid": "debian", SECURITY: "debian-security"}


class Key:
    """A key that signs lists, and its half that apt is given."""

    def __init__(self, folder, name):
        self.home = os.path.join(folder, name)
        os.mkdir(self.home, 0o700)
        self.public = os.path.join(folder, name + ".gpg")
        self.gpg("--quick-gen-key", name, "ed25519", "sign", "never")
        self.gpg("--output", self.public, "--export")

    def gpg(self, *arguments):
        subprocess.run(["gpg", "--homedir", self.home, "--batch", "--quiet", "--yes", "--pinentry-mode", "loopback",
                        "--passphrase", "", *arguments], check=True, capture_output=True)

    def end(self):
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "all"], check=True, capture_output=True)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Debian:
    """Both archives. `source()` and `binary()` put something into a suite, `publish()` makes and signs the lists."""

    def __init__(self, folder, key):
        self.folder, self.key = folder, key
        self.lists = {suite: {"main/source/Sources": "", "main/binary-amd64/Packages": ""} for suite in FOLDERS}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def put(self, suite, path, content):
        target = os.path.join(self.folder, FOLDERS[suite], path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(content)
        return hashlib.sha256(content).hexdigest(), len(content)

    def pool(self, suite):
        return "pool/updates/main" if suite == SECURITY else "pool/main"

    def source(self, suite, name, *versions, changes=""):
        """A source package at the last of VERSIONS, in whose changelog they all are and CHANGES is at the last one."""
        version = versions[-1]
        bare = version.split(":")[-1]
        changelog = "".join(
            f"{name} ({each}) {suite}; urgency=medium\n\n  * {changes if each == version else 'CVE-2001-0001'}\n\n"
            " -- A B <a@example.org>  Mon, 01 Jan 2024 00:00:00 +0000\n\n" for each in reversed(versions)).encode()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            member = tarfile.TarInfo("debian/changelog")
            member.size = len(changelog)
            tar.addfile(member, io.BytesIO(changelog))
        directory = f"{self.pool(suite)}/{name[0]}/{name}"
        sums = ""
        for file, content in ((f"{name}_{bare.split('-')[0]}.orig.tar.gz", b"upstream's"),
                              (f"{name}_{bare}.debian.tar.xz", lzma.compress(packed.getvalue()))):
            value, size = self.put(suite, f"{directory}/{file}", content)
            sums += f" {value} {size} {file}\n"
        self.lists[suite]["main/source/Sources"] += (f"Package: {name}\nBinary: {name}\nVersion: {version}\nFormat: 3.0 (quilt)\n"
                                                     f"Directory: {directory}\nChecksums-Sha256:\n{sums}\n")

    def binary(self, suite, name, version, more=""):
        path = f"{self.pool(suite)}/{name[0]}/{name}/{name}_{version}_amd64.deb"
        value, size = self.put(suite, path, f"{name} {version}".encode())
        self.lists[suite]["main/binary-amd64/Packages"] += (
            f"Package: {name}\nArchitecture: amd64\nVersion: {version}\n{more}"
            f"Filename: {path}\nSize: {size}\nSHA256: {value}\n\n")

    def kernel(self, suite, number):
        version, name = f"{number}-1", f"{number}+deb13"
        self.binary(suite, "linux-image-cloud-amd64", version, f"Depends: linux-image-{name}-cloud-amd64 (= {version})\n")
        self.binary(suite, f"linux-image-{name}-cloud-amd64", version)
        self.binary(suite, f"linux-headers-{name}-cloud-amd64", version,
                    f"Depends: linux-headers-{name}-common (= {version}), linux-kbuild-{name}\n")
        self.binary(suite, f"linux-headers-{name}-common", version)
        self.binary(suite, f"linux-kbuild-{name}", version)

    def publish(self, keys=None):
        """KEYS: {suite: the key that signs it instead, or None for no signature}."""
        for suite, lists in self.lists.items():
            sums = "".join(f" {value} {size} {path}\n" for path, (value, size) in
                           ((path, self.put(suite, f"dists/{suite}/{path}", text.encode())) for path, text in lists.items()))
            label = "Debian-Security" if suite == SECURITY else "Debian"
            self.put(suite, f"dists/{suite}/Release",
                     f"Origin: Debian\nLabel: {label}\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64\n"
                     f"Components: main\nDate: Mon, 01 Jan 2024 00:00:00 UTC\nSHA256:\n{sums}".encode())
            release = os.path.join(self.folder, FOLDERS[suite], "dists", suite, "Release")
            signed = os.path.join(os.path.dirname(release), "InRelease")
            key = (keys or {}).get(suite, self.key)
            if key:
                key.gpg("--output", signed, "--clearsign", release)
            elif os.path.exists(signed):
                os.unlink(signed)


class Pins(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.keys = tempfile.TemporaryDirectory(prefix="gantry-keys-")
        cls.key, cls.stranger = Key(cls.keys.name, "archive"), Key(cls.keys.name, "stranger")

    @classmethod
    def tearDownClass(cls):
        cls.key.end(), cls.stranger.end()
        cls.keys.cleanup()

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="gantry-pins-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.top = os.path.join(self.folder, "checkout")
        os.mkdir(self.top)
        shutil.copytree(os.path.join(TOP, ".ci"), os.path.join(self.top, ".ci"), ignore=shutil.ignore_patterns("__pycache__"))
        for name in "packages", "packages-image":
            with open(os.path.join(self.top, ".ci", name), "w", encoding="ascii") as packages:
                packages.write("compiler\n")
        with open(os.path.join(self.folder, "apt.conf"), "w", encoding="ascii") as conf:
            conf.write('Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "/dev/null";\n'
                       'Acquire::Retries "0";\n'
                       'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n')
        self.debian = Debian(os.path.join(self.folder, "mirror"), self.key)
        self.addCleanup(self.debian.stop)
        for name in SOURCES:
            self.debian.source(SOURCES[name], name, "1:1.0-1" if name == "dhcpcd" else "1.0-1")
        self.debian.kernel(SUITE, "6.12.1")
        for name in "apt", "compiler":
            self.debian.binary(SUITE, name, "1.0", "Priority: required\n" if name == "apt" else "Depends: library\n")
        self.debian.binary(SUITE, "library", "1.0")
        self.debian.publish()

    def run_it(self, *arguments, **environment):
        given = {"MIRROR": f"{self.debian.url}/debian", "MIRROR_SECURITY": f"{self.debian.url}/debian-security",
                 "KEYRING": self.key.public, "GANTRY_CACHE": os.path.join(self.folder, "cache"), "PATH": os.environ["PATH"],
                 "APT_CONFIG": os.path.join(self.folder, "apt.conf"), "HOME": self.folder, **environment}
        return subprocess.run([sys.executable, ".ci/buildroot", *arguments], cwd=self.top, text=True, capture_output=True,
                              timeout=120, env={name: value for name, value in given.items() if value is not None})

    def update(self, **environment):
        done = self.run_it("update", **{"ONLY": "sources", **environment})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def lock(self):
        return Lock(os.path.join(self.top, "deps.lock"))

    def pin_all(self):
        """Pins of what the archive has at the start, and of a root as it would be."""
        self.update()
        self.update(ONLY="image")
        with open(os.path.join(self.top, "deps.lock"), "a", encoding="ascii") as lock:
            lock.write("".join(f"root {name} 1.0 {SUITE}\n" for name in ("apt", "compiler", "library")))

    def security(self, status, **environment):
        done = self.run_it("security", **environment)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def pinned(self):
        return {fields[0]: (fields[1], fields[5]) for fields in [*self.lock().sources, self.lock().kernel]}

    def test_the_newest_of_both_suites_is_pinned_with_the_suite_that_has_it(self):
        self.pin_all()
        self.debian.source(SECURITY, "curl", "1.0-1", "1.0-1+deb13u2")
        self.debian.source(SUITE, "curl", "1.0-1", "1.0-1+deb13u1")
        self.debian.source(SUITE, "expat", "1.0-1", "1.0-10")
        self.debian.source(SECURITY, "expat", "1.0-1", "1.0-9")
        for suite in SUITE, SECURITY:
            self.debian.source(suite, "json-c", "1.0-1", "1.0-2")
        self.debian.source(SECURITY, "cryptsetup", "1.0-1", "1.0-2")         # ours is sid's
        self.debian.kernel(SECURITY, "6.12.10")
        self.debian.kernel(SUITE, "6.12.9")
        self.debian.publish()
        self.update()
        pinned = self.pinned()
        self.assertEqual(pinned["curl"], ("1.0-1+deb13u2", SECURITY))
        self.assertEqual(pinned["expat"], ("1.0-10", SUITE))
        self.assertEqual(pinned["json-c"], ("1.0-2", SUITE))
        self.assertEqual(pinned["cryptsetup"], ("1.0-1", "sid"))
        self.assertEqual(pinned["musl"], ("1.0-1", SUITE))
        self.assertEqual(pinned["dhcpcd"], ("1:1.0-1", SUITE))
        self.assertEqual(self.lock().kernel[0::5], ["linux-image-6.12.10+deb13-cloud-amd64", SECURITY])
        self.assertEqual({fields[1] for fields in self.lock().headers}, {"6.12.10-1"})
        self.assertEqual(self.lock().root, {"apt": "1.0", "compiler": "1.0", "library": "1.0"})
        sources = os.listdir(os.path.join(self.folder, "cache/sources"))
        self.assertIn("curl_1.0-1+deb13u2.debian.tar.xz", sources)
        self.assertIn("linux-kbuild-6.12.10+deb13_6.12.10-1_amd64.deb", sources)

    def test_a_dry_listing_tells_what_would_move_and_why_and_moves_nothing(self):
        self.pin_all()
        before = self.lock()
        self.debian.source(SECURITY, "curl", "1.0-1", "1.0-2", "1.0-3", changes="fixes CVE-2030-12345 and CVE-2030-0002")
        self.debian.source(SUITE, "musl", "1.0-1", "1.0-2")
        self.debian.kernel(SECURITY, "6.12.2")
        self.debian.binary(SECURITY, "compiler", "1.0+deb13u1", "Depends: library, runtime\n")
        self.debian.binary(SUITE, "runtime", "3.0")
        self.debian.publish()
        listing = self.update(DRY="1", ONLY="").stdout.splitlines()
        self.assertEqual(listing, [
            f"  source curl 1.0-1 -> 1.0-3  ({SECURITY}: CVE-2001-0001, CVE-2030-0002, CVE-2030-12345)",
            f"  source musl 1.0-1 -> 1.0-2  ({SUITE})",
            f"  kernel linux-image-6.12.2+deb13-cloud-amd64 6.12.1-1 -> 6.12.2-1  ({SECURITY})",
            *(line for kind in ("tool", "root") for line in (f"  {kind} compiler 1.0 -> 1.0+deb13u1  ({SECURITY})",
                                                             f"  {kind} runtime - -> 3.0  (new)"))])
        self.assertEqual(vars(self.lock()), vars(before))
        self.assertEqual(self.update(DRY="1", ONLY="root").stdout.splitlines(), listing[5:])
        self.assertEqual(self.update(DRY="1", ONLY="image").stdout.splitlines(), listing[3:5])
        self.assertEqual(self.update().stdout.splitlines(), listing[:3])
        self.assertNotEqual(self.lock().sources, before.sources)
        self.assertEqual((self.lock().tools, self.lock().root), (before.tools, before.root))
        self.assertIn("nothing would move", self.update().stderr)

    def test_a_newer_security_version_is_named_and_the_status_is_1(self):
        self.pin_all()
        self.assertEqual(self.security(0).stdout, "")
        self.debian.source(SECURITY, "curl", "1.0-1", "1.0-1+deb13u1", changes="CVE-2030-0001")
        self.debian.source(SECURITY, "musl", "0.9-1")
        self.debian.source(SUITE, "dhcpcd", "1:1.0-1", "1:1.0-2", changes="CVE-2030-0003")     # by a point release alone
        self.debian.source(SUITE, "chrony", "1.0-1", "1.0-2", changes="a new translation")
        self.debian.source("sid", "cryptsetup", "1.0-1", "1.0-2", changes="CVE-2030-0004")
        self.debian.kernel(SECURITY, "6.12.2")
        self.debian.binary(SECURITY, "library", "1.0+deb13u1")
        self.debian.binary(SUITE, "compiler", "1.1")
        self.debian.publish()
        self.assertEqual(self.security(1).stdout.splitlines(), [
            "  source cryptsetup 1.0-1 -> 1.0-2  (sid: CVE-2030-0004)",
            f"  source curl 1.0-1 -> 1.0-1+deb13u1  ({SECURITY}: CVE-2030-0001)",
            f"  source dhcpcd 1:1.0-1 -> 1:1.0-2  ({SUITE}: CVE-2030-0003)",
            f"  kernel linux-image-6.12.1+deb13-cloud-amd64 6.12.1-1 -> 6.12.2-1  ({SECURITY})",
            f"  tool library 1.0 -> 1.0+deb13u1  ({SECURITY})",
            f"  root library 1.0 -> 1.0+deb13u1  ({SECURITY})"])

    def test_lists_that_are_not_signed_by_the_keyring_are_refused(self):
        self.pin_all()
        before = self.lock()
        for suite in FOLDERS:
            for what, keys in ("unsigned", {suite: None}), ("signed by another", {suite: self.stranger}):
                with self.subTest(suite=suite, what=what):
                    self.debian.publish(keys)
                    shutil.rmtree(os.path.join(self.folder, "cache/apt"))
                    self.assertRegex(self.security(2).stderr, r"gantry: apt-get -q update: .*not signed|NO_PUBKEY|Missing key")
                    self.assertEqual(self.run_it("update").returncode, 1)
        self.debian.source(SECURITY, "musl", "0.9-1")
        self.debian.publish()
        self.security(0)
        for suite in SUITE, SECURITY:
            with self.subTest(suite=suite, what="changed after it was signed"):
                kept = dict(self.debian.lists[suite])
                self.debian.source(suite, "curl", "1.0-1", "1.0-2")
                path = "main/source/Sources"
                self.debian.put(suite, f"dists/{suite}/{path}", self.debian.lists[suite][path].encode())
                shutil.rmtree(os.path.join(self.folder, "cache/apt"))
                self.assertIn("has unexpected size", self.security(2).stderr)
                self.assertEqual(self.run_it("update").returncode, 1)
                self.debian.lists[suite] = kept
                self.debian.publish()
        self.assertEqual(vars(self.lock()), vars(before))

    def test_a_mirror_that_does_not_answer_is_an_error_and_older_lists_are_not_taken_for_its_answer(self):
        self.pin_all()
        self.security(0)
        nobody = "http://127.0.0.1:1"
        for variable in "MIRROR", "MIRROR_SECURITY":
            refused = self.security(2, **{variable: f"{nobody}/debian"})
            self.assertRegex(refused.stderr, r"127\.0\.0\.1")
            self.assertNotIn("no pin has", refused.stderr)
        shutil.rmtree(os.path.join(self.debian.folder, "debian-security/dists"))
        self.security(2)

    def test_a_host_without_a_security_source_is_told_so(self):
        self.pin_all()
        for variable, what in ("MIRROR", "Debian mirror"), ("MIRROR_SECURITY", "security suite of Debian"):
            refused = self.security(2, **{variable: None})
            self.assertIn(f"gantry: no {what} in this host's apt configuration", refused.stderr)
            self.assertIn(f"{variable}=URL", refused.stderr)
        self.assertIn("no such file", self.security(2, KEYRING="/nonexistent").stderr)

    def test_a_package_whose_patches_cannot_be_had_stays_where_it_is(self):
        self.pin_all()
        self.debian.source(SECURITY, "curl", "1.0-1", "1.0-2")
        self.debian.source(SUITE, "expat", "1.0-1", "1.1-1")
        self.debian.source(SUITE, "chrony", "1.0-1", "1.0-2", changes="nothing that matters")
        self.debian.source(SUITE, "musl", "1.0-1", "1.0-2")
        self.debian.publish()
        os.unlink(os.path.join(self.debian.folder, "debian-security/pool/updates/main/c/curl/curl_1.0-2.debian.tar.xz"))
        os.unlink(os.path.join(self.debian.folder, "debian/pool/main/e/expat/expat_1.1.orig.tar.gz"))
        os.unlink(os.path.join(self.debian.folder, "debian/pool/main/c/chrony/chrony_1.0-2.debian.tar.xz"))
        self.update()
        for name, version in ("curl", "1.0-1"), ("expat", "1.0-1"), ("musl", "1.0-2"):
            self.assertEqual(self.pinned()[name], (version, SUITE))
        for name in "curl", "expat":
            self.assertEqual(sum(fields[0] == name for fields in self.lock().sources), 2)
        self.assertEqual(self.lock().notes, ["chrony 1.0-1: the mirror lacked chrony_1.0-2.debian.tar.xz",
                                             "curl 1.0-1: the mirror lacked curl_1.0-2.debian.tar.xz",
                                             "expat 1.0-1: the mirror lacked expat_1.1.orig.tar.gz"])
        told = self.security(1)
        lacks = "the mirror lacks {}_1.0-2.debian.tar.xz, which has the changelog"
        self.assertEqual(told.stdout, f"  source chrony 1.0-1 -> 1.0-2  ({SUITE}: {lacks.format('chrony')})\n"
                                      f"  source curl 1.0-1 -> 1.0-2  ({SECURITY}: {lacks.format('curl')})\n")
        self.assertIn("the mirror lacked curl_1.0-2.debian.tar.xz", told.stderr)

    def test_a_file_that_left_the_security_suite_is_taken_from_the_main_archive(self):
        self.debian.source(SECURITY, "curl", "1.0-1", "1.0-2")
        self.debian.publish()
        self.pin_all()
        self.assertEqual(self.pinned()["curl"], ("1.0-2", SECURITY))
        old, new = (os.path.join(self.debian.folder, folder, "c/curl/curl_1.0-2.debian.tar.xz")
                    for folder in ("debian-security/pool/updates/main", "debian/pool/main"))
        os.rename(old, new)
        fetched = os.path.join(self.folder, "cache/sources/curl_1.0-2.debian.tar.xz")
        with open(fetched, "rb") as file:
            content = file.read()
        for changed in False, True:
            os.unlink(fetched)
            if changed:
                with open(new, "ab") as file:
                    file.write(b"changed")
            got = self.run_it_in("from pins import Lock, fetch; fetch(Lock().sources, 'source')")
            self.assertEqual(got.returncode != 0, changed, got.stderr)
            if not changed:
                with open(fetched, "rb") as file:
                    self.assertEqual(file.read(), content)
        self.assertFalse(os.path.exists(fetched))

    def test_the_image_root_is_pinned_by_content(self):
        self.pin_all()
        tools = {fields[0]: fields for fields in self.lock().tools}
        self.assertEqual(list(tools), ["apt", "compiler", "library"])
        self.assertEqual(tools["library"][2], hashlib.sha256(b"library 1.0").hexdigest())
        fetched = os.path.join(self.folder, "cache/sources/library_1.0_amd64.deb")
        with open(fetched, "ab") as deb:
            deb.write(b"changed")
        os.mkdir(os.path.join(self.folder, "debs"))
        code = f"import imageroot, pins; imageroot.archive_of(pins.Lock().tools, {os.path.join(self.folder, 'debs')!r})"
        refused = self.run_it_in(code.replace(".tools", ".tools[2:]"))
        self.assertIn("library_1.0_amd64.deb in the cache was not what deps.lock pins for library 1.0", refused.stderr)
        self.assertFalse(os.path.exists(fetched))
        self.debian.put(SUITE, tools["library"][4], b"library 1.0, but other bytes")
        refused = self.run_it_in("import pins; pins.fetch(pins.Lock().tools, 'package')")
        self.assertIn("which deps.lock pins for library 1.0", refused.stderr)
        self.assertFalse(os.path.exists(fetched))

    def test_all_that_an_image_is_made_of_is_in_one_tarball_and_needs_no_network(self):
        self.pin_all()
        made = [os.path.join(self.folder, name) for name in ("one.tar", "two.tar")]
        for path in made:
            done = self.run_it("inputs", path)
            self.assertEqual(done.returncode, 0, done.stderr)
        with open(made[0], "rb") as one, open(made[1], "rb") as two:
            self.assertEqual(hashlib.file_digest(one, "sha256").digest(), hashlib.file_digest(two, "sha256").digest())
        with tarfile.open(made[0]) as tar:
            tar.extractall(self.folder, filter="data")
        lock, folder = self.lock(), os.path.join(self.folder, "inputs")
        pinned = {os.path.basename(fields[4]): fields[2] for fields in [*lock.sources, lock.kernel, *lock.headers, *lock.tools]}
        self.assertEqual(set(os.listdir(folder)), set(pinned))
        nobody = {"MIRROR": "http://127.0.0.1:1/debian", "MIRROR_SECURITY": "http://127.0.0.1:1/debian", "INPUTS": folder}

        def again(name):
            cache = os.path.join(self.folder, name)
            return self.run_it("inputs", os.path.join(self.folder, "three.tar"), GANTRY_CACHE=cache, **nobody)

        done = again("second")
        self.assertEqual(done.returncode, 0, done.stderr)
        for name, digest in pinned.items():
            with open(os.path.join(self.folder, "second/sources", name), "rb") as file:
                self.assertEqual(hashlib.file_digest(file, "sha256").hexdigest(), digest, name)
        with open(os.path.join(folder, "library_1.0_amd64.deb"), "ab") as deb:
            deb.write(b"changed")
        refused = again("third")
        self.assertEqual(refused.returncode, 1)
        self.assertIn(f"library_1.0_amd64.deb in INPUTS={folder} is not what deps.lock pins for library 1.0", refused.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "third/sources/library_1.0_amd64.deb")))
        os.unlink(os.path.join(folder, "library_1.0_amd64.deb"))
        refused = again("fourth")
        self.assertIn("library_1.0_amd64.deb, which deps.lock pins for library 1.0", refused.stderr)
        self.assertIn("or a folder with INPUTS=DIR", refused.stderr)

    def run_it_in(self, code):
        with open(os.path.join(self.top, ".ci/buildroot"), "w", encoding="utf-8") as program:
            program.write(f"import sys; sys.path.insert(0, '.ci')\n{code}\n")
        return self.run_it()


class Present(unittest.TestCase):
    """The pins of this checkout, and the libraries that were made of them."""

    def test_every_pin_names_its_suite(self):
        lock = Lock()
        self.assertEqual({fields[0] for fields in lock.sources}, set(SOURCES))
        for fields in lock.sources:
            self.assertIn(fields[5], (SUITE, SECURITY) if SOURCES[fields[0]] == SUITE else (SOURCES[fields[0]],))
        for fields in lock.kernel, *lock.headers:
            self.assertIn(fields[5], (SUITE, SECURITY))
            self.assertEqual(fields[4].startswith("pool/updates/"), fields[5] == SECURITY)
        self.assertLessEqual(set(lock.suites.values()), {SUITE, SECURITY})
        self.assertLessEqual({fields[5] for fields in lock.tools}, {SUITE, SECURITY})
        with open(".ci/packages-image", encoding="ascii") as text:
            wanted = " ".join(line for line in text.read().splitlines() if not line.startswith("#")).split()
        self.assertLessEqual(set(wanted), {fields[0] for fields in lock.tools})

    def test_debians_patches_are_applied_in_their_order(self):
        with open("build/paths.env", encoding="utf-8") as lines:
            libs = dict(line.strip().split("=", 1) for line in lines)["LIBS"]
        patched = 0
        for fields in Lock().sources:
            if ".debian.tar." not in fields[4]:
                continue
            name = fields[0]
            with tarfile.open(f"{libs}/sources/{name}/debian.tar") as tar:
                names = tar.getnames()
                series = tar.extractfile("debian/patches/series").read().decode() if "debian/patches/series" in names else ""
            wanted = [line.split()[0] for line in re.sub(r"#.*", "", series).splitlines() if line.strip()]
            with open(f"{libs}/log/{name}.log", encoding="utf-8", errors="replace") as log:
                applied = re.findall(r"^\++ patch .*-i debian/patches/(\S+)$", log.read(), re.M)
            self.assertEqual(applied, wanted, name)
            patched += len(applied)
        self.assertGreater(patched, 50)


if __name__ == "__main__":
    unittest.main()
