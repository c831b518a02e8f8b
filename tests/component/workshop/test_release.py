# SPDX-License-Identifier: GPL-2.0-or-later
"""A published image: the same bytes twice, verified by its signature and by one's own build; what differs is named."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, REPO)
from qemu import archive, folder, image, policy, release, sbom, uki  # noqa: E402

CONFIG = {"hostname": "one", "stages": [{"name": "network", "type": "network", "needs": []}], "services": []}


@unittest.skipUnless(os.path.exists(os.path.join(image.BUILD, "init")), "no build/init")
class Release(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.name = f"release-test-{os.getpid()}"
        self.source = os.path.join(self.folder, "one")
        self.write("root/etc/motd", "hello\n")
        self.write("boot.json", json.dumps(CONFIG))
        self.write("image.json", json.dumps({"name": self.name}))
        self.addCleanup(shutil.rmtree, os.path.join(image.BUILD, self.name), ignore_errors=True)
        self.git("init", "-q")
        self.commit()
        self.key = self.make_key("publisher")

    def write(self, name, text):
        path = os.path.join(self.source, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def git(self, *arguments):
        subprocess.run(["git", "-C", self.source, "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments], check=True,
                       capture_output=True)

    def commit(self):
        self.git("add", ".")
        self.git("commit", "-qm", "x")

    def make_key(self, name):
        path = os.path.join(self.folder, name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
        return path

    def publish(self):
        """A release, taken away from the build folder."""
        with contextlib.redirect_stderr(io.StringIO()):
            made = release.release(self.source, self.key)
        target = os.path.join(self.folder, "published", os.path.basename(made))
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made, target)
        return target

    def verify(self, published, signer=None):
        """(lines, what was said)."""
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()):
            count = release.verify(published, signer or self.key + ".pub", self.source)
        return count, said.getvalue()

    def content(self, published, name):
        with open(os.path.join(published, name), "rb") as file:
            return file.read()

    def test_the_same_commit_is_published_as_the_same_bytes_with_what_went_in(self):
        self.git("tag", "v1.2.3")
        published = self.publish()
        base = os.path.basename(published)
        efi = self.content(published, f"{base}.efi")
        self.assertEqual(base, f"{self.name}-1.2.3-azure-{hashlib.sha256(efi).hexdigest()[:12]}")
        inside = archive.files(uki.Image(efi).section(".initrd"))
        self.assertEqual(inside["etc/gantry/image"], f"{self.name} 1.2.3\n".encode())
        before = {name: self.content(published, name) for name in os.listdir(published)}
        self.assertEqual(sorted(before), sorted(["SHA256SUMS", "SHA256SUMS.sig", "deploy.json", "inputs.json",
                                                 "measurements.json",
                                                 "provenance.json", "sbom.cdx.json",
                                                 *(f"{base}.{kind}" for kind in ("efi", "raw", "vhd"))]))
        self.assertEqual({name: self.content(self.publish(), name) for name in before}, before)
        subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=published, check=True, capture_output=True)
        measured, = json.loads(before["measurements.json"])
        self.assertEqual(measured, {"measurement_id": f"{base}.vhd", "attestation_type": "azure-tdx",
                                    "measurements": uki.measurements(efi)["measurements"]})
        found = json.loads(before["inputs.json"])
        mine = {one["place"]: one["sha256"] for one in found if one["kind"] == "image"}
        self.assertEqual(list(mine), ["boot.json", "image.json", "root/etc/motd"])
        self.assertEqual(mine["root/etc/motd"], hashlib.sha256(b"hello\n").hexdigest())
        kinds = {one["kind"] for one in found}
        self.assertEqual(kinds - {"checkout"}, {"image", "source", "kernel", "headers", "tool"})
        named = {one["name"]: {each["license"]["name"] for each in one.get("licenses", [])}
                 for one in json.loads(before["sbom.cdx.json"])["components"]}
        self.assertEqual([name for name, licences in named.items() if not licences], [])
        for name, licence in (("musl", "MIT"), ("mbedtls", "Apache-2.0"), ("cryptsetup", "GPL-2+"), ("json-c", "MIT")):
            self.assertIn(licence, named[name])
        statement = json.loads(before["provenance.json"])
        self.assertIn({"name": f"{base}.efi", "digest": {"sha256": hashlib.sha256(efi).hexdigest()}}, statement["subject"])

    def test_licences_are_read_from_either_form_of_a_debian_copyright(self):
        for text, names in (("Files: *\nLicense: GPL-2+ or MIT\n words\n\nFiles: b\nLicense: BSD-3-clause\n",
                             ["BSD-3-clause", "GPL-2+", "MIT"]),
                            ("On Debian systems, see `/usr/share/common-licenses/LGPL-2.1'.\n", ["LGPL-2.1"]), ("nothing", [])):
            self.assertEqual(sbom.names_in(text), names)

    def test_what_a_deployment_asks_is_from_boot_json(self):
        disk, api = {"name": "disk", "type": "disk"}, {"tls_hosts": ["a"]}
        for config, lun, port in ((CONFIG, None, None), ({"stages": [disk], "api": api}, 10, 3535),
                                  ({"stages": [{**disk, "options": {"lun": 7}}], "api": {"listen": "0.0.0.0:443"}}, 7, 443),
                                  ({"stages": [{**disk, "options": {"serial": "x"}}], "api": {"listen": "127.0.0.1:80"}},
                                   None, None),
                                  ({"stages": [], "api": {"listen": "[::]:80"}}, None, 80)):
            self.assertEqual(release.for_deployment(config), {"data_disk_lun": lun, "api_port": port}, config)
        with open(os.path.join(REPO, "docs", "boot.schema.json"), encoding="utf-8") as file:
            schema = file.read()
        self.assertIn(f'"default": "{release.DEFAULT_LISTEN}"', schema)

    def test_an_image_without_a_tag_says_so(self):
        commit = subprocess.run(["git", "-C", self.source, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True,
                                check=True)
        self.assertEqual(release.version_of(folder.Folder(self.source)), f"untagged.{commit.stdout.strip()}")
        self.git("tag", "v1")
        self.assertEqual(release.version_of(folder.Folder(self.source)), "1")
        self.write("root/etc/motd", "changed\n")
        self.assertEqual(release.version_of(folder.Folder(self.source)), f"untagged.{commit.stdout.strip()}.changed")

    def test_one_s_own_build_is_held_against_it_down_to_the_path(self):
        published = self.publish()
        self.assertEqual(self.verify(published)[0], 0)
        self.write("root/etc/motd", "other\n")
        self.write("root/etc/more", "more\n")
        os.unlink(os.path.join(self.source, "image.json"))
        self.write("image.json", json.dumps({"name": self.name, "cmdline": "quiet"}))
        count, said = self.verify(published)
        lines = said.splitlines()
        base = os.path.basename(published)
        self.assertEqual(count, len(lines))
        self.assertEqual([line.split(":")[0] for line in lines],
                         [f"{base}.vhd differs", f"{base}.raw differs", f"{base}.efi differs", "inputs.json differs",
                          "measurements.json differs", "provenance.json differs", "PCR 4", "PCR 9", "PCR 11",
                          "section .cmdline differs", "section .initrd differs", "initramfs", "initramfs",
                          f"the name is {base}, of the own build it is " + lines[-1].split()[-1]])
        self.assertEqual(lines[-3:-1], ["initramfs: /etc/more is only in the own build", "initramfs: /etc/motd differs"])

    def test_what_was_changed_or_signed_by_somebody_else_is_refused(self):
        published = self.publish()
        with self.assertRaisesRegex(release.ReleaseError, "SHA256SUMS is not signed by the key in stranger.pub"):
            self.verify(published, self.make_key("stranger") + ".pub")
        base = os.path.basename(published)
        with open(os.path.join(published, f"{base}.vhd"), "r+b") as file:
            file.write(b"x")
        with self.assertRaisesRegex(release.ReleaseError, rf"{base}\.vhd is not what SHA256SUMS says"):
            self.verify(published)
        os.unlink(os.path.join(published, f"{base}.vhd"))
        with self.assertRaisesRegex(release.ReleaseError, rf"{base}\.vhd is not there, and SHA256SUMS names it"):
            self.verify(published)
        with open(os.path.join(published, "SHA256SUMS"), "a", encoding="ascii") as file:
            file.write("\n")
        with self.assertRaisesRegex(release.ReleaseError, "SHA256SUMS is not signed by the key in publisher.pub"):
            self.verify(published)
        subprocess.run(["ssh-keygen", "-Y", "sign", "-q", "-f", self.key, "-n", "file", os.path.join(published, "SHA256SUMS")],
                       check=True, capture_output=True, input="y\n", text=True)
        with self.assertRaisesRegex(release.ReleaseError, "SHA256SUMS is not signed"):     # for another purpose
            self.verify(published)

    def sign_again(self, published):
        """As the publisher can: any set of files."""
        names = sorted(set(os.listdir(published)) - {"SHA256SUMS", "SHA256SUMS.sig"})
        sums = "".join(f"{hashlib.sha256(self.content(published, name)).hexdigest()}  {name}\n" for name in names)
        image.write_new(os.path.join(published, "SHA256SUMS"), sums.encode())
        image.write_new(os.path.join(published, "SHA256SUMS.sig"), release.sign(self.key, os.path.join(published, "SHA256SUMS")))

    def test_what_the_publisher_signs_is_a_whole_release_and_nothing_else(self):
        published = self.publish()
        base = os.path.basename(published)

        def put(name, content):
            image.write_new(os.path.join(published, name), content)

        put("evil.vhd", b"x")
        with self.assertRaisesRegex(release.ReleaseError, "^evil.vhd is there, and SHA256SUMS does not name it"):
            self.verify(published)
        self.sign_again(published)
        with self.assertRaisesRegex(release.ReleaseError, "^SHA256SUMS names evil.vhd, which does not belong"):
            self.verify(published)
        os.unlink(os.path.join(published, "evil.vhd"))
        for name in (f"{base}.vhd", "deploy.json"):
            os.rename(os.path.join(published, name), os.path.join(self.folder, "aside"))
            self.sign_again(published)
            with self.assertRaisesRegex(release.ReleaseError, f"^SHA256SUMS does not name {name}, which belongs"):
                self.verify(published)
            os.rename(os.path.join(self.folder, "aside"), os.path.join(published, name))
        for name in ("deploy.json", "inputs.json", "provenance.json", "sbom.cdx.json", "measurements.json"):
            before = self.content(published, name)
            put(name, before.replace(b"2", b"3") if name != "deploy.json" else before.replace(b"null", b"22"))
            self.sign_again(published)
            said = self.verify(published)[1].splitlines()
            self.assertEqual(said[:1], [f"{name} differs"])
            self.assertEqual(said[1:], ["measurements.json is not of the published UKI"] if name == "measurements.json" else [])
            put(name, before)
        put("policy.json", b'{"pcrs": {}, "policy": "", "version": 1}')
        self.sign_again(published)
        with self.assertRaisesRegex(release.ReleaseError, "^policy.json is not of the published UKI"):
            self.verify(published)
        os.unlink(os.path.join(published, "policy.json"))
        for kind in ("efi", "raw", "vhd"):
            os.rename(os.path.join(published, f"{base}.{kind}"), os.path.join(published, f"{base[:-12]}0123456789ab.{kind}"))
        self.sign_again(published)
        with self.assertRaisesRegex(release.ReleaseError, "0123456789ab is not the name of a release whose UKI's hash begins"):
            self.verify(published)

    def test_a_signed_image_verifies_against_a_build_that_nobody_has_signed(self):
        key = os.path.join(self.folder, "policy.pem")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        self.publish()
        built = os.path.join(image.BUILD, self.name)
        policy.sign_image(built, key, 1)
        published = self.publish()
        self.assertIn("policy.json", os.listdir(published))
        shutil.rmtree(built)
        said = f"{os.path.basename(published)}: the signature is good, and the own build is the same, byte for byte\n"
        self.assertEqual(self.verify(published), (0, said))

    def test_a_later_build_leaves_an_earlier_release_as_it_was(self):
        with contextlib.redirect_stderr(io.StringIO()):
            made = release.release(self.source, self.key)
            self.write("root/etc/motd", "other\n")
            image.ensure(self.source)
        subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=made, check=True, capture_output=True)

    def test_what_is_not_as_committed_is_not_published(self):
        self.write("root/etc/more", "more\n")
        with self.assertRaisesRegex(folder.BadFolder, "^root/etc/more: it is not as committed, and a release is"):
            release.release(self.source, self.key)
        with self.assertRaisesRegex(release.ReleaseError, "checkout is not as committed.*root/etc/more"):
            release.check_checkout(self.source)
        self.commit()
        release.check_checkout(self.source)
        shutil.rmtree(os.path.join(self.source, ".git"))
        with self.assertRaisesRegex(release.ReleaseError, "not a git repository"):
            release.check_checkout(self.source)
        with self.assertRaisesRegex(folder.BadFolder, "git cannot say"):
            release.release(self.source, self.key)


if __name__ == "__main__":
    unittest.main()
