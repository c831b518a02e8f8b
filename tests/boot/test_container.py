# SPDX-License-Identifier: GPL-2.0-or-later
"""A container in the real machine: Debian's podman, its storage on the encrypted disk, a registry beside it over TLS whose
CA only the configuration names, and a network of podman's.

podman and what it needs are some 100 MB, so they are in this test's own variation of the image and in no other.
"""

import os
import unittest

import support
from support import BootTest
from qemu import debian, pki
from qemu.peers import oci

setUpModule = support.setUpModule
STORAGE = "/persistent/containers"
NETWORK = ("bridge", "veth", "nf_tables", "nft_chain_nat", "nft_ct", "nft_masq", "nft_nat", "nft_fib_inet")
HERE = "10.77.0.1"          # what the registry's certificate names
OUTSIDE = "while :; do echo outside | nc -l -N 9000; done"
BOX = rf"""
n=$(($(cat /data/count 2>/dev/null || echo 0) + 1)); echo $n > /data/count
trap 'echo stopping $n; exit 0' TERM
while :; do echo inside $n | nc -l -N -p 8000; done &
until reached=$(nc -N -w 5 {HERE} 9000 </dev/null) && [ "$reached" ]; do sleep 1; done
echo reached $reached
echo up $n as $(id -u)
sleep infinity & wait $!
"""
CHATTY = r"""
n=0; while [ $n -lt 2000 ]; do n=$((n + 1)); echo line $n %s; done
trap 'exit 0' TERM
sleep infinity & wait $!
""" % ("x" * 80)
HOG = "echo hungry; x=0123456789abcdef; while :; do x=$x$x; done"
# Runs on the machine beside the container: kills it, stops it, and looks at what is left.
LOOK = f"""
ask() {{ until answer=$(nc -N -w 5 {HERE} 8080 </dev/null) && [ "$answer" ]; do sleep 1; done; echo answer: $answer; }}
ports() {{ echo ports $*: $(nft list ruleset | grep -c 'dnat ip to'); }}
count() {{ while {{ read -r n </run/box/count; }} 2>/dev/null; [ "$n" != "$1" ]; do sleep 1; done; }}
count 1
until grep -q 'line 2000 ' /persistent/log/chatty.log; do sleep 1; done
echo logs of chatty: $(ls /persistent/log | grep chatty)
echo lines of chatty that are not whole: $(cat /persistent/log/chatty.log* | grep -c -v -E '^line [0-9]+ x{{80}}$')
echo in its cgroup: $(for p in $(cat /sys/fs/cgroup/gantry/box/cgroup.procs); do cat /proc/$p/comm; done)
ask
for p in $(cat /sys/fs/cgroup/gantry/box/cgroup.procs); do
case $(cat /proc/$p/comm 2>/dev/null) in podman) kill -KILL $p; esac
done
count 2
ask
ports after a kill
for name in box chatty; do
gantryctl stop $name
until gantryctl status | grep "^$name " | grep -q stopped; do sleep 1; done
done
ports left
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
        tls = "/etc/registry.pem", "/etc/registry.key"
        files["/etc/registry.yml"] = oci.configuration("/srv/registry", f"{HERE}:5000", tls=tls).encode()
        for path, name in (*zip(tls, ("hub.pem", "hub.key")), ("/etc/ca.pem", "hub-ca.pem")):
            with open(pki.path(name), "rb") as file:
                files[path] = file.read()
        return files

    def test_it_is_pulled_to_the_encrypted_disk_runs_restarts_and_leaves_nothing(self):
        inside = oci.programs("sh", "sleep", "cat", "id", "nc")
        box = oci.Image(inside, ["/bin/sh", "-c", BOX])
        chatty = oci.Image(inside, ["/bin/sh", "-c", CHATTY])
        hog = oci.Image(inside, ["/bin/sh", "-c", HOG])
        files = debian.programs("podman", "crun", "conmon", "/usr/lib/podman/netavark", "nft", "docker-registry", "env", "ip",
                                "nc", "sh", "sleep", "cat", "grep", "ls")
        files |= self.registry({"test/box": box, "test/chatty": chatty, "test/hog": hog})

        def container(name, image, **more):
            return {"name": name, "needs": ["disk", "registry"], "container": {
                "image": f"{HERE}:5000/test/{name}@{image.digest}", "ca": "/etc/ca.pem", **more}, "stop_grace_s": 60}

        def change(config):
            support.only_disk(config)
            for key in ("refresh", "api"):
                config.pop(key, None)
            config["modules"] += ["overlay", *NETWORK]
            config["logs"] = {"directory": "/persistent/log", "needs": ["disk"]}
            up = f"ip link set lo up && ip addr add {HERE}/32 dev lo"
            support.add_exec(config, "lo", debian.command("sh", "-c", up, PATH="/usr/bin:/usr/sbin"))
            support.add_exec(config, "look", debian.command("sh", "-c", LOOK, PATH="/usr/bin:/usr/sbin:/bin"),
                             needs=["box", "chatty"], deadline_s=300 * support.PATIENCE)
            config["services"] = [
                {"name": "registry", "command": ["/usr/bin/docker-registry", "serve", "/etc/registry.yml"], "needs": ["lo"],
                 "ready": {"tcp": f"{HERE}:5000"}},
                {"name": "outside", "command": ["/usr/bin/sh", "-c", OUTSIDE], "needs": ["lo"]},
                {**container("box", box, volumes=["/run/box:/data"], user="1000:1000", read_only=True, network="bridge",
                             ports=["8080:8000"]), "needs": ["disk", "registry", "outside"],
                 "log": {"events": True}, "before_start": [{"directory": "/run/box", "mode": "0777"}]},
                {**container("chatty", chatty), "log": {"max_bytes": 65536, "files": 3}},
                {**container("hog", hog), "after": ["look"], "required": False, "restart": {"policy": "never"},
                 "cgroup": {"memory.max": "96M", "memory.swap.max": "0"}},
            ]

        guest = self.boot(disk=self.blank_disk(), change=change, files=files, cmdline=support.WITHOUT_KERNEL_ERRORS)
        guest.wait_for("box", kind="message", text="^reached outside$", timeout=150)
        self.assertIn("up 1 as 1000", guest.wait_for("box", kind="message", text="^up", timeout=150).text)
        logs = guest.wait_for("look", kind="message", text="^logs of chatty", timeout=120).text
        self.assertEqual(logs, "logs of chatty: chatty.log chatty.log.1 chatty.log.2")
        guest.wait_for("look", kind="message", text="^lines of chatty that are not whole: 0$", timeout=60)
        self.assertRegex(guest.wait_for("look", kind="message", text="^in its cgroup", timeout=60).text,
                         "(?=.*podman)(?=.*conmon)(?=.*sh)")
        said = ["answer: inside 1", "answer: inside 2", "ports after a kill: 1", "ports left: 0", "mounts left: 0",
                "processes left: 0", "containers left: 0"]
        guest.wait_for("look", kind="message", text="^containers left", timeout=240)
        self.assertEqual([event.text for event in guest.events if event.source == "look" and event.kind == "message" and
                          event.text.startswith(("answer", "ports", "mounts", "processes", "containers"))], said)
        self.assertEqual([event.text for event in guest.events if event.source == "box" and "stopping" in event.text
                          and event.kind == "message"], ["stopping 2"])
        self.assertEqual(len([event for event in guest.events if event.source == "box" and event.kind == "message"
                              and event.text.startswith("pulled ")]), 1)
        failed = guest.wait_for("hog", "failed", timeout=120)
        self.assertIn("memory", failed.fields["text"])
        self.power_off(guest)


if __name__ == "__main__":
    unittest.main()
