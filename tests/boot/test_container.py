# SPDX-License-Identifier: GPL-2.0-or-later
"""A container in the real machine: Debian's podman, its storage on the encrypted disk, a registry beside it.

podman and what it needs are some 100 MB, so they are in this test's own variation of the image and in no other.
"""

import os
import unittest

import support
from support import BootTest
from qemu import debian
from qemu.peers import oci

setUpModule = support.setUpModule
STORAGE = "/persistent/containers"
BOX = r"""
n=$(($(cat /data/count 2>/dev/null || echo 0) + 1)); echo $n > /data/count
trap 'echo stopping $n; exit 0' TERM
echo up $n as $(id -u)
while :; do sleep 0.2; done
"""
CHATTY = r"""
n=0; while [ $n -lt 4000 ]; do n=$((n + 1)); echo line $n %s; done
trap 'exit 0' TERM
while :; do sleep 0.2; done
""" % ("x" * 80)
HOG = "echo hungry; x=0123456789abcdef; while :; do x=$x$x; done"
# Runs on the machine beside the container: restarts it, stops it, and looks at what is left.
LOOK = f"""
until [ "$(cat /run/box/count 2>/dev/null)" = 1 ]; do sleep 0.3; done
until grep -q 'line 4000 ' /persistent/log/chatty.log; do sleep 0.3; done
echo logs of chatty: $(ls /persistent/log | grep chatty)
echo lines of chatty that are not whole: $(cat /persistent/log/chatty.log* | grep -c -v -E '^line [0-9]+ x{{80}}$')
echo in its cgroup: $(for p in $(cat /sys/fs/cgroup/gantry/box/cgroup.procs); do cat /proc/$p/comm; done)
gantryctl restart box
until [ "$(cat /run/box/count 2>/dev/null)" = 2 ]; do sleep 0.3; done
for name in box chatty; do
gantryctl stop $name
until gantryctl status | grep "^$name " | grep -q stopped; do sleep 0.3; done
done
echo mounts left: $(grep -c -e overlay -e {STORAGE} /proc/mounts)
echo processes left: $(cat /proc/[0-9]*/comm | grep -c -e podman -e conmon -e crun)
echo containers left: $(ls {STORAGE}/overlay-containers | grep -c -E '^[0-9a-f]{{64}}$')
"""


class Containers(BootTest):
    def registry(self, images):
        folder = os.path.join(self.folder, "registry")
        oci.fill(folder, images)
        files = {}
        for where, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(where, name)
                with open(path, "rb") as file:
                    files[os.path.join("/srv/registry", os.path.relpath(path, folder))] = file.read()
        files["/etc/registry.yml"] = oci.configuration("/srv/registry", "127.0.0.1:5000").encode()
        return files

    def test_it_is_pulled_to_the_encrypted_disk_runs_restarts_and_leaves_nothing(self):
        inside = oci.programs("sh", "sleep", "cat", "id")
        box = oci.Image(inside, ["/bin/sh", "-c", BOX])
        chatty = oci.Image(inside, ["/bin/sh", "-c", CHATTY])
        hog = oci.Image(inside, ["/bin/sh", "-c", HOG])
        files = debian.programs("podman", "crun", "conmon", "/usr/lib/podman/netavark", "docker-registry", "env", "ip",
                                "sh", "sleep", "cat", "grep", "ls")
        files |= self.registry({"test/box": box, "test/chatty": chatty, "test/hog": hog})

        def container(name, image, **more):
            return {"name": name, "needs": ["disk", "registry"], "container": {
                "image": f"127.0.0.1:5000/test/{name}@{image.digest}", "plain_http": True, **more}}

        def change(config):
            support.only_disk(config)
            for key in ("refresh", "api"):
                config.pop(key, None)
            config["modules"].append("overlay")
            config["logs"] = {"directory": "/persistent/log", "needs": ["disk"]}
            support.add_exec(config, "lo", debian.command("ip", "link", "set", "lo", "up"))
            support.add_exec(config, "look", debian.command("sh", "-c", LOOK, PATH="/usr/bin:/bin"), needs=["box", "chatty"],
                             deadline_s=180)
            config["services"] = [
                {"name": "registry", "command": ["/usr/bin/docker-registry", "serve", "/etc/registry.yml"], "needs": ["lo"],
                 "ready": {"tcp": "127.0.0.1:5000"}},
                {**container("box", box, volumes=["/run/box:/data"], user="1000:1000", read_only=True),
                 "log": {"events": True}, "before_start": [{"directory": "/run/box", "mode": "0777"}]},
                {**container("chatty", chatty), "log": {"max_bytes": 65536, "files": 3}},
                {**container("hog", hog), "after": ["look"], "required": False, "restart": {"policy": "never"},
                 "cgroup": {"memory.max": "96M", "memory.swap.max": "0"}},
            ]

        guest = self.boot(disk=self.blank_disk(), change=change, files=files, cmdline=support.WITHOUT_KERNEL_ERRORS)
        self.assertIn("up 1 as 1000", guest.wait_for("box", kind="message", text="^up", timeout=150).text)
        logs = guest.wait_for("look", kind="message", text="^logs of chatty", timeout=120).text
        self.assertEqual(logs, "logs of chatty: chatty.log chatty.log.1 chatty.log.2")
        guest.wait_for("look", kind="message", text="^lines of chatty that are not whole: 0$", timeout=60)
        self.assertRegex(guest.wait_for("look", kind="message", text="^in its cgroup", timeout=60).text,
                         "(?=.*podman)(?=.*conmon)(?=.*sh)")
        for what in ("mounts", "processes", "containers"):
            left = guest.wait_for("look", kind="message", text=f"^{what} left", timeout=120).text
            self.assertEqual(left, f"{what} left: 0")
        self.assertEqual([event.text for event in guest.events if event.source == "box" and "stopping" in event.text
                          and event.kind == "message"], ["stopping 1", "stopping 2"])
        self.assertEqual(len([event for event in guest.events if event.source == "box" and event.kind == "message"
                              and event.text.startswith("pulled ")]), 1)
        failed = guest.wait_for("hog", "failed", timeout=120)
        self.assertIn("memory", failed.fields["text"])
        self.power_off(guest)


if __name__ == "__main__":
    unittest.main()
