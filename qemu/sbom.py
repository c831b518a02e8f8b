# SPDX-License-Identifier: GPL-2.0-or-later
"""The bill of materials of an image, as CycloneDX 1.6: what is in it and was made by others, with the licences that Debian's
debian/copyright names. They are read from the very files that were pinned: of a source package from its .debian.tar, of a binary
package from its own documentation."""

import io
import os
import re
import subprocess
import tarfile
import uuid

SOURCES = os.path.join(os.environ.get("GANTRY_CACHE", "/cache"), "sources")
KINDS = ("source", "kernel", "package")
COPYING = re.compile(r"(\./)?[^/]+/(COPYING|LICENSE)(\.txt|\.md)?", re.I)
KNOWN = (("MIT", "Permission is hereby granted, free of charge"), ("GPL-2", "GNU GENERAL PUBLIC LICENSE Version 2"),
         ("Apache-2.0", "Apache License Version 2.0"), ("BSD", "Redistribution and use in source and binary forms"))


def names_in(text):
    """The short names of licences in a debian/copyright, of either of its two forms."""
    named = {name.strip() for line in re.findall(r"^License: *(\S.*)$", text, re.M)
             for name in re.split(r"\s+(?:and|or)\s+|,\s*|\s*\|\s*", line)}
    return sorted(name for name in named or re.findall(r"/usr/share/common-licenses/([A-Za-z0-9.-]*[A-Za-z0-9])", text) if name)


def names_in_licence(text):
    words = " ".join(text.split())
    return [name for name, beginning in KNOWN if beginning in words][:1]


def member_text(tar, wanted):
    for member in tar:
        if wanted(member.name) and member.isfile():
            return tar.extractfile(member).read().decode(errors="replace")
    return ""


def licences(one, folder=SOURCES):
    """The licences of an entry of inputs.json: of the source package's files together, or of the binary package."""
    path = os.path.join(folder, os.path.basename(one["place"]))
    if path.endswith(".deb"):
        data = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return names_in(member_text(tar, lambda name: re.fullmatch(r"\./usr/share/doc/[^/]+/copyright", name)))
    with tarfile.open(path) as tar:
        if ".debian.tar." in path:
            return names_in(member_text(tar, lambda name: name == "debian/copyright"))
        return names_in_licence(member_text(tar, COPYING.fullmatch))


def component(one, named):
    about = {"type": "library" if one["kind"] == "source" else "application", "name": one["name"], "version": one["version"],
             "hashes": [{"alg": "SHA-256", "content": one["sha256"]}],
             "purl": f"pkg:deb/debian/{one['name']}@{one['version'].replace(':', '%3A')}"
                     + ("?arch=source" if one["kind"] == "source" else "?arch=amd64"),
             "bom-ref": f"{one['name']}@{one['version']}/{os.path.basename(one['place'])}"}
    return {**about, "licenses": [{"license": {"name": name}} for name in named]} if named else about


def bill_of_materials(base, found, folder=SOURCES):
    """Of the entries of inputs.json: sources, kernel and the image's packages."""
    mine = [one for one in found if one["kind"] in KINDS and not one["place"].endswith((".dsc", ".asc"))]
    named = {}          # of a source package, its .debian.tar names the licences of all its files
    for one in sorted(mine, key=lambda each: ".debian.tar." not in each["place"]):
        named.setdefault((one["kind"], one["name"]), licences(one, folder))
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
            "components": [component(one, named[one["kind"], one["name"]]) for one in mine],
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, base)}",
            "metadata": {"component": {"type": "operating-system", "name": base, "bom-ref": base}}}
