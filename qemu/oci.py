#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""OCI images of an image's folder: fetched by digest, unpacked at build time below /images, and run as services with a root of
their own (docs/images.md).

    oci.py FOLDER       fetches what FOLDER/image.json names into the cache, by skopeo

Nothing is written to a file system here: layers become entries of an archive, links are followed in the tree alone, and every
blob is compared with its digest. Formats: OCI image-spec 1.1 (image-layout.md, manifest.md, config.md, layer.md), and Docker's
manifests of schema 2, which have the same fields.
"""

import hashlib
import io
import json
import os
import posixpath
import re
import stat
import subprocess
import sys
import tarfile
import tempfile
import zlib

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPOSITORY)
from qemu.archive import Archive, ZSTD_MAGIC, BadArchive, unpack
from qemu.folder import BadFolder, Folder, open_regular

CACHE = os.path.join(os.environ.get("GANTRY_CACHE", "/cache"), "oci")
PLACE = "/images"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REMOTE = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*(:[0-9]+)?/[a-z0-9._/-]+)@(?P<digest>sha256:[0-9a-f]{64})")
LOCAL = re.compile(r"\./(?P<path>[^@]+?)(@(?P<digest>sha256:[0-9a-f]{64}))?")
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
MOUNTED = ("proc", "sys", "dev", "run", "tmp")      # by the launcher: init/launch/tree.c
OWN_FILE_SYSTEMS = ("/run/", "/tmp/", "/var/tmp/")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SIGNALS = {"TERM": 15, "INT": 2, "QUIT": 3, "HUP": 1, "USR1": 10, "USR2": 12, "KILL": 9, "ABRT": 6, "ALRM": 14, "CONT": 18,
           "WINCH": 28}
RESOLV_CONF = "/run/dhcp"


class BadImage(Exception):
    pass


# ---- where blobs are -----------------------------------------------------------------------------------------------------


class Layout:
    """An image layout, as a folder or a tar archive of one. A blob is what has its digest, or an error."""

    def __init__(self, path):
        self.path, self.members = path, None
        if os.path.isfile(path):
            try:
                with tarfile.open(path) as tar:
                    self.members = {os.path.normpath(member.name): tar.extractfile(member).read()
                                    for member in tar if member.isreg()}
            except (tarfile.TarError, EOFError, zlib.error) as error:
                raise BadImage(f"{os.path.basename(path)} is neither a folder nor a tar archive of one: {error}") from None

    def read(self, name):
        if self.members is not None:
            return self.members.get(name)
        try:
            with open_regular(os.path.join(self.path, name), name) as file:
                return file.read()
        except FileNotFoundError:
            return None
        except BadFolder as error:
            raise BadImage(error) from None

    def blob(self, digest):
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise BadImage(f"{digest!r} is not a sha256 digest")
        content = self.read("blobs/sha256/" + digest.removeprefix("sha256:"))
        if content is None:
            raise BadImage(f"the blob {digest} is missing in {self.path}")
        if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
            raise BadImage(f"the blob {digest} in {self.path} has another content")
        return content

    def json(self, digest):
        return parse(self.blob(digest), digest)


def parse(content, what):
    try:
        value = json.loads(content)
    except ValueError as error:
        raise BadImage(f"{what}: {error}") from None
    if not isinstance(value, dict):
        raise BadImage(f"{what}: it is not an object")
    return value


def of_this_platform(index, what):
    """The digest of an index's manifest for amd64."""
    manifests = index.get("manifests", [])
    manifests = [one for one in manifests if isinstance(one, dict)] if isinstance(manifests, list) else []
    fitting = [one for one in manifests
               if isinstance(platform := one.get("platform") or {"os": "linux", "architecture": "amd64"}, dict)
               and platform.get("os") == "linux" and platform.get("architecture") == "amd64"]
    if len(fitting) != 1:
        raise BadImage(f"{what} has {len(fitting)} manifests for linux/amd64, not one")
    return fitting[0].get("digest")


def objects(value):
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def manifest_of(layout, digest):
    """The manifest of that digest, or of an index's for this platform."""
    value = layout.json(digest)
    if value.get("mediaType") in INDEXES or "manifests" in value:
        value = layout.json(of_this_platform(value, digest))
    if not isinstance(value.get("config"), dict) or not objects(value.get("layers")):
        raise BadImage(f"{digest} is not the manifest of an image")
    return value


def texts(value):
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def check_shape(config):
    """What is read of an image's configuration is what config.md of the specification says."""
    rootfs, run = config.get("rootfs"), config.get("config") or {}
    if not isinstance(rootfs, dict) or not texts(rootfs.get("diff_ids")):
        raise BadImage('its configuration: "rootfs" has no list of "diff_ids"')
    if not isinstance(run, dict):
        raise BadImage('its configuration: "config" is not an object')
    for key, good, what in (("Env", texts, "a list of texts"), ("Entrypoint", texts, "a list of texts"),
                            ("Cmd", texts, "a list of texts"), ("WorkingDir", lambda value: isinstance(value, str), "text"),
                            ("User", lambda value: isinstance(value, str), "text"),
                            ("Volumes", lambda value: isinstance(value, dict), "an object")):
        if run.get(key) and not good(run[key]):
            raise BadImage(f'its configuration: "{key}" is not {what}')


def check_boot(config):
    """What is read of boot.json before `gantryctl check` reads it, which is when the images have filled it."""
    def refuse(what):
        raise BadFolder(f"boot.json: {what}")

    for key in ("stages", "services", "users"):
        if not objects(config.get(key, [])):
            refuse(f'"{key}" is not a list of objects')
    if not texts(config.get("modules", [])):
        refuse('"modules" is not a list of texts')
    if not isinstance(config.get("hardening", {}), dict):
        refuse('"hardening" is not an object')
    for service in config.get("services", []):
        name, root = service.get("name"), service.get("root")
        if not isinstance(service.get("environment", {}), dict):
            refuse(f'{name}: "environment" is not an object')
        if not isinstance(service.get("directory", ""), str):
            refuse(f'{name}: "directory" is not text')
        if isinstance(root, dict):
            volumes = root.get("volumes", [])
            if not texts(volumes) or not all(":" in volume for volume in volumes):
                refuse(f'{name}: "volumes" is not a list of texts such as "/run/web:/var/cache"')
            if not isinstance(root.get("path", ""), str) or not isinstance(root.get("user", ""), str):
                refuse(f'{name}: "path" and "user" of its root are text')


def located(folder, text):
    """(layout, digest of the manifest) of an image as image.json names it, fetched if it is not in the cache."""
    if found := REMOTE.fullmatch(text):
        fetch(found["name"], found["digest"])
        return Layout(CACHE), found["digest"]
    found = LOCAL.fullmatch(text)
    if not found or ".." in found["path"].split("/"):
        raise BadImage("it is neither an image with registry and digest (ghcr.io/org/name@sha256:...) nor a layout in the folder "
                       "(./name, ./name.tar)")
    path = os.path.join(folder, found["path"])
    if not os.path.exists(path):
        raise BadImage(f"{found['path']} is not there")
    layout = Layout(path)
    return layout, found["digest"] or of_this_platform(parse(layout.read("index.json") or b"", "index.json"), "index.json")


def skopeo(*arguments):
    try:
        done = subprocess.run(["skopeo", *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise BadImage("it is not in the cache, and a build has no network: run `make fetch-images IMAGE=DIR`") from None
    if done.returncode != 0:
        raise BadImage(f"skopeo: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def keep(content, digest):
    if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
        raise BadImage(f"the registry gave another content for {digest}")
    blobs = os.path.join(CACHE, "blobs", "sha256")
    os.makedirs(blobs, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=blobs, delete=False) as file:
        file.write(content)
    os.rename(file.name, os.path.join(blobs, digest.removeprefix("sha256:")))


def fetch(name, digest):
    """Makes the cache have all blobs of NAME@DIGEST for this platform."""
    layout = Layout(CACHE)
    try:
        manifest = manifest_of(layout, digest)
        for one in [manifest["config"], *manifest["layers"]]:
            layout.blob(one.get("digest"))
        return
    except BadImage:
        pass
    insecure = ["--tls-verify=false"] if re.match(r"(localhost|127\.[0-9.]+)(:|/)", name) else []
    wanted = digest
    for _ in range(2):
        content = skopeo("inspect", *insecure, "--raw", f"docker://{name}@{wanted}")
        keep(content, wanted)
        value = parse(content, wanted)
        if value.get("mediaType") not in INDEXES and "manifests" not in value:
            break
        wanted = of_this_platform(value, wanted)
    manifest = manifest_of(layout, digest)
    with tempfile.TemporaryDirectory() as folder:
        insecure = ["--src-tls-verify=false"] if insecure else []
        skopeo("copy", "--quiet", "--insecure-policy", "--preserve-digests", *insecure, f"docker://{name}@{wanted}",
               f"dir:{folder}")
        for one in [manifest["config"], *manifest["layers"]]:
            with open(os.path.join(folder, str(one.get("digest")).removeprefix("sha256:")), "rb") as file:
                keep(file.read(), one["digest"])


# ---- layers --------------------------------------------------------------------------------------------------------------


def decompressed(layer, digest):
    """By its first bytes: the media types of a compression have changed, its magic number has not."""
    try:
        if layer[:2] == b"\x1f\x8b":
            return b"".join(gunzipped(layer))
        return unpack(layer) if layer[:4] == ZSTD_MAGIC else layer
    except (zlib.error, BadArchive) as error:
        raise BadImage(f"the layer {digest}: {error}") from None


def gunzipped(data):
    while data:                         # several members may follow one another
        inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        yield inflate.decompress(data)
        if not inflate.eof:
            raise BadImage("a layer is cut short")
        data = inflate.unused_data


def followed(tree, path):
    """Where PATH leads, its last part followed, too."""
    return tree.resolve(path + "/.").removesuffix("/.").strip("/") or "."


def remove(tree, path, spared=(), itself=True):
    """PATH and all below it, but what this layer has brought."""
    below = path + "/" if path else ""
    if tree.is_directory(path) or not path:
        for known in [known for known in tree.entries if known.startswith(below) and known not in spared]:
            del tree.entries[known]
    if itself and path not in spared:
        tree.entries.pop(path, None)


class Tree:
    """An image's layers, one after another, as an archive whose root is the image's."""

    def __init__(self):
        self.archive, self.notes = Archive(), []

    def apply(self, data, digest):
        added = set()
        try:
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                for member in tar:
                    self.add(tar, member, added)
        except (tarfile.TarError, EOFError) as error:
            raise BadImage(f"the layer {digest}: {error}") from None

    def place(self, name):
        path = posixpath.normpath("/" + name.lstrip("/"))       # ".." ends at the root, as it does in a root of its own
        return self.archive.resolve(path)

    def put(self, path, added, mode, content, member):
        parent = posixpath.dirname(path)
        if parent in self.archive.entries and not self.archive.is_directory(parent):
            raise BadImage(f"/{path} is in no folder: /{parent} is none")
        if not stat.S_ISDIR(mode) or not self.archive.is_directory(path):
            remove(self.archive, path)
        self.archive.parents(path)
        self.archive.add(path, mode, content, member.uid, member.gid)
        while path:
            added.add(path)
            path = posixpath.dirname(path)

    def add(self, tar, member, added):
        folder, name = posixpath.split(posixpath.normpath("/" + member.name.lstrip("/")))
        if name == OPAQUE:
            remove(self.archive, "" if folder == "/" else followed(self.archive, folder), added, itself=False)
            return
        if name.startswith(WHITEOUT):
            if name.removeprefix(WHITEOUT) in ("", ".", ".."):
                raise BadImage(f"{posixpath.join(folder, name)} is a whiteout of no name")
            remove(self.archive, self.place(posixpath.join(folder, name.removeprefix(WHITEOUT))), added)
            return
        path = self.place(member.name)
        if not path:
            return
        mode = stat.S_IMODE(member.mode)
        if member.isdir():
            if self.archive.is_link(path) and self.archive.is_directory(followed(self.archive, path)):
                return                  # /lib, which an earlier layer has made a link to usr/lib
            self.put(path, added, stat.S_IFDIR | mode, b"", member)
        elif member.issym():
            self.put(path, added, stat.S_IFLNK | 0o777, os.fsencode(member.linkname), member)
        elif member.islnk():
            target = self.place(member.linkname)
            if target not in self.archive.entries:
                raise BadImage(f"/{path} is a hard link to /{target}, which is not there")
            entry = self.archive.entries[target]
            self.put(path, added, entry[0], entry[4], member)
            self.archive.entries[path] = entry
        elif member.isreg():
            if "SCHILY.xattr.security.capability" in member.pax_headers:
                self.notes.append(f"/{path} has file capabilities, which an initramfs cannot hold: give them to the service")
            self.put(path, added, stat.S_IFREG | mode, tar.extractfile(member).read(), member)
        elif not (member.ischr() or member.isblk()):
            raise BadImage(f"/{path} is neither a file nor a folder nor a link")


class Image:
    """An image as `images` of image.json names it: its tree and its configuration."""

    def __init__(self, folder, name, text):
        try:
            layout, self.digest = located(folder, text)
            manifest = manifest_of(layout, self.digest)
            config = layout.json(manifest["config"].get("digest"))
            if (config.get("os", "linux"), config.get("architecture", "amd64")) != ("linux", "amd64"):
                raise BadImage(f"it is for {config.get('os')}/{config.get('architecture')}, not for linux/amd64")
            check_shape(config)
            tree, ids = Tree(), config["rootfs"]["diff_ids"]
            if len(ids) != len(manifest["layers"]):
                raise BadImage(f"its configuration names {len(ids)} layers, its manifest {len(manifest['layers'])}")
            for layer, diff_id in zip(manifest["layers"], ids):
                data = decompressed(layout.blob(layer.get("digest")), layer["digest"])
                if "sha256:" + hashlib.sha256(data).hexdigest() != diff_id:
                    raise BadImage(f"the layer {layer['digest']} does not unpack to {diff_id}")
                tree.apply(data, layer["digest"])
        except (BadImage, BadArchive, OSError) as error:
            raise BadImage(f'image.json: "images": {name} ({text}): {error}') from None
        self.name, self.path, self.archive, self.notes = name, f"{PLACE}/{name}", tree.archive, tree.notes
        self.config = config.get("config") or {}

    # ---- what boot.json does not say -----------------------------------------------------------------------------------

    def is_program(self, path):
        entry = self.archive.entries.get(self.followed(path))
        return bool(entry) and stat.S_ISREG(entry[0]) and bool(entry[0] & 0o111)

    def followed(self, path):
        return followed(self.archive, path)

    def find(self, program, variables, directory):
        if program.startswith("/"):
            return program
        if "/" in program:
            return posixpath.normpath(posixpath.join(directory, program))
        for folder in variables.get("PATH", PATH).split(":"):
            if folder.startswith("/") and self.is_program(path := posixpath.join(folder, program)):
                return path
        raise BadImage(f"{self.name}: its program {program} is in no folder of its PATH")

    def home(self, user):
        """Of the user in the tree's /etc/passwd; what podman sets as HOME."""
        lines = self.archive.entries.get(self.followed("/etc/passwd"), (0, 0, 0, 0, b""))[4].decode(errors="replace")
        wanted = (user or "0").partition(":")[0]
        for line in lines.splitlines():
            fields = line.split(":")
            if len(fields) == 7 and wanted in (fields[0], fields[2]) and fields[5]:
                return fields[5]
        return "/"

    def defaults(self, service):
        """{key of a service: value} that SERVICE, which has this image as its root, does not have itself."""
        config, filled = self.config, {}
        variables = dict(text.partition("=")[::2] for text in config.get("Env") or [])
        directory = service.get("directory") or config.get("WorkingDir") or "/"
        directory = posixpath.normpath("/" + directory.lstrip("/"))
        if "command" not in service:
            words = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
            if not words:
                raise BadImage(f"{self.name}: it names no program: give the service's `command`")
            filled["command"] = [self.find(words[0], variables, directory), *words[1:]]
        if not {"user", "group", "groups"} & service.keys() and "user" not in service["root"] and config.get("User"):
            filled["root"] = {**service["root"], "user": config["User"]}
        user = (filled.get("root") or service["root"]).get("user")
        environment = {"HOME": self.home(user), **variables, **service.get("environment", {})}
        if environment != service.get("environment"):
            filled["environment"] = environment
        if "directory" not in service and directory != "/":
            filled["directory"] = directory
        if "stop_signal" not in service and config.get("StopSignal"):
            filled["stop_signal"] = self.signal(config["StopSignal"])
        return {key: value for key, value in filled.items() if value is not None}

    def signal(self, text):
        name = str(text).upper().removeprefix("SIG")
        name = next((known for known, number in SIGNALS.items() if str(number) == name), name)
        if name not in SIGNALS:
            self.notes.append(f"its stop signal is {text}, which no service can have: it gets TERM")
            return None
        return name

    def prepare(self, service, is_file, has_network):
        """Makes in the tree what is mounted there, for SERVICE. IS_FILE(path): the machine has a file there."""
        tree = self.archive
        directory = service.get("directory", "/")
        if not tree.is_directory(self.followed(directory)) and directory != "/" and \
                not directory.startswith(OWN_FILE_SYSTEMS):
            tree.parents(tree.resolve(directory + "/."))
        volumes = service["root"].setdefault("volumes", [])
        if has_network and self.empty("/etc/resolv.conf"):
            tree.link(tree.resolve("/etc/resolv.conf"), f"{RESOLV_CONF}/resolv.conf")
            if not any(volume.split(":")[1] == RESOLV_CONF for volume in volumes):
                volumes.append(f"{RESOLV_CONF}:{RESOLV_CONF}:ro")
        if self.empty("/etc/hosts"):
            tree.file(tree.resolve("/etc/hosts"), b"127.0.0.1 localhost\n::1 localhost\n")
        for volume in volumes:
            source, target = volume.split(":")[:2]
            if self.followed(target) in tree.entries or target.startswith(OWN_FILE_SYSTEMS):
                continue
            if is_file(source):
                tree.file(tree.resolve(target), b"")
            else:
                tree.parents(tree.resolve(target) + "/.")
        given = [volume.split(":")[1] for volume in volumes]
        for path in sorted(self.config.get("Volumes") or {}):
            if not any(path == target or path.startswith(target + "/") for target in given) and \
                    not (path + "/").startswith(OWN_FILE_SYSTEMS):
                self.notes.append(f"it writes to {path}: give a volume for it in `root.volumes`, the tree is read-only")
        if not volumes:
            del service["root"]["volumes"]

    def empty(self, path):
        entry = self.archive.entries.get(self.archive.resolve(path))
        return entry is None or (stat.S_ISREG(entry[0]) and not entry[4])

    def lay(self, machine):
        machine.directory(PLACE)
        machine.directory(self.path)
        for path, entry in self.archive.entries.items():
            if path not in ("", "."):
                machine.entries[f"{self.path.strip('/')}/{path}"] = entry


def make_places(machine, config):
    """In each tree that is a service's root, the folders that the launcher mounts at, where they are not there."""
    for service in config.get("services", []):
        root = service.get("root")
        path = root.get("path") if isinstance(root, dict) else None
        if not isinstance(path, str) or not machine.is_directory(followed(machine, path)):
            continue
        for name in MOUNTED:
            place = f"{followed(machine, path)}/{name}"
            if not machine.is_directory(place) and not machine.is_link(place):
                machine.directory(place, 0o1777 if name == "tmp" else 0o755)


def fill(images, config, is_file):
    """Fills into CONFIG's services what the images at their `root.path` say. Returns lines that say what came from where."""
    said, by_path = [], {image.path: image for image in images}
    has_network = any(stage.get("type") == "network" for stage in config.get("stages", []))
    used = set()
    for service in config.get("services", []):
        root = service.get("root")
        image = by_path.get(root.get("path")) if isinstance(root, dict) else None
        if not image:
            continue
        used.add(image.path)
        before = json.loads(json.dumps(service))
        service.update(image.defaults(service))
        image.prepare(service, is_file, has_network)
        said += [f"{service.get('name')}: {key} = {json.dumps(value)}" for key, value in service.items()
                 if before.get(key) != value]
    for image in images:
        said += [f"{image.name}: {note}" for note in image.notes]
        if image.path not in used:
            said.append(f"{image.name}: no service has the root {image.path}")
    return said


def main():
    try:
        source = Folder(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("GANTRY_IMAGE") or ".")
        for name, text in sorted(source.settings["images"].items()):
            print(f"  {name} {located(source.path, text)[1]}")
    except (BadFolder, BadImage, OSError) as error:
        sys.exit(f"images: {error}")


if __name__ == "__main__":
    main()
