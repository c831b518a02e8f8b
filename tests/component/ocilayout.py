# SPDX-License-Identifier: GPL-2.0-or-later
"""An OCI image layout, made by hand from lists of (path, mode, uid, gid, content), where the content of a link is its target, and
of a hard link "=" and the name."""

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile

MANIFEST, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def layer_of(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, mode, uid, gid, content in entries:
            member = tarfile.TarInfo(path)
            member.mode, member.uid, member.gid = stat.S_IMODE(mode), uid, gid
            if stat.S_ISDIR(mode):
                member.type = tarfile.DIRTYPE
            elif stat.S_ISLNK(mode):
                member.type, member.linkname = tarfile.SYMTYPE, content
            elif content[:1] in ("=", b"="):
                member.type, member.linkname = tarfile.LNKTYPE, content[1:]
            else:
                content = content if isinstance(content, bytes) else content.encode()
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return out.getvalue()


class Layout:
    """Of one image, in a folder that this makes."""

    def __init__(self, folder, layers, config, compress=gzip.compress, architecture="amd64"):
        self.folder = folder
        os.makedirs(os.path.join(folder, "blobs", "sha256"))
        packed = [layer if isinstance(layer, bytes) else layer_of(layer) for layer in layers]
        described = [self.blob(compress(data), LAYER + ("+gzip" if compress is gzip.compress else "")) for data in packed]
        about = {"architecture": architecture, "os": "linux", "config": config,
                 "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest() for data in packed]}}
        self.config = self.blob(json.dumps(about).encode(), "application/vnd.oci.image.config.v1+json")
        self.manifest = self.blob(json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": self.config,
                                              "layers": described}).encode(), MANIFEST)
        index = {"schemaVersion": 2, "mediaType": INDEX,
                 "manifests": [{**self.manifest, "annotations": {"org.opencontainers.image.ref.name": "one"}}]}
        self.write("index.json", json.dumps(index).encode())
        self.write("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')

    def write(self, name, content):
        with open(os.path.join(self.folder, name), "wb") as file:
            file.write(content)

    def blob(self, content, kind):
        digest = hashlib.sha256(content).hexdigest()
        self.write("blobs/sha256/" + digest, content)
        return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(content)}
