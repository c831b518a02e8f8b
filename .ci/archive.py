# SPDX-License-Identifier: GPL-2.0-or-later
"""What Debian has now: the lists of the main archive, of its security suite and of sid, signed under the keyring, read by an apt
with a configuration and a state of its own. And what that means for the pins: what would move and why, and what has a security
fix."""

import os
import re
import subprocess
import tarfile
import time

from namespaces import CACHE, Refused, say
from pins import KERNEL_PACKAGE, SECURITY, SOURCES, SUITE, Lock, apt_line, fetch


def newer(version, than):
    return subprocess.call(["dpkg", "--compare-versions", version, "gt", than]) == 0


def field(stanza, name):
    return re.search(rf"^{name}:[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.M)[1]


def version_in(table, name):
    return field(table[name], "Version") if name in table else None


class Archive:
    """The newest version of everything in each suite: `binaries[suite][name]` and `sources[suite][name]` are stanzas."""

    def __init__(self):
        self.state = os.path.join(CACHE, "apt")
        for name in ("lists/partial", "archives/partial"):
            os.makedirs(os.path.join(self.state, name), exist_ok=True)
        lines = [apt_line(kind, suite) for suite in (SUITE, SECURITY) for kind in ("deb", "deb-src")]
        with open(os.path.join(self.state, "sources.list"), "w", encoding="utf-8") as out:
            out.write("\n".join([*lines, *(apt_line("deb-src", suite) for suite in set(SOURCES.values()) - {SUITE}), ""]))
        open(os.path.join(self.state, "status"), "w", encoding="utf-8").close()
        say("  asking the mirrors of the main archive and the security suite")
        self.apt("apt-get", "-q", "update")
        self.binaries, self.sources = {SECURITY: {}}, {SECURITY: {}}        # a suite without a package has no list
        for line in self.apt("apt-get", "indextargets", "--format", "$(CREATED_BY) $(RELEASE) $(FILENAME)").splitlines():
            kind, suite, path = line.split(" ", 2)
            if kind in ("Packages", "Sources"):
                table = self.binaries if kind == "Packages" else self.sources
                table[suite] = self.newest(path, SOURCES if kind == "Sources" else None)
        if SUITE not in self.binaries or SUITE not in self.sources:
            raise Refused(f"the mirror gives no list of {SUITE}.")

    def apt(self, *arguments):
        options = []
        state = self.state
        for setting in (f"Dir::Etc::sourcelist={state}/sources.list", "Dir::Etc::sourceparts=/dev/null", f"Dir::State={state}",
                        f"Dir::State::lists={state}/lists", f"Dir::Cache={state}", f"Dir::State::status={state}/status",
                        "APT::Architecture=amd64", "APT::Architectures=amd64", "APT::Sandbox::User=root",
                        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false", "Acquire::Languages=none",
                        "APT::Get::List-Cleanup=true", "Dir::Etc::preferences=/dev/null", "Dir::Etc::preferencesparts=/dev/null",
                        # A list that is not signed, or that did not come, is an error and not an older one that is taken for it.
                        "APT::Update::Error-Mode=any", "Acquire::AllowInsecureRepositories=false",
                        "Acquire::AllowDowngradeToInsecureRepositories=false", "Acquire::AllowWeakRepositories=false"):
            options += ["-o", setting]
        done = subprocess.run([arguments[0], *options, *arguments[1:]], capture_output=True, text=True)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if line.startswith("E:")] or [done.stderr.strip()]
            raise Refused(f"{' '.join(arguments[:4])}: {' '.join(errors)}")
        return done.stdout

    def newest(self, path, wanted):
        found = {}
        for block in self.apt("/usr/lib/apt/apt-helper", "cat-file", path).split("\n\n"):
            name = re.search(r"^Package: (\S+)$", block, re.M)
            if name and (wanted is None or name[1] in wanted) and \
                    (name[1] not in found or newer(field(block, "Version"), version_in(found, name[1]))):
                found[name[1]] = block
        return found

    def best(self, table, name, suites=(SUITE, SECURITY)):
        """(suite, stanza) of the newest version in SUITES; of the first that has it. (None, None) if none has the package."""
        suite, best = None, None
        for each in suites:
            stanza = table.get(each, {}).get(name)
            if stanza and (best is None or newer(field(stanza, "Version"), field(best, "Version"))):
                suite, best = each, stanza
        return suite, best

    def source(self, name):
        """What deps.lock says of a source package: a line for each of its files."""
        suite, stanza = self.best(self.sources, name, (SUITE, SECURITY) if SOURCES[name] == SUITE else (SOURCES[name],))
        if not stanza:
            raise Refused(f"no mirror has the source package {name}.")
        files = re.findall(r"^ ([0-9a-f]{64}) (\d+) (\S+)$", field(stanza, "Checksums-Sha256"), re.M)
        return [[name, field(stanza, "Version"), value, size, f"{field(stanza, 'Directory')}/{file}", suite]
                for value, size, file in files if ".tar." in file and not file.endswith(".asc")]

    def package(self, name):
        suite, stanza = self.best(self.binaries, name)
        if not stanza:
            raise Refused(f"no mirror has the package {name}.")
        return [name, *(field(stanza, key) for key in ("Version", "SHA256", "Size", "Filename")), suite]

    def kernel(self):
        """The cloud kernel's package and those of its headers, as lines of deps.lock."""
        depends = lambda name: field(self.best(self.binaries, name)[1], "Depends")
        self.package(KERNEL_PACKAGE)
        image = re.search(r"\blinux-image-[^ ,]+", depends(KERNEL_PACKAGE))[0]
        headers = image.replace("linux-image-", "linux-headers-")
        needed = re.findall(r"\blinux-(?:headers|kbuild)-[^ ,]+", depends(self.package(headers)[0]))
        return self.package(image), [self.package(name) for name in (headers, *needed)]

    def root(self, packages):
        """{name: version} of a build root of PACKAGES, as apt would choose them."""
        chosen = self.apt("apt-get", "-qq", "--simulate", "--no-install-recommends", "install", "?essential",
                          "?priority(^required$)", "apt", *packages)
        return dict(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", chosen, re.M))

    def suites(self, root):
        """{name: suite} of the versions of ROOT; of a version that no list has any longer, the main suite."""
        has = lambda suite, name, version: version_in(self.binaries[suite], name) == version
        return {name: SECURITY if has(SECURITY, name, version) and not has(SUITE, name, version) else SUITE
                for name, version in root.items()}


def by_name(lines):
    return {fields[0]: fields for fields in lines}


def is_patched(sources, name):
    return any(fields[0] == name and ".debian.tar." in fields[4] for fields in sources)


def fixes(lines, since):
    """What the changelog of a source package says of the time since version SINCE: the CVEs that it names, "" if none."""
    for fields in lines:
        if ".debian.tar." in fields[4]:
            try:
                fetch([fields], "source", quiet=True)
                with tarfile.open(os.path.join(CACHE, "sources", os.path.basename(fields[4]))) as tar:
                    text = tar.extractfile("debian/changelog").read().decode(errors="replace")
            except Refused:
                return f"the mirror lacks {os.path.basename(fields[4])}, which has the changelog"
            entries = re.split(r"^(?=\S+ \(\S+\) )", text, flags=re.M)[1:]
            after = []
            for entry in entries:
                if not newer(re.match(r"\S+ \((\S+)\)", entry)[1], since):
                    break
                after += re.findall(r"CVE-\d{4}-\d{4,}", entry)
            return ", ".join(sorted(set(after)))
    return ""


def newest(old, archive, packages, tools, only=""):
    """The lock as it would be with the newest versions; what ONLY ("root", "image", "sources") leaves out is as in OLD."""
    new = Lock("/nonexistent")
    keeps_date = old.date and only in ("sources", "image")
    new.date = old.date if keeps_date else time.strftime("%Y-%m-%d", time.gmtime())      # the root's
    new.sources, new.kernel, new.headers, new.notes = list(old.sources), old.kernel, list(old.headers), list(old.notes)
    new.root, new.suites, new.tools = dict(old.root), dict(old.suites), list(old.tools)
    if only in ("", "sources"):
        new.sources = [fields for name in sorted(SOURCES) for fields in archive.source(name)]
        new.kernel, new.headers = archive.kernel()
        new.notes = []
    if only in ("", "image"):
        new.tools = [archive.package(name) for name in sorted(archive.root(tools))]
    if only in ("", "root"):
        new.root = archive.root(packages)
        new.suites = archive.suites(new.root)
    return new


def take_sources(old, new):
    """
    Fetches the sources of NEW. Mirrors lack a file now and then: that package stays at its old pin, since upstream's new source
    without Debian's patches would be without their security fixes, too. Only a package without an old pin is taken without them.
    """
    for name in sorted(by_name(new.sources)):
        lines = [fields for fields in new.sources if fields[0] == name]
        before = [fields for fields in old.sources if fields[0] == name]
        for fields in lines:
            try:
                fetch([fields], "source")
            except Refused:
                what = os.path.basename(fields[4])
                if before:
                    new.sources = [each for each in new.sources if each[0] != name] + before
                elif ".debian.tar." in fields[4]:
                    new.sources.remove(fields)
                else:
                    raise
                kept = before or lines
                patches = "" if is_patched(new.sources, name) else "built without Debian's patches, "
                new.notes.append(f"{name} {kept[0][1]}: {patches}the mirror lacked {what}")
                say(f"  note: {new.notes[-1]}")
                break


def moves(old, new, archive):
    """[(pin, old version, new version, why)] of all that differs, in the order of deps.lock."""
    found = []

    def one(kind, name, before, after, suite, secure, fixed=""):
        if before and after:
            why = ": ".join(filter(None, (SECURITY if secure and newer(secure, before) else suite, fixed)))
        else:
            why = "new" if after else "no longer needed"
        found.append((f"{kind} {name}", before, after, why))

    before, after = by_name(old.sources), by_name(new.sources)
    for name in sorted(set(before) | set(after)):
        was, now = before.get(name, [None] * 6), after.get(name, [None] * 6)
        if was[1] != now[1]:
            lines = [fields for fields in new.sources if fields[0] == name]
            fixed = fixes(lines, was[1]) if was[1] and now[1] else ""
            one("source", name, was[1], now[1], now[5], version_in(archive.sources[SECURITY], name), fixed)
        elif is_patched(new.sources, name) and not is_patched(old.sources, name):
            found.append((f"source {name}", was[1], now[1], "with Debian's patches, which the mirror lacked"))
    was, secure = old.kernel or [None] * 6, archive.binaries[SECURITY]
    if was[1] != new.kernel[1]:
        one("kernel", new.kernel[0], was[1], new.kernel[1], new.kernel[5], version_in(secure, KERNEL_PACKAGE))
    before, after = by_name(old.tools), by_name(new.tools)
    for name in sorted(set(before) | set(after)):
        was, now = before.get(name, [None] * 6), after.get(name, [None] * 6)
        if was[1:3] != now[1:3]:
            one("tool", name, was[1], now[1], now[5], version_in(secure, name))
    for name in sorted(set(old.root) | set(new.root)):
        if old.root.get(name) != new.root.get(name):
            one("root", name, old.root.get(name), new.root.get(name), new.suites.get(name), version_in(secure, name))
    return found


def insecure(lock, archive):
    """
    [(pin, version, newer one, why)] of each pin with a newer version in the security suite, and of each source package with a
    newer one elsewhere whose changelog names a CVE or cannot be read: point releases and sid have fixes that never were in the
    security suite.
    """
    found = []

    def one(pin, version, secure):
        if secure and newer(secure, version):
            found.append((pin, version, secure, SECURITY))

    for name, fields in sorted(by_name(lock.sources).items()):
        lines = archive.source(name) if name in SOURCES else []
        secure = version_in(archive.sources[SECURITY], name)
        if lines and newer(lines[0][1], fields[1]):
            fixed, is_security = fixes(lines, fields[1]), secure and newer(secure, fields[1])
            if fixed or is_security:
                why = ": ".join(filter(None, (SECURITY if is_security else lines[0][5], fixed)))
                found.append((f"source {name}", fields[1], lines[0][1], why))
    one(f"kernel {lock.kernel[0]}", lock.kernel[1], version_in(archive.binaries[SECURITY], KERNEL_PACKAGE))
    for name, version, *_ in lock.tools:
        one(f"tool {name}", version, version_in(archive.binaries[SECURITY], name))
    for name, version in sorted(lock.root.items()):
        one(f"root {name}", version, version_in(archive.binaries[SECURITY], name))
    return found
