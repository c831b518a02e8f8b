#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds an image from its folder: initramfs, Unified Kernel Image, GPT disk and Azure VHD. Same inputs, same bytes.

The initramfs is the folder's packages (debs.py) and root/ (folder.py), what the table in this file adds of Gantry's own, the
kernel modules that boot.json names, and the accounts. It is checked by the very binary that will boot it: what is wrong is
refused here, never on a machine without a console. The test image alone gets the programs of qemu/guest and the test hub's
CA; in another image they are refused. variant.py makes other images of the test image by appending a second, small cpio
(overlay()).
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from base64 import b64decode

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPOSITORY)
from qemu import archive, debs, disk, folder, kernel, oci, pki, uki
from qemu.accounts import LOGIN_SHELL, accounts

BUILD = os.environ.get("GANTRY_BUILD", os.path.join(REPOSITORY, "build"))
EFI_STUB = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
TEST_FOLDER = os.path.join(REPOSITORY, "qemu", "images", "test")
TEST_OUT = os.path.join(BUILD, "test")
# what else lies in the build folder
TAKEN = {"bench", "fuzz", "guest", "kbuild", "lint", "modules", "obj", "peers", "results", "rooms", "run", "sanitized",
         "tests", "tpm"}
CMDLINE = "console=ttyS0 quiet panic=-1"    # the test image's, without the hardening
# What closes the kernel before PID 1 runs, by its name in boot.json's `hardening.keep`.
HARDENING = {"lockdown": "lockdown=integrity", "proc_mem": "proc_mem.force_override=never"}

LINKS = {
    "/sbin/poweroff": "/init", "/sbin/reboot": "/init", "/sbin/halt": "/init", "/sbin/dhcp-hook": "/init",
    "/bin/gantryctl": "/init", "/etc/dropbear": "/persistent/dropbear",      # its host keys: docs/ssh.md
    "/etc/resolv.conf": "/run/dhcp/resolv.conf",        # the DHCP hook's, which is not root
}
PROGRAMS = ("/sbin/chronyd", "/bin/chronyc", "/sbin/dhcpcd", "/sbin/mke2fs", "/sbin/e2fsck", "/sbin/dropbear")   # of $LIBS/bin
DEFAULTS = os.path.join(REPOSITORY, "qemu", "defaults")      # files of an image that has none of its own, and whose they are
DEFAULT_FILES = {"/etc/dhcpcd.conf": "/sbin/dhcpcd", "/etc/chrony.conf": "/sbin/chronyd"}
DIRECTORIES = {
    ".": 0o755,                         # the root itself: the kernel makes it for everybody to write to
    "/bin": 0o755, "/dev": 0o755, "/etc": 0o755, "/etc/gantry": 0o755, "/persistent": 0o755, "/proc": 0o555,
    "/root": 0o700, "/run": 0o755, "/sbin": 0o755, "/sys": 0o555, "/tmp": 0o1777, "/var": 0o755, "/var/lib": 0o755,
    "/usr": 0o755, "/usr/bin": 0o755, "/usr/sbin": 0o755, "/var/empty": 0o755,
}


class BuildError(Exception):
    pass


REFUSALS = (BuildError, folder.BadFolder, archive.BadArchive, debs.BadPackage, kernel.BadKernel, oci.BadImage, uki.BadImage,
            OSError, ValueError)


def overlay(files):
    """A cpio to append to an initramfs: {path: bytes} or {path: (bytes, mode)} replaces or adds these files."""
    added = archive.Archive()
    for path, content in files.items():
        added.file(path, *(content if isinstance(content, tuple) else (content,)))
    return added.bytes()


def read_config(path):
    with open(path, encoding="utf-8") as file:
        return json.loads(folder.plain_json(file.read()))


def read_file(path):
    with folder.open_regular(path) as file:
        return file.read()


class Modules:
    """The kernel's modules: names, what each depends on, and the order in which they load.

    Dependencies are read from the modules themselves (their .modinfo), so no index has to be made first. OWN: a folder of
    modules that were built elsewhere, which come before the kernel's.
    """

    def __init__(self, folder, own=None):
        self.folder, self.own = folder, own
        self.paths = {}
        for where, _, names in (one for top in (folder, own) if top for one in os.walk(top)):
            for name in names:
                if found := kernel.module_name(name):
                    self.paths[found] = os.path.join(where, name)
        builtin = os.path.join(folder, "modules.builtin")
        self.builtin = set()
        if os.path.exists(builtin):
            with open(builtin, encoding="ascii") as file:
                self.builtin = {os.path.basename(line.strip())[:-3].replace("-", "_") for line in file}
        self.contents = {}

    def content(self, name):
        if name not in self.contents:
            self.contents[name] = kernel.module_content(read_file(self.paths[name]), self.paths[name])
        return self.contents[name]

    def check_own(self, names, locked_down):
        """The modules from elsewhere fit this kernel, and it will take them."""
        for name in names:
            path = self.paths[name]
            if not self.own or not path.startswith(self.own + os.sep):
                continue
            release, here = kernel.release_of(self.content(name)), os.path.basename(self.folder)
            if release != here:
                raise BuildError(f"{path}: it was built for the kernel {release}, and this one is {here}")
            if locked_down and not self.content(name).endswith(kernel.SIGNED):
                raise BuildError(f"{path}: it is not signed, and a kernel that is locked down does not load it: sign it with a "
                                 'key that the kernel has, or "hardening": {"keep": ["lockdown"]} in boot.json')

    def needs(self, name):
        info = re.findall(rb"\0(depends|softdep)=([^\0]*)", self.content(name))
        needs = []
        for kind, value in info:
            words = value.decode()
            if kind == b"softdep":
                before = re.search(r"pre:([^:]*?)(?:post:|platform:|$)", words)
                words = ",".join(before[1].split()) if before else ""
            needs += [(word.replace("-", "_"), kind == b"depends") for word in words.split(",") if word]
        return needs

    def in_order(self, names):
        """All modules that NAMES need, each after what it depends on."""
        order, seen = [], set()

        def visit(name, required, wanted_by):
            name = name.replace("-", "_")
            if name in seen or name in self.builtin:
                return
            if name not in self.paths:
                if required:
                    raise BuildError(f"no kernel module {name} in {self.folder} (wanted by {wanted_by})")
                return
            seen.add(name)
            for other, must in self.needs(name):
                visit(other, must, name)
            order.append(name)

        for name in names:
            visit(name, True, "boot.json")
        return order


def module_files(inputs, names, own=None, locked_down=True):
    """{path: bytes}: the modules of these names, those they need, and the list in whose order PID 1 loads them."""
    modules = Modules(inputs.modules, own)
    order = modules.in_order(names)
    modules.check_own(order, locked_down)
    files = {f"/lib/modules/{name}.ko": modules.content(name) for name in order}
    files["/etc/gantry/modules"] = "".join(f"{path}\n" for path in files).encode()
    return files


def cmdline(config, chosen=CMDLINE):
    """The kernel's command line: what is CHOSEN, and the hardening but what the configuration keeps out."""
    keep = config.get("hardening", {}).get("keep", [])
    return " ".join([chosen, *(parameter for name, parameter in HARDENING.items() if name not in keep)])


class Inputs:
    """Where the build left its results: build/paths.env, lines of NAME=value."""

    def __init__(self, build):
        self.build = build
        self.values = {}
        path = os.path.join(build, "paths.env")
        try:
            with open(path, encoding="utf-8") as file:
                for line in file:
                    name, equals, value = line.strip().partition("=")
                    if equals and not name.startswith("#"):
                        self.values[name] = value.strip("\"'")
        except FileNotFoundError:
            raise BuildError(f"{path} is missing: run make first") from None

    def __getitem__(self, name):
        if name not in self.values:
            raise BuildError(f"{self.build}/paths.env has no {name}")
        return self.values[name]

    @property
    def kernel(self):
        return os.path.join(self["KERNEL_DIR"], "boot", "vmlinuz")

    @property
    def vmlinux(self):
        """The same kernel, not compressed."""
        return os.path.join(self["KERNEL_DIR"], "vmlinux")

    @property
    def modules(self):
        return os.path.join(self["KERNEL_DIR"], "lib", "modules", self["KERNEL_VERSION"])

    def guest_programs(self):
        folder = os.path.join(self.build, "guest")
        return sorted(name for name in os.listdir(folder) if not name.endswith(".d")) if os.path.isdir(folder) else []


def check_config(init, path, root=None):
    """Refuses a wrong configuration; with ROOT, a folder laid out as the image, one that names what is not in it, too."""
    of_image = ["--root", root] if root else []
    checked = subprocess.run([init, "gantryctl", "check", *of_image, path], capture_output=True, text=True, check=False)
    if checked.returncode != 0:
        said = (checked.stderr or checked.stdout).strip()
        raise BuildError(f"{path}: refused by gantryctl check:\n{said}")
    if checked.stderr and root:
        print(checked.stderr.strip(), file=sys.stderr)


def rendered_files(config):
    return [file["path"] for stage in config.get("stages", []) if stage["type"] == "render"
            for file in stage.get("options", {}).get("files", [])]


def add_own(built, inputs, settings):
    """Gantry's own files, each where the links of root/ lead; a file of root/ stays, but /init."""
    def put(path, add, *more):
        path = built.resolve(path)
        if path not in built.entries:
            add(path, *more)

    if "init" in built.entries:
        raise BuildError("root/init: /init is Gantry itself")
    leave_out = set(settings["leave_out"])
    if unknown := sorted(leave_out - set(PROGRAMS)):
        raise BuildError(f'image.json: "leave_out": {unknown[0]} is none of {", ".join(PROGRAMS)}')
    for path, mode in DIRECTORIES.items():
        lies = built.entries.get(path.strip("/"))
        if lies is None or lies[0] == stat.S_IFDIR | 0o755:
            built.directory(path, mode)
        elif built.is_link(path):
            built.parents(built.resolve(f"{path}/."))
    if "dev/console" not in built.entries:
        built.device("/dev/console", 5, 1)
    put("/init", built.file, read_file(os.path.join(inputs.build, "init")), 0o755)
    for path, target in LINKS.items():
        if path != "/etc/dropbear" or "/sbin/dropbear" not in leave_out:
            put(path, built.link, target)
    for path in PROGRAMS:
        if path not in leave_out:
            put(path, built.file, read_file(os.path.join(inputs["LIBS"], "bin", os.path.basename(path))), 0o755)
    for path, program in DEFAULT_FILES.items():
        if program not in leave_out:
            put(path, built.file, read_file(DEFAULTS + path))


def add_accounts(built, config):
    """/etc/passwd and /etc/group, which keep what root/ has of accounts of other names. Returns ({user: uid}, {group: gid})."""
    before = [built.entries.pop(path, (0, 0, 0, None, b""))[4].decode() for path in ("etc/passwd", "etc/group")]
    passwd, group = accounts(config, *before)
    built.file("/etc/passwd", passwd.encode())
    built.file("/etc/group", group.encode())
    return tuple({line.split(":")[0]: int(line.split(":")[2]) for line in text.splitlines()} for text in (passwd, group))


def known_keys():
    """{the bytes of a key: its file}, of the keys in the repository: private halves, and public ones as in certificates."""
    found = {}
    for name in sorted(os.listdir(pki.FOLDER)):
        if name.endswith((".pem", ".key")):
            der = b"".join(pem_blocks(read_file(pki.path(name))))
            for kind, size in ((rb"\x03\x42\x00\x04", 64), (rb"\x04\x20", 32)):     # BIT STRING: a point, OCTET STRING: a scalar
                ends = [at.end() for at in re.finditer(kind, der) if at.end() + size <= len(der)]
                found.update({der[at:at + size]: name for at in ends})
    return found


def pem_blocks(content):
    for block in re.findall(rb"-----BEGIN [A-Z ]+-----([A-Za-z0-9+/=\s]+)-----END", content):
        try:
            yield b64decode(block)
        except ValueError:
            pass


def refuse_test_material(inputs, built):
    """No image but the test image may hold its programs, nor a key whose private half everybody has."""
    programs = {hashlib.sha256(read_file(os.path.join(inputs.build, "guest", name))).digest(): name
                for name in inputs.guest_programs()}
    keys = known_keys()
    for path, (mode, _, _, _, content) in sorted(built.entries.items()):
        if not stat.S_ISREG(mode):
            continue
        if name := programs.get(hashlib.sha256(content).digest()):
            raise BuildError(f"/{path}: it is {name}, a program of the test image")
        blocks = [content, *pem_blocks(content)] if b"-----BEGIN" in content else [content]
        for block in blocks:
            for key, name in keys.items():
                if key in block:
                    raise BuildError(f"/{path}: it holds the key of qemu/pki/{name}, whose private half everybody has")


def lay_base(built, source):
    """Adds the system that another tool has made: a cpio archive, compressed or not. Gantry is /init, the kernel makes /dev."""
    name = source.settings["base"]
    if not name:
        return
    dropped = []
    try:
        entries = list(archive.read(kernel.whole(source.read(name))))
    except (kernel.BadKernel, archive.BadArchive) as error:
        raise BuildError(f"{name}: {error}") from None
    for path, entry in entries:
        mode = entry[0]
        if path == "init" or path.startswith("dev/") and not stat.S_ISDIR(mode):
            dropped += [path] if path == "init" else []
        elif stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISLNK(mode):
            built.parents(path)
            built.entries[path] = entry
        else:
            raise BuildError(f"{name}: {path} is a {folder.kind_of(mode)}, and an image holds files, folders and links")
    if not built.entries:
        raise BuildError(f"{name}: it is not a cpio archive of the form newc, or has nothing that an image takes")
    for path in dropped:
        print(f"  note: {path} of {name} is left out: Gantry is /init", file=sys.stderr)


def lay_images(built, source, out=None):
    """Adds the OCI images of a folder, and fills into its configuration what they say and boot.json does not."""
    if source.settings["images"]:
        oci.check_boot(source.config)
    images = [oci.Image(source.path, name, text) for name, text in sorted(source.settings["images"].items())]

    def is_file(path):
        return stat.S_ISREG(built.entries.get(built.resolve(path), (0,))[0]) or os.path.isfile(source.where("root" + path))

    for line in oci.fill(images, source.config, is_file):
        print(f"  image {line}", file=sys.stderr)
    for image in images:
        image.lay(built)
    if images:
        source.text = (json.dumps(source.config, indent=1, ensure_ascii=False) + "\n").encode()
        if out:
            source.filled = os.path.join(out, "boot.json")
            write_new(source.filled, source.text)


def initramfs(inputs, source, out=None):
    """The archive of the initramfs for an image's folder (folder.Folder); OUT: where a filled boot.json goes."""
    config, built, needed = source.config, archive.Archive(), {}
    lay_base(built, source)
    if os.path.exists(source.where("packages.lock")):
        needed = debs.lay(built, source.where("packages.lock"))
    lay_images(built, source, out)
    for path in source.lay(built):
        print(f"  note: root{path} is a device: left out, the kernel makes those of /dev", file=sys.stderr)
    add_own(built, inputs, source.settings)
    if source.path == TEST_FOLDER:
        for name in inputs.guest_programs():
            built.file(f"/bin/{name}", read_file(os.path.join(inputs.build, "guest", name)), 0o755)
        built.file("/etc/gantry/hub-ca.pem", read_file(pki.path("hub-ca.pem")))
    else:
        refuse_test_material(inputs, built)
    oci.make_places(built, config)
    locked_down = "lockdown" not in config.get("hardening", {}).get("keep", [])
    for path, content in module_files(inputs, config.get("modules", []), source.where("modules"), locked_down).items():
        built.file(built.resolve(path), content)
    users, groups = add_accounts(built, config)
    for name in sorted(needed.keys() - users.keys()):
        print(f"  note: package {needed[name]} would make a user {name}, which boot.json does not name", file=sys.stderr)
    for path, content in (("/etc/shells", LOGIN_SHELL + "\n"), ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
                          ("/etc/hostname", config.get("hostname", "gantry") + "\n")):
        if path.strip("/") not in built.entries:
            built.file(path, content.encode())
    built.file("/etc/gantry/boot.json", source.text)
    built.file("/etc/gantry/image", f"{source.settings['name']} {source.version()}\n".encode())
    for path in rendered_files(config):         # the render stage replaces files, it makes no folders
        built.parents(built.resolve(path))
    source.set_paths(built, users, groups)
    with tempfile.TemporaryDirectory() as laid:
        built.lay_out(laid)
        filled = source.filled or os.path.join(laid, "etc/gantry/boot.json")
        check_config(os.path.join(inputs.build, "init"), filled if source.settings["images"] else source.where("boot.json"), laid)
    return built.bytes()


def write_uki(inputs, initrd, path, line):
    """PATH becomes the UKI of kernel, INITRD (a path) and the command line LINE. No .osrel: the stub would add to the initrd."""
    command = ["ukify", "build", f"--linux={inputs.kernel}", f"--initrd={initrd}", f"--cmdline={line}",
               f"--uname={inputs['KERNEL_VERSION']}", f"--stub={EFI_STUB}", "--os-release=",
               f"--output={path}.new"]          # PATH may have further names: those of a release
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise BuildError(f"ukify: {built.stderr.strip() or built.stdout.strip()}")
    os.replace(path + ".new", path)


def write_new(path, content):
    """Replaces PATH whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
        file.write(content)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def fingerprint(inputs, source):
    """A hash of everything the image is made of: what has it already need not be built."""
    digest = hashlib.sha256()
    paths = [os.path.join(REPOSITORY, "qemu", f"{name}.py")
             for name in ("accounts", "archive", "debs", "disk", "folder", "image", "kernel", "oci", "uki")]
    paths += [DEFAULTS + path for path in DEFAULT_FILES]
    paths += [os.path.join(inputs.build, "init"), pki.path("hub-ca.pem")]
    paths += [os.path.join(inputs.build, "guest", name) for name in inputs.guest_programs()]
    paths += [source.where(place) for place in source.places()]
    for path in sorted(paths):
        mode = os.lstat(path).st_mode
        content = os.fsencode(os.readlink(path)) if stat.S_ISLNK(mode) else read_file(path) if stat.S_ISREG(mode) else b""
        digest.update(f"{os.fsencode(path)!r} {mode:o} {len(content)}\n".encode() + content)
    digest.update(f"{source.settings} {source.version()}".encode())
    digest.update(f"{inputs['ROOT_ID']} {inputs['LIBS']} {inputs['KERNEL_DIR']} {inputs['KERNEL_VERSION']}".encode())
    return digest.hexdigest()


def out_of(inputs, source):
    """Where the image of a folder lies."""
    name = source.settings["name"]
    out = os.path.join(inputs.build, name)
    if name in TAKEN or os.path.lexists(out) and not os.path.exists(os.path.join(out, "lock")):
        raise BuildError(f'build/{name} is in use for other things: give the image another "name" in image.json')
    return out


def build(inputs, path):
    """Makes everything of the image's folder PATH, if it is not there already from the same inputs. Returns where it lies."""
    source = folder.Folder(path)
    if os.environ.get("PINNED") == "1":
        source.check_committed("with PINNED=1 an image is what a commit says")
    if unknown := source.unknown_to_git():
        print(f"  note: in the image, but not known to git: {', '.join(unknown)}", file=sys.stderr)
    out = out_of(inputs, source)
    if not os.path.isdir(out):
        os.makedirs(out)
        open(os.path.join(out, "lock"), "a", encoding="ascii").close()
    with open(os.path.join(out, "lock"), "a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, inputs_hash = os.path.join(out, "inputs"), fingerprint(inputs, source)
        if os.path.exists(stamp) and read_file(stamp).decode() == inputs_hash:
            return out
        if os.path.exists(stamp):
            os.unlink(stamp)
        build_all(inputs, source, out)
        write_new(stamp, inputs_hash.encode())
    return out


def build_all(inputs, source, out):
    if not source.settings["images"]:       # else it is checked when they have filled it
        check_config(os.path.join(inputs.build, "init"), source.where("boot.json"))

    def path(name):
        return os.path.join(out, name)

    settings, content = source.settings, initramfs(inputs, source, out)
    write_new(path("initramfs.cpio"), content if settings["compression"] == "none" else archive.compress(content))
    write_new(path("vmlinuz"), read_file(inputs.kernel))
    write_new(path("cmdline"), chosen_cmdline(source).encode())
    write_uki(inputs, path("initramfs.cpio"), path("gantry.efi"), chosen_cmdline(source))
    if os.path.exists(path("policy.json")):             # another image's
        os.unlink(path("policy.json"))
    disk.write_disk(path("gantry.raw"), path("gantry.efi"), esp_min=settings["esp_mib"] * disk.MIB)
    disk.write_vhd(path("gantry.vhd"), path("gantry.raw"))
    write_new(path("measurements.json"),
              (json.dumps(uki.measurements(read_file(path("gantry.efi"))), indent=2) + "\n").encode())
    for name in ("initramfs.cpio", "gantry.efi", "gantry.raw", "gantry.vhd"):
        print(f"  {os.path.relpath(path(name), REPOSITORY)} {os.path.getsize(path(name))} bytes", file=sys.stderr)


def chosen_cmdline(source):
    console = source.settings["console"]
    return cmdline(source.config, " ".join(filter(None, [f"console={console}" if console else "", source.settings["cmdline"]])))


def ensure(path=TEST_FOLDER):
    """The built image of a folder, made where needed: where it lies."""
    return build(Inputs(BUILD), path)


def chosen_folder():
    """The image's folder that make was given by IMAGE, or the test image's."""
    return os.environ.get("GANTRY_IMAGE") or TEST_FOLDER


def ensure_or_exit(path=None):
    try:
        return ensure(path or chosen_folder())
    except REFUSALS as error:
        sys.exit(f"image: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="the image's folder; default: the test image's")
    ensure_or_exit(parser.parse_args().folder)


if __name__ == "__main__":
    main()
