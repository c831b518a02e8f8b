# SPDX-License-Identifier: GPL-2.0-or-later
"""OCI images of an image's folder: layers become the tree that umoci unpacks, too, and what the image says of its program is in
boot.json unless that says otherwise."""

import contextlib
import gzip
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import urllib.request

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path[:0] = [REPO, os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
from ocilayout import Layout as MadeLayout  # noqa: E402
from qemu import image, oci  # noqa: E402
from qemu.archive import Archive  # noqa: E402
from qemu.folder import BadFolder, Folder  # noqa: E402

BASE = [("etc", 0o40755, 0, 0, ""), ("etc/passwd", 0o100644, 0, 0, "root:x:0:0::/root:/\nweb:x:101:102::/home/web:/\n"),
        ("etc/group", 0o100644, 0, 0, "root:x:0:\nweb:x:102:\n"), ("etc/hosts", 0o100644, 0, 0, ""),
        ("usr/bin", 0o40755, 0, 0, ""), ("usr/bin/web", 0o104755, 0, 102, "program"), ("bin", 0o120777, 0, 0, "usr/bin"),
        ("usr/bin/same", 0o100755, 0, 0, "=usr/bin/web"), ("srv", 0o40750, 101, 102, ""),
        ("srv/old", 0o100600, 101, 102, "old"),
        ("srv/stays", 0o100644, 0, 0, "stays"), ("cache/a/b", 0o100644, 0, 0, "x"), ("cache/c", 0o100644, 0, 0, "x"),
        ("lib", 0o40755, 0, 0, ""), ("lib/x", 0o100644, 0, 0, "x"), ("file", 0o100644, 0, 0, "x"), ("tmp", 0o41777, 0, 0, "")]
SECOND = [("srv/.wh.old", 0o100644, 0, 0, ""), ("cache/new", 0o100644, 0, 0, "new"), ("cache/.wh..wh..opq", 0o100644, 0, 0, ""),
          ("bin/more", 0o100711, 7, 8, "#!/bin/web"), ("etc/absolute", 0o120777, 0, 0, "/srv/stays"),
          ("lib", 0o120777, 0, 0, "usr/lib"),
          ("file", 0o40711, 0, 0, ""), ("file/inside", 0o100644, 0, 0, "now a folder"),
          ("usr/bin/web", 0o100755, 0, 0, "newer"), ("dev", 0o40755, 0, 0, "")]
CONFIG = {"Entrypoint": ["web"], "Cmd": ["--port", "80"], "Env": ["PATH=/nowhere:/bin", "MODE=a"], "WorkingDir": "/srv/work",
          "User": "web", "StopSignal": "SIGQUIT", "Volumes": {"/data": {}, "/tmp/x": {}}}


def Layout(folder, layers=(BASE, SECOND), config=None, **more):
    return MadeLayout(folder, layers, CONFIG if config is None else config, **more)


class Oci(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        self.layout = os.path.join(self.folder, "web.oci")

    def read(self, text="./web.oci"):
        return oci.Image(self.folder, "web", text)

    def entries(self, found):
        return {path: (f"{mode:o}", uid, gid, content.decode()) for path, (mode, uid, gid, _, content)
                in found.archive.entries.items()}

    def test_layers_become_the_tree_that_umoci_unpacks_too(self):
        Layout(self.layout)
        found = self.entries(self.read())
        bundle = os.path.join(self.folder, "bundle")
        subprocess.run(["umoci", "unpack", "--image", self.layout + ":one", bundle], check=True)
        root = os.path.join(bundle, "rootfs")
        theirs = {}
        for where, folders, names in os.walk(root):
            for name in [*folders, *names]:
                path = os.path.join(where, name)
                status = os.lstat(path)
                content = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
                if stat.S_ISREG(status.st_mode):
                    with open(path, encoding="utf-8") as file:
                        content = file.read()
                theirs[os.path.relpath(path, root)] = (f"{status.st_mode:o}", status.st_uid, status.st_gid, content)
        self.assertEqual(found, theirs)
        self.assertNotIn("srv/old", found)
        self.assertEqual(sorted(path for path in found if path.startswith("cache")), ["cache", "cache/new"])
        self.assertEqual(found["usr/bin/same"], ("104755", 0, 102, "program"))
        self.assertEqual(found["usr/bin/more"], ("100711", 7, 8, "#!/bin/web"))

    def test_a_layer_may_be_compressed_or_not_and_the_layout_an_archive(self):
        Layout(self.layout)
        wanted = self.entries(self.read())
        with tarfile.open(os.path.join(self.folder, "web.tar"), "w") as tar:
            tar.add(self.layout, arcname=".")
        self.assertEqual(self.entries(self.read("./web.tar")), wanted)
        for compress in (lambda data: data, lambda data: subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True,
                                                                        check=True).stdout):
            shutil.rmtree(self.layout)
            Layout(self.layout, compress=compress)
            self.assertEqual(self.entries(self.read()), wanted)

    def refused(self, words, text="./web.oci"):
        with self.assertRaisesRegex(oci.BadImage, f'image.json: "images": web .*: .*{words}'):
            self.read(text)

    def test_what_is_not_what_its_digest_says_is_refused(self):
        layout = Layout(self.layout)
        self.refused("is neither an image with registry and digest", "docker.io/nginx:latest")
        self.refused("is not there", "./none")
        self.refused("is missing in", "./web.oci@sha256:" + "0" * 64)
        self.read("./web.oci@" + layout.manifest["digest"])
        layout.write("blobs/sha256/" + layout.config["digest"][7:], b"{}")
        self.refused("has another content")
        shutil.rmtree(self.layout)
        Layout(self.layout, compress=lambda data: gzip.compress(data)[:-9])
        self.refused("cut short")
        shutil.rmtree(self.layout)
        Layout(self.layout, architecture="arm64")
        self.refused("it is for linux/arm64, not for linux/amd64")
        shutil.rmtree(self.layout)
        Layout(self.layout, layers=[b"x" * 1024])
        self.refused("the layer sha256:")
        shutil.rmtree(self.layout)
        Layout(self.layout, layers=[[("../../x", 0o100644, 0, 0, "inside"), ("a/b", 0o100644, 0, 0, "=none")]])
        self.refused("/a/b is a hard link to /none, which is not there")
        shutil.rmtree(self.layout)
        Layout(self.layout, layers=[[("a", 0o100644, 0, 0, "file"), ("a/b", 0o100644, 0, 0, "x")]])
        self.refused("/a/b is in no folder: /a is none")

    def test_what_is_malformed_is_refused_in_a_sentence(self):
        for name in (".wh.", ".wh..", ".wh..."):
            shutil.rmtree(self.layout, ignore_errors=True)
            Layout(self.layout, layers=[BASE, [(f"srv/{name}", 0o100644, 0, 0, "")]])
            self.refused(f"/srv/{name} is a whiteout of no name")
        for config, words in (({"Env": 5}, '"Env" is not a list of texts'), ({"Cmd": [1]}, '"Cmd" is not'),
                              (["x"], '"config" is not'), ({"Volumes": ["a"]}, '"Volumes" is not an object'),
                              ({"User": 5}, '"User" is not text')):
            shutil.rmtree(self.layout)
            Layout(self.layout, config=config)
            self.refused(words)
        shutil.rmtree(self.layout)
        os.makedirs(self.layout)
        os.mkfifo(os.path.join(self.layout, "index.json"))
        self.refused("index.json is not a plain file")
        image.write_new(os.path.join(self.folder, "web.tar"), b"not a tar" * 200)
        self.refused("web.tar is neither a folder nor a tar archive of one", "./web.tar")
        for boot, words in (({"stages": 5}, '"stages" is not a list of objects'), ({"services": {"a": 1}}, '"services" is not'),
                            ({"services": [1]}, '"services" is not'), ({"modules": 1}, '"modules" is not a list of texts'),
                            ({"services": [{"name": "w", "root": {"volumes": ["/a"]}}]}, 'w: "volumes" is not a list')):
            image.write_new(os.path.join(self.folder, "boot.json"), json.dumps(boot).encode())
            image.write_new(os.path.join(self.folder, "image.json"), b'{"images": {"web": "./none"}}')
            with self.assertRaisesRegex(BadFolder, f"boot.json: {words}"):
                image.lay_images(Archive(), Folder(self.folder))

    def test_no_path_leaves_the_tree(self):
        Layout(self.layout, layers=[[("up", 0o120777, 0, 0, "../../.."), ("up/x", 0o100644, 0, 0, "x"),
                                     ("../../y", 0o100644, 0, 0, "y"), ("/z", 0o100644, 0, 0, "z")]])
        self.assertEqual({path: entry[3] for path, entry in self.entries(self.read()).items()},
                         {"up": "../../..", "x": "x", "y": "y", "z": "z"})

    def filled(self, service, config=None, stages=()):
        shutil.rmtree(self.layout, ignore_errors=True)
        Layout(self.layout, config=config)
        boot = {"stages": list(stages), "services": [{"name": "web", "root": {"path": "/images/web"}, **service}]}
        found = self.read()
        said = oci.fill([found], boot, lambda path: path == "/etc/file")
        return boot["services"][0], said, self.entries(found)

    def test_what_the_image_says_of_its_program_is_filled_in_and_said(self):
        service, said, tree = self.filled({}, stages=[{"name": "net", "type": "network"}])
        self.assertEqual(service, {
            "name": "web", "root": {"path": "/images/web", "user": "web", "volumes": ["/run/dhcp:/run/dhcp:ro"]},
            "command": ["/bin/web", "--port", "80"], "environment": {"HOME": "/home/web", "PATH": "/nowhere:/bin", "MODE": "a"},
            "directory": "/srv/work", "stop_signal": "QUIT"})
        self.assertIn('web: command = ["/bin/web", "--port", "80"]', said)
        self.assertIn("web: it writes to /data: give a volume for it in `root.volumes`, the tree is read-only", said)
        self.assertEqual(len(said), 6)
        self.assertEqual(tree["etc/resolv.conf"][3], "/run/dhcp/resolv.conf")
        self.assertEqual(tree["etc/hosts"][3], "127.0.0.1 localhost\n::1 localhost\n")
        self.assertIn("srv/work", tree)

    def test_what_boot_json_says_counts(self):
        own = {"command": ["/bin/more"], "environment": {"MODE": "b"}, "directory": "/", "stop_signal": "INT",
               "root": {"path": "/images/web", "user": "7", "volumes": ["/srv/data:/data", "/etc/file:/etc/of/web:ro"]}}
        service, said, tree = self.filled(own)
        self.assertEqual(service, {"name": "web", **own, "environment": {"HOME": "/", "PATH": "/nowhere:/bin", "MODE": "b"}})
        self.assertEqual(len(said), 1)
        self.assertEqual((tree["data"][0], tree["etc/of/web"]), ("40755", ("100644", 0, 0, "")))
        self.assertNotIn("etc/resolv.conf", tree)
        self.assertIn("web: its stop signal is SIGRTMIN+3, which no service can have: it gets TERM",
                      self.filled({}, {"Cmd": ["/bin/web"], "StopSignal": "SIGRTMIN+3"})[1])
        with self.assertRaisesRegex(oci.BadImage, "web: its program absent is in no folder of its PATH"):
            self.filled({}, {"Cmd": ["absent"]})
        with self.assertRaisesRegex(oci.BadImage, "web: it names no program"):
            self.filled({}, {})

    def test_an_images_folder_has_it_below_images_and_its_filled_configuration_is_checked(self):
        Layout(self.layout)
        with open(os.path.join(self.folder, "boot.json"), "w", encoding="utf-8") as file:
            json.dump({"services": [{"name": "web", "root": {"path": "/images/web"}}]}, file)
        for images, says in (({"Web": "./web.oci"}, "it is not a name"), ({"web": "./../web.oci"}, "it is not a name"),
                             ({"web": 1}, "it is not a name")):
            with open(os.path.join(self.folder, "image.json"), "w", encoding="utf-8") as file:
                json.dump({"name": "of-the-oci-test", "images": images}, file)
            with self.assertRaisesRegex(BadFolder, says):
                Folder(self.folder)
        with open(os.path.join(self.folder, "image.json"), "w", encoding="utf-8") as file:
            json.dump({"name": "of-the-oci-test", "images": {"web": "./web.oci"}}, file)
        os.makedirs(os.path.join(self.folder, "root/images/web/srv"))
        with open(os.path.join(self.folder, "root/images/web/lib"), "w", encoding="utf-8") as file:
            file.write("laid over")
        content = []
        with contextlib.redirect_stderr(io.StringIO()):
            for _ in range(2):
                content.append(image.initramfs(image.Inputs(image.BUILD), Folder(self.folder)))
        self.assertEqual(content[0], content[1])
        files = image.archive.files(content[0])
        self.assertEqual(files["images/web/usr/bin/web"], b"newer")
        self.assertEqual(files["images/web/lib"], b"laid over")
        self.assertEqual(json.loads(files["etc/gantry/boot.json"])["services"][0]["stop_signal"], "QUIT")
        self.assertIn("web.oci/index.json", Folder(self.folder).places())
        shutil.rmtree(self.layout)
        Layout(self.layout, config={**CONFIG, "User": "nobody"})
        refused = self.assertRaisesRegex(image.BuildError, 'root.user: "nobody" is not in the tree')
        with refused, contextlib.redirect_stderr(io.StringIO()):
            image.initramfs(image.Inputs(image.BUILD), Folder(self.folder))

    def test_folders_to_mount_at_are_made_in_every_tree_that_is_a_root(self):
        machine = Archive()
        machine.file("/srv/tree/bin/web", b"program", 0o755)
        machine.directory("/srv/tree/tmp", 0o700)
        oci.make_places(machine, {"services": [{"root": {"path": "/srv/tree"}}, {"root": {"path": "/none"}}, {}]})
        made = sorted(path for path in machine.entries if path.startswith("srv/tree/") and path.count("/") == 2)
        self.assertEqual(made,
                         [f"srv/tree/{name}" for name in ("bin", "dev", "proc", "run", "sys", "tmp")])
        self.assertEqual(machine.entries["srv/tree/tmp"][0], 0o40700)

    def test_an_image_is_fetched_from_a_registry_by_digest(self):
        layout = Layout(self.layout)
        cache, oci.CACHE = oci.CACHE, os.path.join(self.folder, "cache")
        self.addCleanup(setattr, oci, "CACHE", cache)
        config = os.path.join(self.folder, "registry.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {self.folder}/registry}}}}\n"
                       "http: {addr: 127.0.0.1:0}\n")
        registry = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                    text=True)
        self.addCleanup(registry.wait)
        self.addCleanup(registry.kill)
        self.addCleanup(registry.stderr.close)
        for line in registry.stderr:
            if "listening on" in line:
                address = line.split("listening on ")[1].split('"')[0].split(",")[0]
                break
        end = time.monotonic() + 10
        while True:
            try:
                urllib.request.urlopen(f"http://{address}/v2/").close()
                break
            except OSError:
                self.assertLess(time.monotonic(), end)
        subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", "--preserve-digests",
                        f"oci:{self.layout}:one", f"docker://{address}/org/web:one"], check=True)
        name = f"{address}/org/web@{layout.manifest['digest']}"
        fetched = self.entries(self.read(name))
        self.assertEqual(fetched, self.entries(self.read()))
        registry.kill()
        self.assertEqual(self.entries(self.read(name)), fetched)         # from the cache
        self.refused("skopeo: ", f"{address}/org/web@sha256:{'1' * 64}")


if __name__ == "__main__":
    unittest.main()
