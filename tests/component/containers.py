# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of containers share: Debian's podman and crun below Gantry as PID 1, images, and a real registry on loopback."""

import os
import re
import shutil
import sys
import tempfile
import time
import unittest

from patience import PATIENCE
from pid1 import REPO, Pid1, boot, service
sys.path.insert(0, REPO)
from qemu.peers import oci  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
STORAGE = "/persistent/containers"
# Runs its first argument, says what it is, and ends when it is asked to.
SCRIPT = r"""
eval "$1"
echo "arguments: $*"; echo "greeting: $GREETING, $IMAGE"
trap 'echo stopping; exit 0' TERM
echo up
while :; do sleep 0.05; done
"""
# podman by hand, as Gantry calls it.
PODMAN = f"""
export CONTAINERS_CONF=/dev/null CONTAINERS_REGISTRIES_CONF=/dev/null HOME=/tmp TMPDIR=/tmp PATH=/usr/sbin:/usr/bin
podman() {{ /usr/bin/podman --root={STORAGE} --volumepath={STORAGE}/volumes --runroot=/run/gantry/containers/run \\
--tmpdir=/run/gantry/containers/libpod --network-config-dir=/run/gantry/containers/networks --storage-driver=overlay \\
--cgroup-manager=cgroupfs --events-backend=none "$@"; }}"""

@unittest.skipUnless(shutil.which("podman") and shutil.which("docker-registry"), "no podman in this root")
class Containers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        files = oci.programs("sh", "sleep", "cat", "id", "head", "grep", "nc")
        cls.image = oci.Image(files, ["/bin/sh", "-c", SCRIPT, "name"], ["IMAGE=one"])
        cls.other = oci.Image(files, ["/bin/sh", "-c", "echo wrong", "name"])
        cls.third = oci.Image(files, ["/bin/sh", "-c", "echo third", "name"])
        cls.folder = tempfile.mkdtemp(prefix="registry-")
        oci.fill(cls.folder, {"test/one": cls.image, "test/other": cls.other, "test/third": cls.third})

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def registry(self, **more):
        return service("registry", command=["/usr/bin/docker-registry", "serve", "/t/registry.yml"],
                       ready={"tcp": "127.0.0.1:5000"}, **more)

    def start(self, *services, stages=(), htpasswd=None, files=None, devices=(), **more):
        """PID 1 with these services; the registry's blobs, its configuration and the proxy are in /t."""
        files = {"registry.yml": oci.configuration("/t/registry", "127.0.0.1:5000", htpasswd), "htpasswd": oci.HTPASSWD,
                 "other.json": self.other.manifest, **(files or {})}
        files["note"] = "a note\n"
        with open(os.path.join(HERE, "pid1", "registry_proxy.py"), encoding="utf-8") as file:
            files["proxy.py"] = file.read()
        gantry = Pid1(boot(stages, services, **more), files=files, devices=devices)
        shutil.copytree(self.folder, os.path.join(gantry.shared, "registry"))
        return gantry

    def container(self, port=5000, image=None, needs=("registry",), command=(), **more):
        keys = {key: more.pop(key) for key in list(more) if key in
                ("volumes", "network", "user", "capabilities", "read_only", "tmpfs", "login", "pull_deadline_s", "ports", "ca",
                 "init")}
        host = more.pop("host", "127.0.0.1")
        return {"name": "box", "after": list(needs), "restart": {"min_s": 0.1, "max_s": 0.5},
                "container": {"image": f"{host}:{port}/test/one@{image or self.image.digest}",
                              **({"plain_http": True} if host == "127.0.0.1" else {}),
                              **({"command": list(command)} if command else {}), **keys}, **more}

    def texts(self, gantry, source="box"):
        return [event.text for event in gantry.events if event.source == source and event.kind == "message"]

    def processes(self, gantry):
        found = gantry.inside("/usr/bin/cat", "/sys/fs/cgroup/gantry/box/cgroup.procs")
        names = []
        for pid in found.stdout.split():
            names.append(gantry.inside("/usr/bin/cat", f"/proc/{pid}/comm").stdout.strip())
        return sorted(names)

    def assert_no_process(self, gantry):
        """What was killed is gone a moment later; a cgroup's end is told only to who has watched it."""
        end = time.monotonic() + 5 * PATIENCE
        while names := self.processes(gantry):
            self.assertLess(time.monotonic(), end, names)

    def assert_nothing_left(self, gantry):
        """No process, no mount of its, and no container that podman knows of."""
        self.assert_no_process(gantry)
        names = gantry.inside("/bin/sh", "-c", "cat /proc/[0-9]*/comm").stdout.split()
        self.assertEqual([name for name in names if name in ("podman", "conmon", "crun", "sleep")], [])
        self.assertNotIn("containers", gantry.inside("/usr/bin/cat", "/proc/mounts").stdout)
        listed = gantry.inside("/bin/sh", "-c", f"ls {STORAGE}/overlay-containers | grep -v json").stdout.split()
        self.assertEqual([name for name in listed if re.fullmatch("[0-9a-f]{64}", name)], [])
