#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the image: initramfs, Unified Kernel Image, GPT disk and Azure VHD. Same inputs, same bytes.

The initramfs is a table in this file plus the tree qemu/boot/root, written as newc cpio by our own code: sorted,
without dates, with owners and modes from the table, never from the file system the build runs on. The configuration
is checked by the very binary that will read it, and an invalid one is refused here, never on a machine without a
console. variant.py makes other images of it by appending a second, small cpio (overlay()).
"""

import argparse
import fcntl
import hashlib
import json
import lzma
import os
import re
import stat
import subprocess
import sys
import tempfile

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPOSITORY)
from qemu import disk, pki, uki
from qemu.accounts import LOGIN_SHELL, accounts

BUILD = os.environ.get("GANTRY_BUILD", os.path.join(REPOSITORY, "build"))
EFI_STUB = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
CMDLINE = "console=ttyS0 quiet panic=-1"
LAID_OUT = 65536        # bytes of a program in a tree that is only checked
# What closes the kernel before PID 1 runs, by its name in boot.json's `hardening.keep`.
HARDENING = {"lockdown": "lockdown=integrity", "proc_mem": "proc_mem.force_override=never"}

LINKS = {
    "/sbin/poweroff": "/init", "/sbin/reboot": "/init", "/sbin/halt": "/init", "/sbin/dhcp-hook": "/init",
    "/bin/gantryctl": "/init", "/etc/dropbear": "/persistent/dropbear",      # its host keys: docs/ssh.md
    "/etc/resolv.conf": "/run/dhcp/resolv.conf",        # the DHCP hook's, which is not root
}
PROGRAMS = ("/sbin/chronyd", "/bin/chronyc", "/sbin/dhcpcd", "/sbin/mke2fs", "/sbin/e2fsck", "/sbin/dropbear")   # of $LIBS/bin
DIRECTORIES = {
    ".": 0o755,                         # the root itself: the kernel makes it for everybody to write to
    "/bin": 0o755, "/dev": 0o755, "/etc": 0o755, "/etc/gantry": 0o755, "/persistent": 0o755, "/proc": 0o555,
    "/root": 0o700, "/run": 0o755, "/sbin": 0o755, "/sys": 0o555, "/tmp": 0o1777, "/var": 0o755, "/var/lib": 0o755,
    "/usr": 0o755, "/usr/bin": 0o755, "/usr/sbin": 0o755, "/var/empty": 0o755,
}


class BuildError(Exception):
    pass


class Archive:
    """A newc cpio (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self):
        self.entries = {}                       # path without leading slash -> (mode, uid, gid, rdev, content)

    def add(self, path, mode, content=b"", uid=0, gid=0, rdev=(0, 0)):
        self.entries[path.strip("/")] = (mode, uid, gid, rdev, content)

    def directory(self, path, mode=0o755, uid=0, gid=0):
        self.add(path, stat.S_IFDIR | mode, uid=uid, gid=gid)

    def parents(self, path):
        parent = os.path.dirname(path.strip("/"))
        while parent and parent not in self.entries:
            self.directory(parent)
            parent = os.path.dirname(parent)

    def file(self, path, content, mode=0o644, uid=0, gid=0):
        self.parents(path)
        self.add(path, stat.S_IFREG | mode, content, uid, gid)

    def link(self, path, target):
        self.add(path, stat.S_IFLNK | 0o777, target.encode())

    def device(self, path, major, minor, mode=0o600):
        self.add(path, stat.S_IFCHR | mode, rdev=(major, minor))

    def lay_out(self, folder):
        """Makes the archive's tree in FOLDER, of files only what the check reads: what is there, and of what can be executed the
        beginning, which names its loader."""
        for path, (mode, _, _, _, content) in sorted(self.entries.items()):
            where = os.path.join(folder, path)
            if stat.S_ISDIR(mode):
                os.makedirs(where, exist_ok=True)
            elif stat.S_ISLNK(mode):
                os.symlink(content.decode(), where)
            elif stat.S_ISREG(mode):
                with open(os.open(where, os.O_CREAT | os.O_WRONLY, mode & 0o777), "wb") as file:
                    file.write(content if path == "etc/passwd" else content[:LAID_OUT] if mode & 0o111 else b"")

    def bytes(self):
        out = bytearray()
        entries = sorted(self.entries.items()) + [("TRAILER!!!", (0, 0, 0, (0, 0), b""))]
        for inode, (path, (mode, uid, gid, rdev, content)) in enumerate(entries, 1):
            name = path.encode() + b"\0"
            fields = (inode, mode, uid, gid, 2 if stat.S_ISDIR(mode) else 1, 0, len(content), 0, 0, *rdev, len(name), 0)
            out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
            out += bytes(-len(out) % 4)
            out += content
            out += bytes(-len(out) % 4)
        return bytes(out) + bytes(-len(out) % 512)


def overlay(files):
    """A cpio to append to an initramfs: {path: bytes} or {path: (bytes, mode)} replaces or adds these files."""
    archive = Archive()
    for path, content in files.items():
        archive.file(path, *(content if isinstance(content, tuple) else (content,)))
    return archive.bytes()


def plain_json(text):
    """JSON with comments -> JSON; what is in strings stays, and so do line numbers."""
    token = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.S)
    return token.sub(lambda found: found[0] if found[0][0] == '"' else "\n" * found[0].count("\n"), text)


def read_config(path):
    with open(path, encoding="utf-8") as file:
        return json.loads(plain_json(file.read()))


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


class Modules:
    """The kernel's modules: names, what each depends on, and the order in which they load.

    Dependencies are read from the modules themselves (their .modinfo), so no index has to be made first.
    """

    def __init__(self, folder):
        self.folder = folder
        self.paths = {}
        for where, _, names in os.walk(folder):
            for name in names:
                if found := re.fullmatch(r"(.+)\.ko(\.xz)?", name):
                    self.paths[found[1].replace("-", "_")] = os.path.join(where, name)
        builtin = os.path.join(folder, "modules.builtin")
        self.builtin = set()
        if os.path.exists(builtin):
            with open(builtin, encoding="ascii") as file:
                self.builtin = {os.path.basename(line.strip())[:-3].replace("-", "_") for line in file}
        self.contents = {}

    def content(self, name):
        if name not in self.contents:
            data = read_file(self.paths[name])
            self.contents[name] = lzma.decompress(data) if self.paths[name].endswith(".xz") else data
        return self.contents[name]

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


def module_files(inputs, names):
    """{path: bytes}: the modules of these names, those they need, and the list in whose order PID 1 loads them."""
    modules = Modules(inputs.modules)
    files = {f"/lib/modules/{name}.ko": modules.content(name) for name in modules.in_order(names)}
    files["/etc/gantry/modules"] = "".join(f"{path}\n" for path in files).encode()
    return files


def cmdline(config):
    """The kernel's command line, without the hardening that the configuration keeps out."""
    keep = config.get("hardening", {}).get("keep", [])
    return " ".join([CMDLINE, *(parameter for name, parameter in HARDENING.items() if name not in keep)])


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
    if checked.stderr:
        print(checked.stderr.strip(), file=sys.stderr)


def add_tree(archive, root):
    """The files of a folder; of their modes only `executable or not` counts."""
    for where, folders, names in os.walk(root):
        folders.sort()
        inside = "/" + os.path.relpath(where, root) if where != root else ""
        for name in sorted(names):
            path = os.path.join(where, name)
            mode = 0o755 if os.stat(path).st_mode & 0o100 else 0o644
            archive.file(f"{inside}/{name}", read_file(path), mode)


def rendered_files(config):
    return [file["path"] for stage in config["stages"] if stage["type"] == "render"
            for file in stage.get("options", {}).get("files", [])]


def initramfs(inputs, boot):
    """The bytes of the initramfs for the configuration folder BOOT."""
    config_path = os.path.join(boot, "boot.json")
    config = read_config(config_path)
    archive = Archive()
    for path, mode in DIRECTORIES.items():
        archive.directory(path, mode)
    archive.device("/dev/console", 5, 1)
    archive.file("/init", read_file(os.path.join(inputs.build, "init")), 0o755)
    for path, target in LINKS.items():
        archive.link(path, target)
    for path in PROGRAMS:
        archive.file(path, read_file(os.path.join(inputs["LIBS"], "bin", os.path.basename(path))), 0o755)
    for name in inputs.guest_programs():
        archive.file(f"/bin/{name}", read_file(os.path.join(inputs.build, "guest", name)), 0o755)

    for path, content in module_files(inputs, config.get("modules", [])).items():
        archive.file(path, content)

    passwd, group = accounts(config)
    archive.file("/etc/passwd", passwd.encode())
    archive.file("/etc/group", group.encode())
    archive.file("/etc/shells", LOGIN_SHELL.encode() + b"\n")
    archive.file("/etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n")
    archive.file("/etc/hostname", config.get("hostname", "gantry").encode() + b"\n")
    archive.file("/etc/gantry/hub-ca.pem", read_file(pki.path("hub-ca.pem")))
    add_tree(archive, os.path.join(boot, "root"))
    archive.file("/etc/gantry/boot.json", read_file(config_path))
    for path in rendered_files(config):         # the render stage replaces files, it makes no folders
        archive.parents(path)
    with tempfile.TemporaryDirectory() as folder:
        archive.lay_out(folder)
        check_config(os.path.join(inputs.build, "init"), config_path, folder)
    return archive.bytes()


def write_uki(inputs, initrd, path, config):
    """PATH becomes the UKI of kernel, INITRD (a path) and the command line for a configuration. No .osrel: the stub would add
    to the initrd."""
    command = ["ukify", "build", f"--linux={inputs.kernel}", f"--initrd={initrd}", f"--cmdline={cmdline(config)}",
               f"--uname={inputs['KERNEL_VERSION']}", f"--stub={EFI_STUB}", "--os-release=",
               f"--output={path}"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise BuildError(f"ukify: {built.stderr.strip() or built.stdout.strip()}")


def write_new(path, content):
    """Replaces PATH whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
        file.write(content)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def fingerprint(inputs, boot):
    """A hash of everything the image is made of: what has it already need not be built."""
    digest = hashlib.sha256()
    paths = [os.path.join(REPOSITORY, "qemu", name) for name in ("accounts.py", "image.py", "disk.py", "uki.py")]
    paths += [os.path.join(inputs.build, "init"), pki.path("hub-ca.pem")]
    paths += [os.path.join(inputs.build, "guest", name) for name in inputs.guest_programs()]
    paths += [os.path.join(where, name) for where, _, names in os.walk(boot) for name in names]
    for path in sorted(paths):
        content = read_file(path)
        digest.update(f"{path} {os.stat(path).st_mode & 0o100} {len(content)}\n".encode() + content)
    digest.update(f"{inputs['LIBS']} {inputs['KERNEL_DIR']} {inputs['KERNEL_VERSION']}".encode())
    return digest.hexdigest()


def build(inputs, boot, out):
    """Makes everything in OUT, if it is not there already from the same inputs."""
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, inputs_hash = os.path.join(out, "inputs"), fingerprint(inputs, boot)
        if os.path.exists(stamp) and read_file(stamp).decode() == inputs_hash:
            return
        if os.path.exists(stamp):
            os.unlink(stamp)
        build_all(inputs, boot, out)
        write_new(stamp, inputs_hash.encode())


def build_all(inputs, boot, out):
    check_config(os.path.join(inputs.build, "init"), os.path.join(boot, "boot.json"))

    def path(name):
        return os.path.join(out, name)

    write_new(path("initramfs.cpio"), initramfs(inputs, boot))
    write_new(path("vmlinuz"), read_file(inputs.kernel))
    write_uki(inputs, path("initramfs.cpio"), path("gantry.efi"), read_config(os.path.join(boot, "boot.json")))
    if os.path.exists(path("policy.json")):             # another image's
        os.unlink(path("policy.json"))
    disk.write_disk(path("gantry.raw"), read_file(path("gantry.efi")))
    disk.write_vhd(path("gantry.vhd"), path("gantry.raw"))
    write_new(path("measurements.json"),
              (json.dumps(uki.measurements(read_file(path("gantry.efi"))), indent=2) + "\n").encode())
    for name in ("initramfs.cpio", "gantry.efi", "gantry.raw", "gantry.vhd"):
        print(f"  {os.path.relpath(path(name), REPOSITORY)} {os.path.getsize(path(name))} bytes", file=sys.stderr)


def ensure():
    """The folder of the standard image, built where needed."""
    out = os.path.join(BUILD, "image")
    build(Inputs(BUILD), os.path.join(REPOSITORY, "qemu", "boot"), out)
    return out


def ensure_or_exit():
    try:
        return ensure()
    except (BuildError, OSError, ValueError) as error:
        sys.exit(f"image: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=BUILD, help="where the binaries are")
    parser.add_argument("--boot", default=os.path.join(REPOSITORY, "qemu", "boot"), help="configuration folder")
    parser.add_argument("--out", help="default: image in the build folder")
    options = parser.parse_args()
    try:
        build(Inputs(options.build), options.boot, options.out or os.path.join(options.build, "image"))
    except (BuildError, OSError, ValueError) as error:
        sys.exit(f"image: {error}")


if __name__ == "__main__":
    main()
