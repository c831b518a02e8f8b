#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Turns the older System API's systemapi-config.toml into the members `api` and `events` of boot.json.

    python3 qemu/import_systemapi.py systemapi-config.toml
    python3 qemu/import_systemapi.py systemapi-config.toml --boot boot.json > new-boot.json

It runs when an image is built, never on the machine. A setting that Gantry cannot represent is an error, with file, line,
key and reason; one that changes its form or has no effect is a note on stderr. With --boot, the merged boot.json is printed,
after `gantryctl check` of build/init, if that exists, has accepted it. It needs only Python 3.11.

The input may be the mustache template that BuilderNet renders on the machine. The hub's document must not decide what the
machine does, so tags are allowed only in `tls_cert_hosts`: those names become a template of their own.
"""

import argparse
import difflib
import ipaddress
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TOP)
from qemu.folder import plain_json  # noqa: E402

INIT = os.environ.get("GANTRY_INIT", os.path.join(TOP, "build", "init"))
TEMPLATE = "/etc/gantry/templates/tls-hosts.mustache"
TLS_HOSTS = "/run/gantry/rendered/tls-hosts"
OLD_ENTRIES = 1000
RING_MIN, RING_MAX, HOSTS_MAX = 16, 100000, 16

GENERAL = {
    "listen_addr": str, "pipe_file": str, "log_json": bool, "log_debug": bool, "pprof": bool, "log_max_entries": int,
    "basic_auth_secret_path": str, "basic_auth_secret_salt": str, "http_read_timeout_ms": int, "http_write_timeout_ms": int,
    "tls_enabled": bool, "tls_create_if_missing": bool, "tls_cert_hosts": list, "tls_cert_path": str, "tls_key_path": str,
}
TYPES = {str: "a string", bool: "a boolean", int: "an integer", list: "a list of strings"}
TABLES = ("general", "actions", "file_uploads")
NO_EFFECT = {
    "log_json": "each reader of the events chooses its own format",
    "log_debug": "readers filter by level",
    "pprof": "Gantry has no profiler",
    "http_read_timeout_ms": "Gantry's limits are fixed: docs/system-api.md, \"How it holds\"",
    "http_write_timeout_ms": "Gantry's limits are fixed: docs/system-api.md, \"How it holds\"",
}

# Commands that a verb of Gantry replaces. A command with a service only if boot.json has that service; one that fetches the
# hub's document only if boot.json has a refresh.
SYSTEMCTL = r"(?:sudo )?systemctl(?: --no-pager| --no-ask-password)*"
VERBS = (
    (r"(?:/sbin/)?(?P<verb>reboot|poweroff|halt)", "@{verb}"),
    (SYSTEMCTL + r" (?P<verb>reboot|poweroff|halt)", "@{verb}"),
    (r"(?:/etc/init\.d/|service )fetch-config (?:start|restart)", "@refresh-config"),
    (SYSTEMCTL + r" (?:start|restart) fetch-config(?:\.service)?", "@refresh-config"),
    (r"/etc/init\.d/(?P<name>[a-z0-9-]+) (?P<verb>start|stop|restart)", "@{verb} {name}"),
    (r"service (?P<name>[a-z0-9-]+) (?P<verb>start|stop|restart)", "@{verb} {name}"),
    (SYSTEMCTL + r" (?P<verb>start|stop|restart) (?P<name>[a-z0-9-]+)(?:\.service)?", "@{verb} {name}"),
)

TAG = re.compile(r"\{\{(?:\{\s*(?P<raw>[^{}]*?)\s*\}|\s*(?P<kind>[#^/!>=&]?)\s*(?P<name>[^{}]*?)\s*)\}\}")
NAME = re.compile(r"\.|[\w#-]+(\.[\w#-]+)*")
LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST = re.compile(rf"(?=.{{1,253}}$)(?:\*\.{LABEL}\.)?(?:{LABEL}\.)*{LABEL}")


class ImportFailed(Exception):
    """Why the import failed, in one line."""


class Source:
    """The file's text, and the line of each key: tomllib reports values, not lines."""

    def __init__(self, path):
        self.path = path
        try:
            with open(path, "rb") as file:
                self.text = file.read().decode("utf-8")
        except OSError as error:
            raise ImportFailed(f"{path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ImportFailed(f"{path}: is not UTF-8") from None
        self.text = self.text.replace("\r\n", "\n")

    def fail(self, line, key, why):
        raise ImportFailed(":".join([self.path, *([str(line)] if line else [])]) + f": {key + ': ' if key else ''}{why}")

    def line_of(self, table, key=None):
        """The line of a table or key; 0: not found, as for keys in one of TOML's rarer notations."""
        inside = False
        for number, line in enumerate(self.text.split("\n"), 1):
            header = re.match(r"\s*\[\s*([\w.\"'-]+)\s*\]", line)
            if header:
                inside = header[1].strip("\"'") == table
                if inside and key is None:
                    return number
            elif key is not None and inside and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*=""", line):
                return number
            elif key is None and re.match(rf"\s*{re.escape(table)}\s*[.=]", line):
                return number
        return 0

    def wrong(self, table, key, why):
        self.fail(self.line_of(table, key), f"{table}.{key}" if key else table, why)

    def line_at(self, offset):
        return self.text.count("\n", 0, offset) + 1


# ---- mustache --------------------------------------------------------------------------------------------------------


def check_tag(source, tag, offset, open_sections):
    """Checks a tag of the list: a variable, a section or a comment, with a valid name."""
    line, name = source.line_at(offset), tag["raw"] if tag["raw"] is not None else tag["name"]
    if tag["kind"] in (">", "="):
        source.fail(line, "general.tls_cert_hosts", f"{tag[0]}: partials and changed delimiters are not supported")
    if tag["kind"] != "!" and not NAME.fullmatch(name):
        source.fail(line, "general.tls_cert_hosts", f"{tag[0]}: is not a mustache tag")
    if tag["kind"] in ("#", "^"):
        open_sections.append(name)
    elif tag["kind"] == "/" and (not open_sections or open_sections.pop() != name):
        source.fail(line, "general.tls_cert_hosts", f"{tag[0]}: closes a section that is not open")


def split_list(source, start):
    """The list that begins at start: ([("string", text) or ("tag", tag)], the offset after it)."""
    items, offset, open_sections = [], start + 1, []
    while offset < len(source.text):
        rest = source.text[offset:]
        tag = TAG.match(rest)
        string = re.match(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', rest)
        space = re.match(r"[\s,]+|#[^\n]*", rest)
        if tag:
            check_tag(source, tag, offset, open_sections)
            if tag["kind"] != "!":
                items.append(("tag", tag[0]))
        elif string:
            for inner in TAG.finditer(string[0]):
                check_tag(source, inner, offset + inner.start(), open_sections)
            items.append(("string", tomllib.loads("x = " + string[0])["x"]))
        elif rest[0] == "]":
            if open_sections:
                source.fail(source.line_at(offset), "general.tls_cert_hosts", f"the section {open_sections[-1]!r} is not closed")
            return items, offset + 1
        elif not space:
            break
        offset += (tag or string or space).end()
    source.fail(source.line_at(offset), "general.tls_cert_hosts", "must be a list of strings")


def take_template(source):
    """
    Replaces the tags of tls_cert_hosts in the text. Returns the lines of the template, or None if there are no tags. The
    text keeps its number of lines; a tag anywhere else is an error.
    """
    hosts = re.search(r"^[ \t]*tls_cert_hosts[ \t]*=[ \t]*(?=\[)", source.text, re.M)
    lines = None
    if hosts and "{{" in source.text[hosts.end():]:
        items, end = split_list(source, hosts.end())
        value = source.text[hosts.end():end]
        if "{{" in value:
            lines = [text for _, text in items if text]
            source.text = source.text[:hosts.end()] + "[]" + "\n" * value.count("\n") + source.text[end:]
    if "{{" in source.text:
        line = source.line_at(source.text.index("{{"))
        source.fail(line, "", "a mustache tag: only general.tls_cert_hosts may depend on the hub's document; all other keys "
                              "decide what the machine does and are measured")
    for line in lines or []:
        if not TAG.sub("", line).isprintable() or (not TAG.search(line) and not good_host(line)):
            source.wrong("general", "tls_cert_hosts", f"{line!r} is not a host name or address")
    return lines


# ---- values ----------------------------------------------------------------------------------------------------------


def parse(source):
    try:
        tables = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        found = re.fullmatch(r"(.*?) \(at (?:line (\d+), column \d+|end of document)\)", str(error), re.S)
        line = found[2] or source.text.count("\n") + 1 if found else 0
        source.fail(line, "", f"is not TOML: {found[1] if found else error}")
    for table, members in tables.items():
        if table not in TABLES:
            source.wrong(table, None, "no such table" + hint(table, TABLES))
        if not isinstance(members, dict):
            source.wrong(table, None, "must be a table")
    for key, value in tables.get("general", {}).items():
        check_general(source, key, value)
    for table in ("actions", "file_uploads"):
        for key, value in tables.get(table, {}).items():
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", key):
                source.wrong(table, key, "a name consists of at most 63 letters, digits, - and _")
            if not isinstance(value, str):
                source.wrong(table, key, "must be a string")
            if not value or "\0" in value:
                source.wrong(table, key, "must not be empty" if not value else "must not contain NUL")
    return tables


def hint(name, names):
    near = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_general(source, key, value):
    if key not in GENERAL:
        source.wrong("general", key, "no such key" + hint(key, GENERAL))
    kind = GENERAL[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        source.wrong("general", key, f"must be {TYPES[kind]}")
    if kind is list and not all(isinstance(item, str) for item in value):
        source.wrong("general", key, f"must be {TYPES[kind]}")
    if kind is int and value < 0:
        source.wrong("general", key, "must not be negative")


def good_host(host):
    try:
        return "%" not in host and bool(ipaddress.ip_address(host))
    except ValueError:
        return HOST.fullmatch(host) is not None


class Importer:
    """One run: the members of boot.json that the tables become, and the notes."""

    def __init__(self, source, options, services, refreshes):
        self.source, self.options, self.services, self.refreshes = source, options, services, refreshes
        self.notes = []
        self.api, self.events = {}, {}

    def note(self, key, words):
        self.notes.append(f"{key}: {words}")

    def path(self, table, key, value):
        if not value.startswith("/") and self.options.relative_to:
            value = os.path.join(self.options.relative_to, value)
            value = os.path.normpath(value)
            self.note(f"{table}.{key}", f"is {value}")
        if not value.startswith("/"):
            self.source.wrong(table, key, f"{value!r} is not an absolute path; give its base folder with --relative-to")
        if value != os.path.normpath(value) or value == "/" or value.startswith("//"):
            self.source.wrong(table, key, f"{value!r} contains \".\", \"..\", // or a final /")
        return value

    def listen(self, value):
        host, colon, port = value.rpartition(":")
        if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
            self.source.wrong("general", "listen_addr", f"{value!r} has no port from 1 to 65535")
        named = {"": "0.0.0.0", "localhost": "127.0.0.1"}.get(host)
        if named:
            self.note("general.listen_addr", f"{value!r} becomes {named}:{port}: an address must be numeric")
            return f"{named}:{port}"
        try:
            if host.startswith("["):
                ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]") if host.endswith("]") else "")
            else:
                ipaddress.IPv4Address(host)
        except ValueError:
            self.source.wrong("general", "listen_addr", f"{host!r} is not a numeric address")
        return value

    def ring(self, entries):
        if entries > RING_MAX:
            self.source.wrong("general", "log_max_entries", f"at most {RING_MAX}")
        if entries == 0:
            self.note("general.log_max_entries", f"events.ring is {OLD_ENTRIES}, the older System API's default; "
                                                 "Gantry's is 2000")
        elif entries < RING_MIN:
            self.note("general.log_max_entries", f"events.ring is {RING_MIN}, the minimum")
        return max(entries or OLD_ENTRIES, RING_MIN)

    def tls(self, general, template):
        cert, key = general.get("tls_cert_path", ""), general.get("tls_key_path", "")
        create = general.get("tls_create_if_missing", False)
        hosts = [host for host in general.get("tls_cert_hosts", []) if host]
        if len(hosts) < len(general.get("tls_cert_hosts", [])):
            self.note("general.tls_cert_hosts", "an empty name is left out")
        if general.get("tls_enabled") is False:
            self.source.wrong("general", "tls_enabled", "Gantry always uses TLS; remove this key and let clients use https")
        if "tls_enabled" not in general:
            self.note("general.tls_enabled", "is absent: the older System API then used plain HTTP, Gantry always uses TLS")
        if bool(cert) != bool(key):
            given, missing = ("tls_cert_path", "tls_key_path") if cert else ("tls_key_path", "tls_cert_path")
            self.source.wrong("general", given, f"needs {missing} too: both or none")
        if cert:
            self.api["tls_certificate"] = self.path("general", "tls_cert_path", cert)
            self.api["tls_key"] = self.path("general", "tls_key_path", key)
            self.api["tls_create"] = create
        elif "tls_create_if_missing" in general and not create:
            self.source.wrong("general", "tls_create_if_missing", "needs tls_cert_path and tls_key_path")
        else:
            self.note("general.tls_cert_path", "is absent: the API makes a new certificate in memory at each start")
        if len(hosts) > HOSTS_MAX:
            self.source.wrong("general", "tls_cert_hosts", f"at most {HOSTS_MAX} names")
        for host in hosts:
            if not good_host(host):
                self.source.wrong("general", "tls_cert_hosts", f"{host!r} is not a host name or address")
        if hosts:
            self.api["tls_hosts"] = hosts
        if template is not None:
            self.api["tls_hosts_file"] = TLS_HOSTS

    def password(self, general):
        path, salt = general.get("basic_auth_secret_path", ""), general.get("basic_auth_secret_salt", "")
        if not path:
            if salt:
                self.note("general.basic_auth_secret_salt", "has no effect without basic_auth_secret_path")
            return
        self.api["password_file"] = self.path("general", "basic_auth_secret_path", path)
        if salt:
            self.api["password_salt"] = salt
        self.api["password_hash"] = "sha256"    # the older System API's format: passwords that are set stay valid

    def action(self, name, command):
        for pattern, verb in VERBS:
            found = re.fullmatch(pattern, command)
            if not found:
                continue
            meant, service = verb.format(**found.groupdict()), found.groupdict().get("name")
            if meant == "@refresh-config" and not self.refreshes:
                self.note(f"actions.{name}", f"{command!r} stays a shell command; it would become {meant!r} if boot.json had a "
                                             "'refresh'")
                break
            if service and service not in self.services:
                self.note(f"actions.{name}", f"{command!r} stays a shell command; it would become {meant!r} if boot.json had the "
                                             f"service {service!r}")
                break
            self.note(f"actions.{name}", f"{command!r} becomes {meant!r}")
            return {"verb": meant}
        return {"command": [self.options.shell, "-c", command]}

    def run(self, tables, template):
        general = tables.get("general", {})
        for key in general:
            if key in NO_EFFECT:
                self.note(f"general.{key}", f"has no effect: {NO_EFFECT[key]}")
        if general.get("listen_addr"):
            self.api["listen"] = self.listen(general["listen_addr"])
        self.tls(general, template)
        self.password(general)
        actions = [{"name": name, **self.action(name, command)} for name, command in tables.get("actions", {}).items()]
        uploads = [{"name": name, "path": self.path("file_uploads", name, path)}
                   for name, path in tables.get("file_uploads", {}).items()]
        if actions:
            self.api["actions"] = actions
        if uploads:
            self.api["uploads"] = uploads
        self.events["ring"] = self.ring(general.get("log_max_entries", 0))
        if general.get("pipe_file"):
            self.events["fifo"] = self.path("general", "pipe_file", general["pipe_file"])


# ---- boot.json -------------------------------------------------------------------------------------------------------


def once(pairs):
    """An object's members; json would keep the last of two equal names and hide the first from gantryctl check."""
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is given twice")
    return members


def load_boot(path):
    try:
        with open(path, encoding="utf-8") as file:
            boot = json.loads(plain_json(file.read()), object_pairs_hook=once)
    except OSError as error:
        raise ImportFailed(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ImportFailed(f"{path}: is not JSON: {error}") from None
    members = [("api", dict), ("events", dict), ("stages", list), ("services", list)]
    if not isinstance(boot, dict) or not all(isinstance(boot.get(name, kind()), kind) for name, kind in members):
        raise ImportFailed(f"{path}: is not a boot.json")
    return boot


def disk_nodes(boot, api):
    """Names of the disk stages whose mount contains one of the files."""
    paths = [api.get("password_file"), api.get("tls_certificate"), api.get("tls_key"),
             *(upload["path"] for upload in api.get("uploads", []))]
    found = []
    for stage in boot.get("stages", []):
        if isinstance(stage, dict) and stage.get("type") == "disk":
            mount = stage.get("options", {}).get("mount", "/persistent")
            if any(path and path.startswith(mount + "/") for path in paths):
                found.append(stage["name"])
    return found


def merge(boot, importer, entry):
    """Merges the import into boot.json; all other members stay. Returns ENTRY if no render stage could take it."""
    needs = disk_nodes(boot, importer.api)
    if needs and "needs" not in boot.get("api", {}):
        importer.api["needs"] = needs
        importer.note("api.needs", f"is {', '.join(needs)}: the disk that the files are on")
    boot["api"] = boot.get("api", {}) | importer.api
    boot["events"] = boot.get("events", {}) | importer.events
    renders = [stage for stage in boot.get("stages", []) if isinstance(stage, dict) and stage.get("type") == "render"]
    if entry and len(renders) == 1:
        files = renders[0].setdefault("options", {}).setdefault("files", [])
        if entry not in files:
            files.append(entry)
        importer.note("general.tls_cert_hosts", f"the stage {renders[0].get('name')!r} renders {entry['template']}")
        entry = None
    return entry


def check(text):
    """The error of `gantryctl check`, or ''. None: build/init does not exist."""
    if not os.access(INIT, os.X_OK):
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "boot.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        checked = subprocess.run(["gantryctl", "check", path], executable=INIT, capture_output=True, text=True, check=False)
        return checked.stderr.strip().replace(folder + "/", "") if checked.returncode else ""


def write_template(root, lines):
    path = os.path.join(root, TEMPLATE.lstrip("/"))
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
    except OSError as error:
        raise ImportFailed(f"{path}: {error.strerror}") from None


def convert(options):
    """Returns the text to print, and the notes."""
    source = Source(options.file)
    template = take_template(source)
    tables = parse(source)
    if template is not None and not options.root:
        source.wrong("general", "tls_cert_hosts", f"has mustache tags: give --root, the image's root folder, for {TEMPLATE}")
    boot = load_boot(options.boot) if options.boot else {}
    services = {service.get("name") for service in boot.get("services", []) if isinstance(service, dict)}
    importer = Importer(source, options, services, "refresh" in boot)
    importer.run(tables, template)
    entry = {"template": TEMPLATE, "path": TLS_HOSTS, "mode": "0644"} if template is not None else None
    printed = {"api": importer.api, "events": importer.events}
    if options.boot:
        entry = merge(boot, importer, entry)
        printed = boot
    elif importer.api.keys() & {"password_file", "tls_certificate", "uploads"}:
        importer.note("api.needs", "add the stage that opens the disk, if these files are on it")
    if entry:
        importer.note("general.tls_cert_hosts", f"a stage of type render needs this entry in its files: {json.dumps(entry)}")
    text = json.dumps(printed, indent="\t", ensure_ascii=False) + "\n"
    if options.boot:
        complaint = check(text)
        if complaint:
            raise ImportFailed(f"gantryctl check refuses the merged boot.json: {complaint}")
        if complaint is None:
            importer.note("boot.json", f"not checked: {INIT} does not exist")
    if template is not None:
        write_template(options.root, template)
    return text, importer.notes


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("file", help="systemapi-config.toml, or the mustache template it is rendered from")
    parser.add_argument("--boot", metavar="FILE", help="boot.json to merge it into; the result is printed without comments")
    parser.add_argument("--root", metavar="DIR", help=f"the image's root folder, for {TEMPLATE}")
    parser.add_argument("--relative-to", metavar="DIR", help="the folder in the image that relative paths start from")
    parser.add_argument("--shell", metavar="PATH", default="/bin/sh",
                        help="the shell that runs the actions: the older System API's SHELL_TO_USE")
    options = parser.parse_args(arguments)
    for name in ("relative_to", "shell"):
        if (getattr(options, name) or "/").startswith("/") is False:
            parser.error(f"--{name.replace('_', '-')} must be an absolute path")
    try:
        text, notes = convert(options)
    except ImportFailed as error:
        print(error, file=sys.stderr)
        return 1
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
