# SPDX-License-Identifier: GPL-2.0-or-later
"""An image's folder, read without trusting it: `boot.json`, `image.json`, and the tree `root/`, laid over as it lies there.

Nothing is followed, opened or copied but plain files: a link is a link, wherever it leads. A file's mode is the image's, with
one exception: what has the mode of `boot.json`, or that and execute permission, has what the umask of the checkout left, and
gets 0644 or 0755 in every checkout. Owners are root unless `image.json` names others. What an image cannot hold is refused
with its path.
"""

import fnmatch
import json
import os
import re
import stat
import subprocess

LEFTOVERS = ("*~", ".*.sw?", "#*#", ".#*", "*.orig", "*.rej", ".DS_Store", "4913")     # of editors and of patch
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
DEFAULTS = {"name": None, "cmdline": "quiet panic=-1", "console": "ttyS0", "compression": "zstd", "leave_out": [], "esp_mib": 72,
            "paths": {}, "images": {}, "base": ""}
PATH_KEYS = {"mode", "owner", "group", "directory"}
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\r?\n[A-Za-z0-9+/=:, \r\n-]{40}")
UNTAGGED, VERSION_MAX = "untagged", 63      # as in init/pid1/early.c
ESP_MIB = range(72, 4096)
TAKEN = ("init=", "rdinit=", "lockdown=", "proc_mem.", "console=")      # of the command line: by other keys, or never


class BadFolder(Exception):
    pass


def plain_json(text):
    """JSON with comments -> JSON; what is in strings stays, and so do line numbers."""
    token = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.S)
    return token.sub(lambda found: found[0] if found[0][0] == '"' else "\n" * found[0].count("\n"), text)


def once(pairs):
    """An object of which no key is given twice."""
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f'"{key}" is given twice')
    return dict(pairs)


def open_regular(path, name=None, flags=0):
    """A file to read from, of what is a plain file: a FIFO would wait for ever."""
    file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise BadFolder(f"{name or path} is not a plain file")
    return file


class Folder:
    """FOLDER/boot.json (`config`, and `text` as it lies there), image.json with its defaults (`settings`)."""

    def __init__(self, path):
        self.path = os.path.abspath(path)
        if not os.path.isdir(self.path):
            raise BadFolder(f"{path} is not a folder")
        self.text = self.read("boot.json")
        self.umask_mode = stat.S_IMODE(os.stat(self.where("boot.json")).st_mode)
        self.config = self.json("boot.json", self.text)
        self.filled = None                      # the path of boot.json with what images say, if there are any (oci.py)
        self.settings = {**DEFAULTS, "name": os.path.basename(os.path.realpath(self.path)), **self.image_json()}
        self.check_settings()
        for place in self.places():
            if not place.startswith("root/") and os.path.lexists(self.where(place)):
                self.check_way(place)
                mode = os.lstat(self.where(place)).st_mode
                if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                    raise BadFolder(f"{place} is a {kind_of(mode)}")

    def check_way(self, name):
        """Refuses a link at any part of NAME: what it leads to is not part of the folder, and may change without it."""
        parts = name.split("/")
        for end in range(1, len(parts) + 1):
            if os.path.islink(self.where(way := "/".join(parts[:end]))):
                raise BadFolder(f"{way} is a link: only those in root/ are taken, as links")

    def where(self, name):
        return os.path.join(self.path, name)

    def read(self, name):
        try:
            self.check_way(name)
            with open_regular(self.where(name), name, os.O_NOFOLLOW) as file:
                return file.read()
        except OSError as error:
            raise BadFolder(f"{name}: {error.strerror}") from None

    def json(self, name, text):
        try:
            value = json.loads(plain_json(text.decode()), object_pairs_hook=once)
        except json.JSONDecodeError as error:
            raise BadFolder(f"{name}:{error.lineno}: {error.msg}") from None
        except ValueError as error:
            raise BadFolder(f"{name}: {error}") from None
        if not isinstance(value, dict):
            raise BadFolder(f"{name}: it is not an object")
        return value

    # ---- image.json ---------------------------------------------------------------------------------------------------

    def image_json(self):
        if not os.path.lexists(self.where("image.json")):
            return {}
        given = self.json("image.json", self.read("image.json"))
        if unknown := sorted(given.keys() - DEFAULTS.keys()):
            raise BadFolder(f'image.json: there is no key "{unknown[0]}": the keys are {", ".join(DEFAULTS)}')
        for key, value in given.items():
            kind = str if key == "name" else type(DEFAULTS[key])
            if type(value) is not kind:
                raise BadFolder(f'image.json: "{key}" is not {WORDS[kind]}')
        return given

    def check_settings(self):
        settings = self.settings

        def refuse(key, why):
            raise BadFolder(f'image.json: "{key}": {why}')

        if not NAME.fullmatch(settings["name"]):
            refuse("name", f"{settings['name']!r} is not 1 to 63 of a to z, 0 to 9, '.', '_' and '-', the first a letter or "
                   "digit")
        if not re.fullmatch(r"[ -~]*", settings["cmdline"]):
            refuse("cmdline", "it holds other characters than printable ASCII")
        for word in settings["cmdline"].split():
            if word.startswith(TAKEN):
                refuse("cmdline", f"{word} cannot be given here: the console has its own key, and what closes the kernel is "
                       "`hardening` of boot.json")
        if not re.fullmatch(r"([A-Za-z]+[0-9]*(,[0-9a-z]+)?)?", settings["console"]):
            refuse("console", f"{settings['console']!r} is not a device such as ttyS0, nor empty")
        if settings["compression"] not in ("zstd", "none"):
            refuse("compression", 'it is "zstd" or "none"')
        if settings["esp_mib"] not in ESP_MIB:
            refuse("esp_mib", f"it is from {ESP_MIB.start} to {ESP_MIB.stop - 1}")
        for name in settings["leave_out"]:
            if not isinstance(name, str):
                refuse("leave_out", "it is a list of paths")
        if settings["base"] and (settings["base"].startswith("/") or ".." in settings["base"].split("/")):
            refuse("base", "it is not a file in the folder")
        for path, how in settings["paths"].items():
            self.check_path(path, how)
        for name, image in settings["images"].items():
            if not NAME.fullmatch(name) or not isinstance(image, str) or ".." in image.split("/"):
                refuse("images", f"{name!r}: it is not a name and, as text, an image")

    def check_path(self, path, how):
        def refuse(why):
            raise BadFolder(f'image.json: "paths": {path}: {why}')

        if not path.startswith("/") or any(part in ("", ".", "..") for part in path[1:].split("/")):
            refuse('it is not a path such as /etc/nginx/key.pem')
        if not isinstance(how, dict) or how.keys() - PATH_KEYS or not how:
            refuse(f"it is not an object of {', '.join(sorted(PATH_KEYS))}")
        if not isinstance(mode := how.get("mode", "0644"), str) or not re.fullmatch("[0-7]{3,4}", mode):
            refuse('"mode" is not three or four octal digits, as text ("0640")')
        for key in ("owner", "group"):
            value = how.get(key, 0)
            if not isinstance(value, str) and (type(value) is not int or not 0 <= value < 2 ** 32 - 1):
                refuse(f'"{key}" is neither a name nor a number')
        if not isinstance(how.get("directory", True), bool):
            refuse('"directory" is neither true nor false')

    def places(self):
        """What an image is made of, as paths in the folder: its own files, and everything in root/."""
        found = [name for name in ("boot.json", "image.json", "packages", "packages.lock") if os.path.lexists(self.where(name))]
        tops = ["root", "modules"]
        found += [self.settings["base"]] if self.settings["base"] else []
        found += ["modules"] if os.path.islink(self.where("modules")) else []
        for image in sorted(self.settings["images"].values()):
            if image.startswith("./"):          # qemu/oci.py
                tops.append(image.removeprefix("./").partition("@")[0])
                found += [tops[-1]] if os.path.lexists(self.where(tops[-1])) and not os.path.isdir(self.where(tops[-1])) else []
        for where, folders, names in (one for top in tops for one in os.walk(self.where(top))):
            folders.sort()
            found += [os.path.relpath(os.path.join(where, name), self.path) for name in sorted([*folders, *names])]
        return found

    # ---- root/ --------------------------------------------------------------------------------------------------------

    def mode(self, lies):
        """The image's mode for one that lies there."""
        plain = self.umask_mode & 0o666
        execute = plain | (plain & 0o444) >> 2
        return {plain: 0o644, execute: 0o755}.get(lies, lies)

    def git(self, *arguments):
        done = subprocess.run(["git", "-c", "safe.directory=*", "-C", self.path, *arguments], capture_output=True, text=True,
                              check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    def not_committed(self):
        """The paths, from the checkout's top, of what is in the folder and not as the commit has it, ignored files included."""
        done = subprocess.run(["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", self.path, "status",
                               "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignored", "."],
                              capture_output=True, check=False)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["it failed"]
            raise BadFolder(f"git cannot say whether {self.path} is as committed: {said[0]}")
        return [os.fsdecode(line[3:]) for line in done.stdout.split(b"\0") if line]

    def check_committed(self, why):
        for path in self.not_committed()[:1]:
            raise BadFolder(f"{path}: it is not as committed, and {why}")

    def version(self):
        """The tag of the commit, if the folder is as committed; otherwise "untagged"."""
        tag = self.git("describe", "--tags", "--exact-match")
        known = tag and not self.not_committed()
        return re.sub(r"[^0-9A-Za-z.+~_-]", "_", tag.removeprefix("v"))[:VERSION_MAX] if known else UNTAGGED

    def unknown_to_git(self):
        """The paths, from the folder, that git does not know; none where the folder is in no checkout."""
        listed = subprocess.run(["git", "-c", "safe.directory=*", "-C", self.path, "ls-files", "-z", "--others", "."],
                                capture_output=True, check=False)
        return [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name] if listed.returncode == 0 else []

    def lay(self, archive):
        """Adds root/ to ARCHIVE. Returns what was left out: device nodes below /dev, which the kernel makes."""
        left_out = []
        root = self.where("root")
        if os.path.lexists(root):
            if not stat.S_ISDIR(os.lstat(root).st_mode):
                raise BadFolder("root is not a folder")
            linked = {}
            self.lay_folder(archive, root, "", left_out, linked)
            for (_, _), (count, found, path) in linked.items():
                if found < count:
                    raise BadFolder(f"root{path}: {count - found} further names of this file (hard links) are outside of root")
        return left_out

    def lay_folder(self, archive, where, inside, left_out, linked):
        for name in sorted(os.listdir(os.fsencode(where))):
            name = os.fsdecode(name)
            here, path = os.path.join(where, name), f"{inside}/{name}"
            status = os.lstat(here)
            if any(fnmatch.fnmatch(name, pattern) for pattern in LEFTOVERS):
                raise BadFolder(f"root{path}: an editor or patch has left it there")
            into = "/" + archive.resolve(path)
            if stat.S_ISDIR(status.st_mode):
                if not archive.is_link(into):       # of a package, and the folder's content goes where it leads
                    archive.directory(into, self.mode(stat.S_IMODE(status.st_mode)))
                self.lay_folder(archive, here, path, left_out, linked)
            elif stat.S_ISLNK(status.st_mode):
                archive.link(into, os.readlink(here))
            elif stat.S_ISREG(status.st_mode):
                if status.st_nlink > 1:
                    count, found, first = linked.get((status.st_dev, status.st_ino), (status.st_nlink, 0, path))
                    linked[status.st_dev, status.st_ino] = count, found + 1, first
                self.lay_file(archive, here, path, into, status)
            elif inside.startswith("/dev") and not stat.S_ISSOCK(status.st_mode) and not stat.S_ISFIFO(status.st_mode):
                left_out.append(path)
            else:
                raise BadFolder(f"root{path}: it is a {kind_of(status.st_mode)}, and an image holds files, folders and links")

    def lay_file(self, archive, here, path, into, status):
        fd = os.open(here, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if os.path.samestat(os.fstat(fd), status):
                content = file.read()
            else:
                raise BadFolder(f"root{path}: it was replaced while it was read")
            if "security.capability" in os.listxattr(fd):
                raise BadFolder(f"root{path}: it has file capabilities, which an initramfs cannot hold: give them to the service "
                                "(`capabilities` of boot.json)")
        mode = self.mode(stat.S_IMODE(status.st_mode))
        if mode & 0o044 and b"\0" not in content and PRIVATE_KEY.search(content) and path not in self.settings["paths"]:
            raise BadFolder(f"root{path}: it holds a private key, and every process of the machine could read it: give its mode "
                            "and owner in `paths` of image.json")
        archive.file(into, content, mode)

    def set_paths(self, archive, users, groups):
        """The modes and owners of image.json, and the folders that it adds. USERS, GROUPS: {name: number} of the image."""
        for path, how in self.settings["paths"].items():
            key = archive.resolve(path)
            if how.get("directory") and key not in archive.entries:
                archive.parents(key)
                archive.directory(key)
            if key not in archive.entries:
                raise BadFolder(f'image.json: "paths": {path} is not in the image')
            mode, uid, gid, rdev, content = archive.entries[key]
            if how.get("directory") and not stat.S_ISDIR(mode):
                raise BadFolder(f'image.json: "paths": {path} is in the image and not a folder')
            if "mode" in how:
                mode = stat.S_IFMT(mode) | int(how["mode"], 8)
            uid = number_of(path, "owner", how.get("owner", uid), users)
            gid = number_of(path, "group", how.get("group", gid), groups)
            archive.entries[key] = mode, uid, gid, rdev, content


WORDS = {str: "text", list: "a list", dict: "an object", int: "a whole number"}


def kind_of(mode):
    for test, word in ((stat.S_ISFIFO, "FIFO"), (stat.S_ISSOCK, "socket"), (stat.S_ISCHR, "character device"),
                       (stat.S_ISBLK, "block device")):
        if test(mode):
            return word
    return "file of an unknown kind"


def number_of(path, key, value, table):
    if isinstance(value, int):
        return value
    if value not in table:
        raise BadFolder(f'image.json: "paths": {path}: "{key}": the image has no {"user" if key == "owner" else "group"} {value}')
    return table[value]
