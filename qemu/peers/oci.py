# SPDX-License-Identifier: GPL-2.0-or-later
"""Container images and the registry that serves them: Debian's docker-registry, with or without a password, filled over its
API. An image is one layer with the given files; the same files give the same digest."""

import contextlib
import gzip
import hashlib
import http.client
import io
import json
import os
import socket
import subprocess
import tarfile
import time

from qemu import debian

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
# The user of a registry with a password, in the only format that docker-registry knows (bcrypt).
USER, PASSWORD = "joe", "secret-of-joe"
HTPASSWD = "joe:$2b$05$abcdefghijklmnopqrstuuceZo3ljGDvlMTAdhudiWhqFJz6poJTC\n"


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def layer(files):
    """A gzipped tar of {path: bytes or (bytes, mode) or None for a directory}."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        folders = {parent for path in files for parent in parents(path)} - {p.strip("/") for p in files}
        for path, content in [*((folder, None) for folder in sorted(folders)), *files.items()]:
            entry = tarfile.TarInfo(path.strip("/"))
            content, entry.mode = content if isinstance(content, tuple) else (content, 0o755)
            if content is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content or b""))
    return raw.getvalue()


def programs(*names):
    """The files of an image with these programs of the build root in /bin, and the directories that crun mounts over."""
    found = debian.programs(*names)
    loader = next(content for path, content in found.items() if "ld-linux" in path)
    files = {**found, "/lib64/ld-linux-x86-64.so.2": loader}
    files |= {f"/bin/{name}": found[debian.find(name)] for name in names}
    return files | {f"/{name}": (None, 0o755) for name in ("tmp", "proc", "sys", "dev", "etc", "run", "data")}


def parents(path):
    parts = path.strip("/").split("/")[:-1]
    return ["/".join(parts[:n + 1]) for n in range(len(parts))]


class Image:
    """An image: its digest, and its blobs and manifest in a registry's format."""

    def __init__(self, files, entrypoint, environment=()):
        content = layer(dict(sorted(files.items())))
        packed = gzip.compress(content, compresslevel=1, mtime=0)
        config = json.dumps({
            "architecture": "amd64", "os": "linux",
            "config": {"Entrypoint": list(entrypoint), "Env": ["PATH=/usr/bin:/bin", *environment]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(content)]}}).encode()
        self.blobs = {digest_of(config): config, digest_of(packed): packed}
        self.layer = digest_of(packed)
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(config),
                       "size": len(config)},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": self.layer,
                        "size": len(packed)}]}).encode()
        self.digest = digest_of(self.manifest)


def push(address, name, image):
    """Uploads it to the registry at "host:port", under its digest only."""
    def ask(method, path, body=b"", **headers):
        connection = http.client.HTTPConnection(address, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status >= 300:
                raise OSError(f"{method} {path}: {answer.status}")
            return answer

    for digest, content in image.blobs.items():
        where = ask("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
        ask("PUT", f"{where}{'&' if '?' in where else '?'}digest={digest}", content,
            **{"Content-Type": "application/octet-stream"})
    ask("PUT", f"/v2/{name}/manifests/{image.digest}", image.manifest, **{"Content-Type": MANIFEST})


def configuration(folder, address, htpasswd=None, tls=None):
    """The configuration of docker-registry for blobs in FOLDER; paths of the password file, and of certificate and key."""
    secure = f", tls: {{certificate: {tls[0]}, key: {tls[1]}}}" if tls else ""
    lines = [f"version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {folder}}}}}",
             f"http: {{addr: '{address}', relativeurls: true{secure}}}"]
    if htpasswd:
        lines.append(f"auth: {{htpasswd: {{realm: test, path: {htpasswd}}}}}")
    return "\n".join(lines) + "\n"


def fill(folder, images):
    """Makes FOLDER the storage of a registry with these images ({name: Image}); a registry runs for a moment for this."""
    os.makedirs(folder, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    path = os.path.join(folder, "registry.yml")
    with open(path, "w", encoding="ascii") as file:
        file.write(configuration(folder, address))
    with subprocess.Popen(["docker-registry", "serve", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as registry:
        try:
            wait_until_open(address, registry)
            for name, image in images.items():
                push(address, name, image)
        finally:
            registry.kill()


def wait_until_open(address, process, timeout=30):
    """Polls until it listens, since docker-registry has no notification for this."""
    end = time.monotonic() + timeout
    while True:
        try:
            with contextlib.closing(http.client.HTTPConnection(address, timeout=5)) as connection:
                connection.request("GET", "/v2/")
                connection.getresponse()
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.05)
