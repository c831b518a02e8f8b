# SPDX-License-Identifier: GPL-2.0-or-later
"""An image's folder: what lies in root/ is in the image as it lies there; what an image cannot hold is refused with its path."""

import contextlib
import gzip
import io
import json
import lzma
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import unittest

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, REPO)
from qemu import archive, debs, folder, image, pki  # noqa: E402

INIT = os.path.join(image.BUILD, "init")
CONFIG = {"hostname": "one", "stages": [{"name": "network", "type": "network", "needs": []}], "services": []}


@unittest.skipUnless(os.path.exists(INIT), "no build/init")
class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "one")
        os.makedirs(self.path("root"))
        self.write("boot.json", json.dumps(CONFIG), 0o644)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content="", mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def settings(self, **keys):
        self.write("image.json", json.dumps(keys))

    def entries(self):
        """{path: (mode, uid, gid, content)} of the initramfs, by Debian's cpio and by our own reader."""
        content = image.initramfs(image.Inputs(image.BUILD), folder.Folder(self.folder))
        files, found = archive.files(content), {}
        listed = subprocess.run(["cpio", "-tvn", "--quiet"], input=content, check=True, capture_output=True).stdout.decode()
        for line in listed.splitlines():
            fields = line.split(maxsplit=7)
            name, _, target = fields[-1].split(maxsplit=1)[-1].partition(" -> ")
            found["/" + name] = (fields[0], int(fields[2]), int(fields[3]), target or files.get(name))
        return found

    def refused(self, sentence):
        with self.assertRaises(image.REFUSALS) as refusal:
            self.entries()
        self.assertRegex(str(refusal.exception), sentence)
        self.assertNotIn("\n", str(refusal.exception))

    def test_a_base_is_taken_as_another_tool_has_made_it_and_root_laid_over(self):
        made = os.path.join(os.path.dirname(self.folder), "made")
        for name, content, mode in (("usr/bin/tool", "tool", 0o4755), ("etc/shadow", "root", 0o640), ("etc/passwd", "", 0o644),
                                    ("init", "another's", 0o755), ("etc/replaced", "base", 0o600)):
            os.chmod(self.write(f"../made/{name}", content), mode)
        self.write("../made/etc/passwd", "root:x:0:0::/root:/bin/bash\nmessagebus:x:100:101::/:/bin/false\n")
        os.makedirs(f"{made}/dev")
        os.makedirs(f"{made}/var/empty-folder", mode=0o700)
        os.link(f"{made}/usr/bin/tool", f"{made}/usr/bin/also")
        os.link(f"{made}/usr/bin/tool", f"{made}/etc/third")
        os.symlink("usr/bin", f"{made}/bin")
        os.symlink("/etc/none", f"{made}/etc/dangling")
        os.mknod(f"{made}/dev/zero", 0o20666 | stat.S_IFCHR, os.makedev(1, 5))
        os.chown(f"{made}/etc/shadow", 0, 42)
        names = subprocess.run(["find", ".", "-mindepth", "1"], cwd=made, check=True, capture_output=True).stdout
        content = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=made, input=names, check=True,
                                 capture_output=True).stdout
        self.write("root/etc/replaced", "own")
        self.settings(base="made.cpio")
        for tool in ("cat", "zstd -q", "gzip", "xz"):
            self.write("made.cpio", subprocess.run(tool.split(), input=content, check=True, capture_output=True).stdout)
            found = self.entries()
            self.assertEqual({path: found.get(path) for path in ("/usr/bin/tool", "/usr/bin/also", "/etc/third", "/etc/shadow",
                                                                 "/etc/replaced", "/bin", "/etc/dangling", "/dev/zero")}, {
                "/usr/bin/tool": ("-rwsr-xr-x", 0, 0, b"tool"), "/usr/bin/also": ("-rwsr-xr-x", 0, 0, b"tool"),
                "/etc/third": ("-rwsr-xr-x", 0, 0, b"tool"), "/etc/shadow": ("-rw-r-----", 0, 42, b"root"),
                "/etc/replaced": ("-rw-r--r--", 0, 0, b"own"), "/bin": ("lrwxrwxrwx", 0, 0, "usr/bin"),
                "/etc/dangling": ("lrwxrwxrwx", 0, 0, "/etc/none"), "/dev/zero": None}, tool)
            self.assertEqual(found["/var/empty-folder"][0], "drwx------")
            self.assertIn(b"messagebus:x:100:101", found["/etc/passwd"][3])
            self.assertEqual(found["/usr/bin/gantryctl"], ("lrwxrwxrwx", 0, 0, "/init"))
            with open(INIT, "rb") as file:
                self.assertEqual(found["/init"][3], file.read())
        self.assertIn("made.cpio", folder.Folder(self.folder).places())
        self.write("made.cpio", "no archive")
        self.refused("made.cpio: it is not a cpio archive")
        for cut in (content[:content.index(b"070701", 200)], gzip.compress(content)[:-9], lzma.compress(content)[:-4]):
            self.write("made.cpio", cut)
            self.refused("made.cpio: .*cut short|made.cpio: it is damaged")
        for compress in (gzip.compress, lzma.compress, archive.compress):
            self.write("made.cpio", compress(content) + bytes(8) + compress(image.overlay({"/etc/second": b"2"})))
            self.assertEqual(self.entries()["/etc/second"][3], b"2")
            self.write("made.cpio", compress(content) + b"what")
            self.refused("made.cpio: after what is compressed, 4 bytes follow")
        self.write("made.cpio", content[:300])
        self.refused("a cpio archive is cut short")
        self.settings(base="../made.cpio")
        self.refused('image.json: "base": it is not a file in the folder')

    def test_it_lies_in_the_image_as_in_root(self):
        self.write("root/srv/plain", "text")
        self.write("root/srv/program", "x", 0o755)
        self.write("root/srv/private", "x", 0o600)
        self.write("root/srv/for the group", "x", 0o640)
        self.write("root/srv/suid", "x", 0o4755)
        os.makedirs(self.path("root/srv/empty/below"))
        os.makedirs(self.path("root/srv/shared"))
        os.chmod(self.path("root/srv/shared"), 0o1777)
        os.makedirs(self.path("root/srv/closed"))
        os.chmod(self.path("root/srv/closed"), 0o700)
        for name, target in (("file", "plain"), ("folder", "empty"), ("absolute", "/etc/hostname"), ("dangling", "../none")):
            os.symlink(target, self.path(f"root/srv/{name}"))
        found = self.entries()
        self.assertEqual({path[5:]: entry for path, entry in found.items() if path.startswith("/srv/")}, {
            "plain": ("-rw-r--r--", 0, 0, b"text"), "program": ("-rwxr-xr-x", 0, 0, b"x"), "private": ("-rw-------", 0, 0, b"x"),
            "for the group": ("-rw-r-----", 0, 0, b"x"), "suid": ("-rwsr-xr-x", 0, 0, b"x"), "empty": ("drwxr-xr-x", 0, 0, None),
            "empty/below": ("drwxr-xr-x", 0, 0, None), "shared": ("drwxrwxrwt", 0, 0, None), "closed": ("drwx------", 0, 0, None),
            "file": ("lrwxrwxrwx", 0, 0, "plain"), "folder": ("lrwxrwxrwx", 0, 0, "empty"),
            "absolute": ("lrwxrwxrwx", 0, 0, "/etc/hostname"), "dangling": ("lrwxrwxrwx", 0, 0, "../none")})
        self.assertEqual(found["/etc/hostname"][3], b"one\n")

    def test_the_umask_of_the_checkout_changes_nothing(self):
        self.write("root/srv/plain", "text")
        self.write("root/srv/program", "x", 0o755)
        self.write("root/srv/open", "x", 0o666)
        before = self.entries()
        for name, mode in (("boot.json", 0o600), ("root", 0o700), ("root/srv", 0o700), ("root/srv/plain", 0o600),
                           ("root/srv/program", 0o700)):
            os.chmod(self.path(name), mode)
        self.assertEqual(self.entries(), before)
        for name, mode in (("boot.json", 0o664), ("root/srv", 0o775), ("root/srv/plain", 0o664), ("root/srv/program", 0o775)):
            os.chmod(self.path(name), mode)
        self.assertEqual(self.entries(), before)

    def test_own_files_go_where_the_links_of_a_merged_usr_lead_and_a_file_of_root_stays(self):
        os.makedirs(self.path("root/usr/bin"))
        for name in ("bin", "sbin", "lib"):
            os.symlink(f"usr/{name}", self.path(f"root/{name}"))
        self.write("root/usr/sbin/chronyd", "mine", 0o755)
        self.write("root/etc/hosts", "mine")
        self.write("boot.json", json.dumps({**CONFIG, "modules": ["dm_mod"]}))
        found = self.entries()
        self.assertEqual(found["/usr/bin/gantryctl"][3], "/init")
        self.assertIn("/usr/sbin/dhcpcd", found)
        self.assertIn("/usr/lib/modules/dm_mod.ko", found)
        self.assertEqual((found["/usr/sbin/chronyd"][3], found["/etc/hosts"][3]), (b"mine", b"mine"))
        self.assertEqual([path for path in found if path.startswith(("/bin/", "/sbin/", "/lib/"))], [])

    def test_links_in_a_circle_are_refused(self):
        os.symlink("sbin", self.path("root/bin"))
        os.symlink("bin", self.path("root/sbin"))
        self.refused("more than 40 links")

    def test_modes_owners_and_folders_come_from_image_json(self):
        self.write("boot.json", json.dumps({**CONFIG, "users": [{"name": "web", "uid": 1001, "gid": 1001, "groups": ["tls"]}]}))
        key = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], check=True, capture_output=True).stdout
        self.write("root/etc/web/key.pem", key)
        self.refused("root/etc/web/key.pem: it holds a private key, and every process of the machine could read it")
        self.settings(paths={"/etc/web/key.pem": {"mode": "0640", "owner": "web", "group": "tls"},
                             "/var/lib/web": {"directory": True, "mode": "0750", "owner": "web", "group": 1001}})
        found = self.entries()
        self.assertEqual(found["/etc/web/key.pem"][:3], ("-rw-r-----", 1001, 2000))
        self.assertEqual(found["/var/lib/web"], ("drwxr-x---", 1001, 1001, None))

    def test_accounts_of_root_are_kept_unless_they_take_a_name_or_number(self):
        self.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/bin/false\n")
        self.write("root/etc/group", "root:x:0:\nwww-data:x:33:\n")
        found = self.entries()
        self.assertIn(b"root:x:0:0::/root:/bin/gantryctl\n", found["/etc/passwd"][3])
        self.assertTrue(found["/etc/passwd"][3].endswith(b"\nwww-data:x:33:33::/var/www:/bin/false\n"))
        self.write("root/etc/passwd", "toor:x:0:0:root:/root:/bin/bash\n")
        self.refused("root/etc/passwd:1: toor has the number 0, which is that of root")
        self.write("root/etc/passwd", "nonsense\n")
        self.refused("root/etc/passwd:1: it is not a line of /etc/passwd")

    def test_what_an_image_cannot_hold_is_refused_and_never_opened(self):
        os.mkfifo(self.path("root/fifo"))
        self.refused("root/fifo: it is a FIFO, and an image holds files, folders and links")
        os.unlink(self.path("root/fifo"))
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(self.path("root/socket"))
        self.refused("root/socket: it is a socket")
        os.unlink(self.path("root/socket"))
        outside = self.write("outside", "x")
        os.link(outside, self.path("root/hard"))
        self.refused(r"root/hard: 1 further names of this file \(hard links\) are outside of root")
        os.unlink(outside)
        os.link(self.path("root/hard"), self.path("root/hard2"))
        self.entries()

    @unittest.skipUnless(os.geteuid() == 0 and "GANTRY_USERNS" not in os.environ, "device nodes need root")
    def test_devices_below_dev_are_left_out_with_a_note_and_others_refused(self):
        os.makedirs(self.path("root/dev"))
        os.mknod(self.path("root/dev/zero"), 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertNotIn("/dev/zero", self.entries())
        self.assertIn("root/dev/zero is a device: left out", said.getvalue())
        os.mknod(self.path("root/zero"), 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        self.refused("root/zero: it is a character device")

    def test_what_editors_leave_behind_is_refused(self):
        for name in (".boot.swp", "file~", "#file#", "file.orig", ".DS_Store"):
            path = self.write(f"root/etc/{name}")
            self.refused(f"root/etc/{re.escape(name)}: an editor or patch has left it there")
            os.unlink(path)

    def test_gantry_itself_is_not_replaced(self):
        self.write("root/init", "x", 0o755)
        self.refused("root/init: /init is Gantry itself")

    def test_programs_are_left_out_by_name_and_the_check_sees_what_needs_them(self):
        self.settings(leave_out=["/sbin/dropbear", "/bin/chronyc"])
        found = self.entries()
        self.assertEqual([path for path in ("/sbin/dropbear", "/etc/dropbear", "/bin/chronyc") if path in found], [])
        self.assertIn("/sbin/dhcpcd", found)
        self.settings(leave_out=["/sbin/nothing"])
        self.refused('image.json: "leave_out": /sbin/nothing is none of /sbin/chronyd')
        self.settings(leave_out=["/sbin/e2fsck"])
        self.write("boot.json", json.dumps({**CONFIG, "services": [{"name": "check", "command": ["/sbin/e2fsck"]}]}))
        with self.assertRaisesRegex(image.BuildError, '"/sbin/e2fsck": not in the image'):
            self.entries()

    def test_the_network_s_daemons_have_a_configuration_unless_the_image_has_its_own(self):
        found = self.entries()
        default = os.path.join(image.DEFAULTS, "etc", "chrony.conf")
        self.assertEqual(found["/etc/chrony.conf"][-1], image.read_file(default))
        self.assertEqual(found["/etc/dhcpcd.conf"][-1], image.read_file(os.path.join(image.DEFAULTS, "etc", "dhcpcd.conf")))
        subprocess.run(["chronyd", "-p", "-U", "-f", default], check=True, capture_output=True)      # it understands each line
        self.write("root/etc/dhcpcd.conf", "noarp\n")
        self.settings(leave_out=["/sbin/chronyd"])
        found = self.entries()
        self.assertEqual(found["/etc/dhcpcd.conf"][-1], b"noarp\n")
        self.assertNotIn("/etc/chrony.conf", found)

    def test_nothing_of_the_tests_gets_into_another_image(self):
        found = self.entries()
        self.assertEqual([path for path in found if path.startswith("/bin/")], ["/bin/chronyc", "/bin/gantryctl"])
        self.assertNotIn("/etc/gantry/hub-ca.pem", found)
        program = os.path.join(image.BUILD, "guest", "reth")
        shutil.copy(program, self.path("root/reth"))
        self.refused("/reth: it is reth, a program of the test image")
        os.unlink(self.path("root/reth"))
        bundle = b"some text before\n" + image.read_file(pki.path("hub-ca.pem"))
        private = image.read_file(pki.path("hub.key"))
        scalar = next(image.pem_blocks(private))[7:39]
        for content in (bundle, private, next(image.pem_blocks(bundle)), scalar):
            path = self.write("root/etc/bundle.pem", content, 0o600)
            self.refused("/etc/bundle.pem: it holds the key of qemu/pki/hub[a-z-]*.(pem|key), whose private half everybody has")
            os.unlink(path)

    def test_keys_of_image_json_are_refused_with_their_place(self):
        for keys, sentence in (
                ({"nmae": "x"}, 'there is no key "nmae": the keys are name, '),
                ({"name": "../x"}, '"name": \'../x\' is not 1 to 63 of'),
                ({"name": 1}, '"name" is not text'), ({"paths": []}, '"paths" is not an object'),
                ({"cmdline": "init=/bin/sh"}, '"cmdline": init=/bin/sh cannot be given here'),
                ({"cmdline": "a\nb"}, '"cmdline": it holds other characters'),
                ({"cmdline": "lockdown=none"}, "lockdown=none cannot be given"),
                ({"console": "a b"}, '"console": \'a b\' is not a device'),
                ({"compression": "xz"}, '"compression": it is "zstd" or "none"'),
                ({"esp_mib": 5000}, '"esp_mib": it is from 72 to 4095'), ({"esp_mib": True}, '"esp_mib" is not a whole number'),
                ({"paths": {"etc": {"mode": "0644"}}}, '"paths": etc: it is not a path'),
                ({"paths": {"/etc/../x": {"mode": "0644"}}}, '/etc/../x: it is not a path'),
                ({"paths": {"/etc": {}}}, "/etc: it is not an object of"), ({"paths": {"/etc": {"mode": 644}}}, None),
                ({"paths": {"/etc": {"mode": "0999"}}}, '/etc: "mode" is not three or four octal digits'),
                ({"paths": {"/etc": {"owner": -1}}}, '/etc: "owner" is neither a name nor a number'),
                ({"paths": {"/etc": {"mode": 640}}}, '/etc: "mode" is not three or four octal digits, as text'),
                ({"paths": {"/etc": {"owner": "nobody"}}}, '/etc: "owner": the image has no user nobody'),
                ({"paths": {"/none": {"mode": "0644"}}}, '/none is not in the image')):
            with self.subTest(keys=keys):
                self.settings(**keys)
                if sentence:
                    self.refused("image.json: " + re.escape(sentence) if sentence.startswith('"') else re.escape(sentence))
        self.write("image.json", '{\n\t// a comment\n\t"name": "x",,\n}')
        self.refused(r"image\.json:3: ")
        self.write("image.json", '{"name": "x", "name": "y"}')
        self.refused('image.json: "name" is given twice')

    def test_what_an_image_is_made_of_is_plain_files_and_no_links(self):
        outside = os.path.join(os.path.dirname(self.folder), "outside")
        self.settings(base="sub/system.cpio", images={"web": "./web.oci", "tar": "./web.tar"})
        made = {name: self.write(name) for name in ("packages", "packages.lock", "sub/system.cpio", "web.oci/index.json",
                                                    "web.oci/blobs/sha256/0", "web.tar", "modules/x.ko")}
        made.update({name: self.path(name) for name in ("boot.json", "image.json", "sub", "web.oci", "web.oci/blobs", "modules")})
        folder.Folder(self.folder)
        for name, path in made.items():
            os.rename(path, outside)
            os.symlink(outside, path)
            with self.assertRaisesRegex(folder.BadFolder, f"^{name} is a link"):
                folder.Folder(self.folder)
            os.unlink(path)
            if not os.path.isdir(outside):
                os.mkfifo(path)
                with self.assertRaisesRegex(folder.BadFolder, f"^{name} is (a FIFO|not a plain file)"):
                    folder.Folder(self.folder)
                os.unlink(path)
            os.rename(outside, path)
        folder.Folder(self.folder)

    def test_a_fifo_keeps_nobody_waiting(self):
        fifo = self.path("packages")
        os.mkfifo(fifo)
        with self.assertRaisesRegex(folder.BadFolder, "is not a plain file"):
            image.read_file(fifo)
        done = subprocess.run([sys.executable, "-c", "import debs, sys; debs.wanted(sys.argv[1])", self.folder], timeout=20,
                              cwd=os.path.join(REPO, ".ci"), capture_output=True, text=True, check=False,
                              env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        self.assertRegex(done.stderr, "Refused: .*packages is not a plain file")

    def test_a_package_s_hard_link_to_what_is_dropped_is_refused(self):
        member = tarfile.TarInfo("./usr/bin/x")
        member.type, member.linkname = tarfile.LNKTYPE, "./usr/share/doc/x/a"
        with self.assertRaisesRegex(debs.BadPackage, "x: ./usr/bin/x is a hard link to ./usr/share/doc/x/a, which is not in"):
            debs.add(archive.Archive(), "x", None, member)

    def git(self, *arguments):
        subprocess.run(["git", "-C", self.folder, "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments], check=True,
                       capture_output=True)

    def test_what_is_not_as_committed_is_refused_in_a_pinned_build_and_has_no_version(self):
        self.write("root/etc/known", "x")
        self.write(".gitignore", "*.key\n")
        for command in ("init -q", "add .", "commit -qm x", "tag v1.2"):
            self.git(*command.split())
        source = folder.Folder(self.folder)
        self.assertEqual((source.unknown_to_git(), source.version()), ([], "1.2"))
        self.git("config", "status.showUntrackedFiles", "no")
        os.environ["PINNED"] = "1"
        self.addCleanup(os.environ.pop, "PINNED")

        def refused(sentence):
            with self.assertRaisesRegex(folder.BadFolder, sentence):
                image.build(image.Inputs(image.BUILD), self.folder)

        for name in ("root/etc/unknown", "root/etc/ignored.key", "root/etc/known"):
            before = image.read_file(self.path(name)) if os.path.exists(self.path(name)) else None
            self.write(name, "changed")
            self.assertEqual(source.unknown_to_git(), [] if before else [name])
            self.assertEqual(source.version(), folder.UNTAGGED)
            refused(f"^{name}: it is not as committed")
            if before:
                self.write(name, before)
            else:
                os.unlink(self.path(name))
        self.assertEqual(source.version(), "1.2")
        os.rename(self.path(".git"), self.path("../git"))
        refused("^git cannot say whether .* is as committed: fatal: not a git repository")
        self.write(".git", "gitdir: /elsewhere/.git/worktrees/x\n")
        refused("^git cannot say whether .* is as committed: fatal: ")

    def test_a_name_of_something_else_in_the_build_folder_is_refused(self):
        for name in ("obj", "init", "tests"):
            self.settings(name=name)
            with self.assertRaisesRegex(image.BuildError, f"build/{name} is in use for other things"):
                image.build(image.Inputs(image.BUILD), self.folder)


class Archives(unittest.TestCase):
    def entry(self, name, content=b"", size=None):
        size = b"%08X" % len(content) if size is None else size
        out = b"070701" + b"%08X" % 7 + b"%08X" % 0o100644 + b"0" * 16 + b"%08X" % 1 + b"0" * 8 + size + b"0" * 32 \
            + b"%08X" % (len(name) + 1) + b"0" * 8 + name + b"\0"
        out += bytes(-len(out) % 4) + content
        return out + bytes(-len(out) % 4)

    def test_a_number_that_the_format_cannot_hold_is_refused_with_its_path(self):
        inside = self.entry(b"etc/gantry/boot.json", b"another's")
        for uid, gid, rdev in ((1 << 32, 0, (0, 0)), (0, 1 << 36, (0, 0)), (-1, 0, (0, 0)), (0, 0, (1 << 32, 0))):
            made = archive.Archive()
            made.file("/etc/gantry/boot.json", b"own")
            made.add("/images/web/a", stat.S_IFREG | 0o644, b"#" * 48 + inside, uid, gid, rdev)
            with self.assertRaisesRegex(archive.BadArchive, "^/images/web/a: its (owner|group|device) is "):
                made.bytes()
        made = archive.Archive()
        made.file("/a", b"x", uid=0xFFFFFFFF)
        self.assertEqual(dict(archive.read(made.bytes()))["a"][1], 0xFFFFFFFF)
        for path in ("TRAILER!!!", "a\0b", "a/" * 2048 + "b"):
            made = archive.Archive()
            made.add(path, stat.S_IFREG | 0o644)
            with self.assertRaises(archive.BadArchive):
                made.bytes()

    def test_an_archive_is_read_to_its_last_byte_or_refused(self):
        good, end = self.entry(b"a", b"12345678"), self.entry(b"TRAILER!!!")
        self.assertEqual([path for path, _ in archive.read(good + end + bytes(512) + good + end)], ["a", "a"])
        for data, words in ((good, "cut short"), (good + good, "cut short"), (good + bytes(512), "damaged"),
                            (good + end + b"more", "not a cpio"), (good + end + bytes(8) + b"x" * 200, "not a cpio"),
                            (good + end + good, "cut short"), (good + b"070707" + bytes(200), "damaged"),
                            (self.entry(b"a", size=b"-0000070") + end, "damaged"),
                            (self.entry(b"a", size=b"0x000001") + end, "damaged"),
                            (self.entry(b"a", size=b" 0000_01") + end, "damaged"), (self.entry(b"a\0b") + end, "damaged"),
                            (self.entry(b"./TRAILER!!!") + good, "cut short"),
                            (archive.compress(good) + good + end, "cut short"), (b"no archive", "not a cpio archive")):
            with self.subTest(data[:200]), self.assertRaisesRegex(archive.BadArchive, words):
                list(archive.read(data))


class Compression(unittest.TestCase):
    def test_frames_and_archives_that_follow_one_another_are_read(self):
        first = image.overlay({"/a": b"1" * 100000, "/b": b"2"})
        second = image.overlay({"/b": b"3", "/c": archive.ZSTD_MAGIC * 9})
        expected = {"a": b"1" * 100000, "b": b"3", "c": archive.ZSTD_MAGIC * 9}
        for data in (first + second, archive.compress(first) + second, first + archive.compress(second),
                     archive.compress(first) + archive.compress(second), archive.compress(first + second)):
            self.assertEqual(archive.files(data), expected)

    def test_the_size_of_a_frame_is_what_zstd_takes(self):
        for content in (b"", b"x", os.urandom(300000), b"y" * 5000000):
            frame = archive.compress(content)
            size = archive.frame_size(frame, 0)
            self.assertEqual(archive.unpack(frame[:size]), content)
            self.assertEqual(frame[size:].strip(b"\0"), b"")
            for cut in (1, 4, 5, size // 2, size - 1):
                with self.assertRaises(archive.BadArchive):
                    archive.unpack(frame[:archive.frame_size(frame[:cut], 0)])

    def test_it_is_the_same_bytes_each_time(self):
        content = os.urandom(1000) * 3000
        self.assertEqual(archive.compress(content), archive.compress(content))


if __name__ == "__main__":
    unittest.main()
