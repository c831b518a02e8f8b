# SPDX-License-Identifier: GPL-2.0-or-later
"""`gantryctl check --root DIR`: what a configuration names is in the image, or its place is said."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
INIT = os.environ.get("GANTRY_INIT", os.path.join(REPO, "build", "init"))
sys.path.insert(0, REPO)
from qemu import image  # noqa: E402
from qemu.archive import Archive  # noqa: E402


@unittest.skipUnless(os.path.exists(INIT), "no build/init")
class CheckRoot(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder, self.root = folder.name, os.path.join(folder.name, "root")
        archive = Archive()
        archive.file("/bin/reth", b"program", 0o755)
        archive.file("/etc/gantry/x.mustache", b"text")
        archive.link("/bin/absolute", "/bin/reth")
        archive.link("/bin/relative", "reth")
        archive.link("/bin/outside", "../../../../../../../../bin/sh")
        archive.link("/bin/gone", "/bin/true")      # which is on this machine, but not in the image
        archive.file("/etc/data", b"text")
        archive.directory("/etc")
        archive.directory("/sbin")
        os.mkdir(self.root)
        archive.lay_out(self.root)

    def check(self, config, *arguments):
        path = os.path.join(self.folder, "boot.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"held": {}, **config}, file, indent=1)
        checked = subprocess.run(["gantryctl", "check", *(arguments or ("--root", self.root)), path], executable=INIT,
                                 capture_output=True, text=True, check=False)
        return (checked.stdout or checked.stderr).replace(path, "boot.json").strip()

    def service(self, program, **more):
        return {"services": [{"name": "a", "command": [program], **more}]}

    def test_programs_that_are_there_are_accepted_through_links_of_the_image_too(self):
        for program in ("/bin/reth", "/bin/absolute", "/bin/relative"):
            self.assertEqual(self.check(self.service(program)), "boot.json: ok")

    def test_what_comes_at_run_time_is_not_asked_for(self):
        disk = {"stages": [{"name": "disk", "type": "disk", "options": {"mount": "/data", "keys": ["tpm2"]}}],
                "modules": ["dm_crypt", "xts", "sd_mod"]}
        self.assertEqual(self.check(self.service("/run/x")), "boot.json: ok")
        self.assertEqual(self.check(self.service("/data/x") | disk), "boot.json: ok")
        self.assertIn('"/data/x": not in the image', self.check(self.service("/data/x")))
        self.assertIn('"/data2/x": not in the image', self.check(self.service("/data2/x") | disk))

    def test_what_is_not_there_or_no_program_is_named_with_line_and_place(self):
        for program, says in (("/bin/reht", '"/bin/reht": not in the image: No such file or directory'),
                              ("/bin/gone", '"/bin/gone": not in the image: No such file or directory'),
                              ("/bin/outside", '"/bin/outside": not in the image: No such file or directory'),
                              ("/etc/gantry/x.mustache", '"/etc/gantry/x.mustache" is not executable in the image'),
                              ("/sbin", '"/sbin" is not a regular file in the image')):
            self.assertEqual(self.check(self.service(program)), f'boot.json:7: services[0] "a": command[0]: {says}')
        self.assertEqual(self.check(self.service("/bin/reht"), "--root", "/nowhere"), "/nowhere: No such file or directory")

    def test_a_service_with_a_root_of_its_own_is_looked_for_there(self):
        tree = Archive()
        for path in ("proc", "sys", "dev", "run", "tmp", "data"):
            tree.directory(f"/srv/tree/{path}")
        tree.file("/srv/tree/bin/web", b"program", 0o755)
        tree.file("/srv/tree/accounts", b"web:x:1:1::/:\n")
        tree.link("/srv/tree/etc/passwd", "/accounts")
        tree.directory("/srv/lacks/proc")
        tree.lay_out(self.root)

        def given(program="/bin/web", path="/srv/tree", **root):
            return self.check(self.service(program, root={"path": path, **root}))

        at = 'services[0] "a": root.'
        self.assertEqual(given(user="web", volumes=["/srv/x:/data", "/srv/y:/run/y"]), "boot.json: ok")
        self.assertEqual(given(user="4711:4711"), "boot.json: ok")
        self.assertIn('services[0] "a": command[0]: "/bin/reth": not in the image', given("/bin/reth"))
        self.assertIn(at + 'path: "/srv/none": not in the image: No such file', given(path="/srv/none"))
        self.assertIn(at + 'path: "/srv/lacks" has no /dev to mount at: No such file', given(path="/srv/lacks"))
        self.assertIn(at + 'user: "root" is not in the tree\'s /etc/passwd', given(user="root"))
        self.assertIn(at + 'user: "web" is not in the tree\'s /etc/group', given(user="web:web"))
        self.assertIn(at + 'volumes[0]: "/gone" is not in the tree, which is read-only: No such', given(volumes=["/x:/gone"]))
        self.assertIn(at + 'volumes[0]: "/var/tmp/x" is not in the tree', given(volumes=["/x:/var/tmp/x"]))
        os.makedirs(os.path.join(self.root, "srv/tree/var/tmp"))
        self.assertEqual(given(volumes=["/x:/var/tmp/x"]), "boot.json: ok")

    def test_stages_templates_and_actions_are_looked_for_too(self):
        stages = [{"name": "config", "type": "config", "options": {"url": "https://hub.example/", "ca": "/run/ca.pem"}},
                  {"name": "render", "type": "render", "needs": ["config"],
                   "options": {"files": [{"template": "/etc/gantry/x.mustache", "path": "/etc/x"}]}},
                  {"name": "more", "type": "exec", "options": {"command": ["/bin/reth"]}}]
        api = {"actions": [{"name": "act", "command": ["/bin/reth"]}]}
        self.assertEqual(self.check({"stages": stages, "api": api}), "boot.json: ok")
        api["actions"][0]["command"] = ["/bin/ash"]
        self.assertIn('api.actions[0] "act": command[0]: "/bin/ash": not in', self.check({"stages": stages, "api": api}))
        stages[2]["options"]["command"] = ["/bin/ash"]
        self.assertIn('stages[2] "more": options.command[0]: "/bin/ash": not in', self.check({"stages": stages}))
        stages[1]["options"]["files"][0]["template"] = "/etc/y"
        self.assertIn('stages[1] "render": options.files[0].template: "/etc/y": not in', self.check({"stages": stages}))

    def test_a_folder_that_stays_writable_is_no_file_of_the_image_and_not_below_one(self):
        def given(*paths):
            return self.check({"hardening": {"writable": list(paths)}})

        self.assertEqual(given("/srv/new", "/etc/app"), "boot.json: ok")
        self.assertEqual(given("/srv", "/etc/data"), 'boot.json:6: hardening.writable[1]: "/etc/data" is not a directory in the '
                                                     'image')
        self.assertEqual(given("/etc/data/x"), 'boot.json:5: hardening.writable[0]: "/etc/data/x": cannot be a directory in the '
                                               'image: Not a directory')
        step = self.service("/bin/reth", before_start=[{"directory": "/etc/data"}])
        self.assertIn('services[0] "a": before_start[0].directory: "/etc/data" is not a directory in the image', self.check(step))

    def test_two_disks_with_one_address_name_or_mount_point_are_refused_and_the_other_is_named(self):
        def check(one, two):
            path = os.path.join(self.folder, "disks.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"stages": [{"name": name, "type": "disk", **({"options": options} if options else {})}
                                      for name, options in (("a", one), ("b", two))]}, file)
            checked = subprocess.run(["gantryctl", "check", path], executable=INIT, capture_output=True, text=True, check=False)
            return (checked.stdout or checked.stderr).replace(path, "boot.json").strip()

        other = {"name": "other", "mount": "/other"}
        for one, two, says in (
                ({"lun": 3}, {"lun": 3, **other}, 'options: has the same "lun"'),
                (None, {"lun": 10, **other}, 'options: has the same "lun"'),
                ({"lun": 10}, {**other}, 'options: has the same "lun"'),
                (None, None, 'has the same "lun"'),
                ({"serial": "x"}, {"serial": "x", **other}, 'options: has the same "serial"'),
                ({"lun": 3}, {"lun": 4, "mount": "/other"}, 'options: has the same "name"'),
                ({"lun": 3, "name": "persistent"}, {"lun": 4, "mount": "/other"}, 'options: has the same "name"'),
                ({"lun": 3}, {"lun": 4, "name": "other"}, 'options: has the same "mount"'),
                ({"lun": 3, **other}, {"lun": 4, "name": "b", "mount": "/other"}, 'options: has the same "mount"')):
            self.assertEqual(check(one, two), f'boot.json:1: stages[1] "b": {says} as stages[0] "a"', (one, two))
        for one, two in ((None, {"lun": 11, **other}), ({"nsid": 10}, {"lun": 10, **other}),
                         ({"largest": True}, {"lun": 10, **other})):
            self.assertEqual(check(one, two), "boot.json: ok", (one, two))

    def test_modules_that_a_stage_or_container_needs_are_in_the_list_because_none_is_loaded_later(self):
        disk = {"name": "disk", "type": "disk", "options": {"keys": ["tpm2"]}}
        box = {"name": "box", "needs": ["disk"], "container": {"image": f"a.example/b@sha256:{'0' * 64}"}}

        def check(modules, **more):
            return self.check({"modules": modules, "stages": [disk], **more})

        needs = 'boot.json:%d: stages[0] "disk": needs the kernel module "%s", which is not in "modules"; it cannot be loaded ' \
                'later'
        self.assertEqual(check(["dm_mod", "xts", "sd_mod"]), needs % (11, "dm_crypt"))
        self.assertEqual(check(["dm-crypt", "dm_mod", "sd_mod"]), needs % (11, "xts"))
        self.assertEqual(check(["dm-crypt", "dm_mod", "xts"]), needs % (11, "sd_mod"))
        self.assertEqual(check(["dm-crypt", "sd-mod", "xts"]), "boot.json: ok")
        self.assertEqual(check([], hardening={"keep": ["modules"]}), "boot.json: ok")
        disk["options"]["nsid"] = 1
        self.assertEqual(check(["dm-crypt", "xts"]), "boot.json: ok")
        containers = {"services": [box], "containers": {"podman": "/bin/reth"}}
        self.assertIn('services[0] "box": needs the kernel module "overlay"', check(["dm-crypt", "xts"], **containers))
        self.assertEqual(check(["dm-crypt", "xts", "overlay"], **containers), "boot.json: ok")
        box["container"]["network"] = "bridge"
        self.assertIn('services[0] "box": needs the kernel module "bridge"', check(["dm-crypt", "xts", "overlay"], **containers))
        port = self.service("/bin/reth", ready={"tcp": "127.0.0.1:80"})
        self.assertIn(': needs the kernel module "tcp_diag"', check(["dm-crypt", "xts"], **port))
        self.assertEqual(check(["dm-crypt", "xts", "tcp-diag"], **port), "boot.json: ok")

    def test_the_user_and_home_of_a_daemon_that_would_run_unconfined_without_them_are_looked_for(self):
        service = self.service("/sbin/dhcpcd", user="dhcpcd", capabilities=["NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE",
                                                                            "SYS_CHROOT"])
        archive = Archive()
        archive.file("/sbin/dhcpcd", b"program", 0o755)
        archive.lay_out(self.root)
        self.assertIn("the image has no /etc/passwd: No such file or directory", self.check(service))
        archive.file("/etc/passwd", b"root:x:0:0::/:/bin/sh\n")
        archive.lay_out(self.root)
        self.assertIn('"dhcpcd" is not a user of the image', self.check(service))
        archive.file("/etc/passwd", b"dhcpcd:x:0:0::/var/empty:/bin/false\n")
        archive.lay_out(self.root)
        self.assertIn('"dhcpcd" is not a user of the image', self.check(service))
        archive.file("/etc/passwd", image.accounts({})[0].encode())
        archive.lay_out(self.root)
        self.assertIn('the home directory of "dhcpcd" is not in the image: No such file or directory', self.check(service))
        archive.directory("/var")
        archive.directory("/var/empty")
        archive.lay_out(self.root)
        self.assertEqual(self.check(service), "boot.json: ok")

    def test_all_that_is_missing_is_told_in_one_run(self):
        config = {"services": [{"name": "a", "command": ["/bin/reht"]},
                               {"name": "b", "command": ["/bin/gone"], "environment_file": "/etc/b"},
                               {"name": "c", "command": ["/bin/reth"], "ready": {"exec": ["/bin/probe"]}}],
                  "api": {"listen": "127.0.0.1:1", "actions": [{"name": "act", "command": ["/bin/ash"]}]}}
        told = [line.split(": ", 1)[1] for line in self.check(config).splitlines()]
        self.assertEqual(sorted(told), sorted([
            'services[0] "a": command[0]: "/bin/reht": not in the image: No such file or directory',
            'services[1] "b": command[0]: "/bin/gone": not in the image: No such file or directory',
            'services[1] "b": environment_file: warning: "/etc/b": not in the image, and nothing makes it: '
            'No such file or directory',
            'services[2] "c": ready.exec[0]: "/bin/probe": not in the image: No such file or directory',
            'api.actions[0] "act": command[0]: "/bin/ash": not in the image: No such file or directory']))

    def test_the_libraries_of_a_program_and_theirs_are_looked_for_where_its_loader_would(self):
        def compiled(name, text, *arguments):
            source, path = os.path.join(self.folder, "x.c"), os.path.join(self.folder, name)
            with open(source, "w", encoding="ascii") as file:
                file.write(text)
            subprocess.run(["gcc", "-o", path, source, "-L", self.folder, *arguments], check=True, cwd=self.folder)
            with open(path, "rb") as file:
                return file.read()

        two = compiled("libtwo.so", "int two(void) { return 2; }", "-shared", "-fPIC", "-Wl,-soname,libtwo.so.1", "-nostdlib")
        one = compiled("libone.so", "int two(void); int one(void) { return two(); }", "-shared", "-fPIC", "-ltwo", "-nostdlib")
        program = compiled("program", "int one(void); int main(void) { return one(); }", "-lone", "-Wl,-rpath,$ORIGIN/../own",
                           "-Wl,--enable-new-dtags", "-Wl,--allow-shlib-undefined")
        archive, service = Archive(), self.service("/bin/program")

        def with_file(*path_and_content):
            archive.file(*path_and_content)
            archive.lay_out(self.root)
            path = os.path.join(self.folder, "boot.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(service, file)
            checked = subprocess.run(["gantryctl", "check", "--root", self.root, path], executable=INIT, capture_output=True,
                                     text=True, check=True)
            return [line.split('"/bin/program" ')[1] for line in checked.stderr.splitlines()]

        loader = "/lib64/ld-linux-x86-64.so.2"
        self.assertEqual(with_file("/bin/program", program, 0o755),
                         [f"is executed by {loader}, which is not in the image: No such file or directory",
                          *(f"needs the library {name}, which is not in the image" for name in ("libone.so", "libc.so.6"))])
        archive.file(loader, b"loader", 0o755)
        archive.file("/usr/lib/x86_64-linux-gnu/libc.so.6", b"not ELF")
        self.assertEqual(with_file("/etc/x", b""), ["needs the library libone.so, which is not in the image"])
        self.assertEqual(with_file("/own/libone.so", one), ["needs the library libtwo.so.1, which is not in the image"])
        self.assertEqual(with_file("/own/libtwo.so.1", two), ["needs the library libtwo.so.1, which is not in the image"])
        self.assertEqual(with_file("/usr/lib64/libtwo.so.1", two), [])      # libone has no RUNPATH of its own

    def test_the_image_build_refuses_with_the_same_words(self):
        with open(os.path.join(self.folder, "boot.json"), "w", encoding="utf-8") as file:
            json.dump(self.service("/bin/reht"), file)
        with self.assertRaisesRegex(image.BuildError, '"/bin/reht": not in the image'):
            image.check_config(INIT, file.name, self.root)


if __name__ == "__main__":
    unittest.main()
