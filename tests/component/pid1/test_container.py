# SPDX-License-Identifier: GPL-2.0-or-later
"""Services that are containers: Gantry as PID 1, Debian's podman and crun, and a real registry on loopback."""

import base64
import json
import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.dirname(os.path.dirname(os.path.dirname(HERE)))]
from containers import PODMAN, STORAGE, Containers  # noqa: E402
from fake_control import wait_for  # noqa: E402
from pid1 import service, stage  # noqa: E402
from support import waits  # noqa: E402
from qemu import pki  # noqa: E402
from qemu.peers import oci  # noqa: E402

ENCODED = base64.b64encode(f"{oci.USER}:{oci.PASSWORD}".encode()).decode()
# Of a container: answers whoever comes to its port, and asks the world once it is told to.
TALK = r"""
while :; do echo "inside $0" | nc -l -N -p 8000; done &
(while [ ! -e /data/go ]; do sleep 0.05; done; nc -N 192.0.2.2 9000 </dev/null) &
"""
# The world: a network of its own, that tells whoever asks by which address it knows him.
WORLD = "echo $$ > /t/world.pid; exec socat TCP-LISTEN:9000,fork,reuseaddr SYSTEM:'echo hello $SOCAT_PEERADDR'"
LINK = """
ip link add name world0 type veth peer name world0 netns $1
ip addr add 192.0.2.1/24 dev world0; ip link set dev world0 up
nsenter -t $1 -n sh -e -c 'ip addr add 192.0.2.2/24 dev world0; ip link set dev world0 up'
"""


def has_bridges():
    """Whether this machine's kernel has what netavark needs; a boot test has it in any case."""
    probe = "ip link add br0 type bridge && ip link add type veth && nft add table inet t && nft add chain inet t c " \
            "'{ type nat hook postrouting priority 0; }' && nft add rule inet t c masquerade"
    return subprocess.run(["unshare", "-n", "sh", "-c", probe], capture_output=True, check=False).returncode == 0


class ContainerTest(Containers):
    # -- the way there and back

    def test_a_container_is_pulled_runs_in_its_cgroup_and_ends_when_it_is_told_to(self):
        box = self.container(command=[":", "a b", "c"], environment={"GREETING": "hello there"}, cgroup={"pids.max": "64"})
        with self.start(self.registry(), box) as gantry:
            gantry.wait("box", "ready", timeout=40)
            gantry.wait("box", "up", kind="message")
            texts = self.texts(gantry)
            self.assertIn("arguments: : a b c", texts)
            self.assertIn("greeting: hello there, one", texts)
            self.assertTrue(any(text.startswith("pulled 127.0.0.1:5000/test/one@sha256:") for text in texts), texts)
            self.assertTrue(gantry.find("box", "pulling 127.0.0.1:5000/test/one@sha256:", kind="progress"))
            processes = self.processes(gantry)
            self.assertEqual([name for name in processes if name not in ("sleep", "")], ["conmon", "podman", "podman-init", "sh"])
            gantry.ctl("stop", "box")
            gantry.wait("box", "stopped")
            self.assertIn("stopping", self.texts(gantry))
            self.assert_no_process(gantry)
            self.assert_nothing_left(gantry)

    def test_an_image_that_is_there_is_not_pulled_again(self):
        with self.start(self.registry(), self.container()) as gantry:
            gantry.wait("box", "up", kind="message", timeout=40)
            gantry.ctl("stop", "registry")
            gantry.ctl("restart", "box")
            gantry.wait("box", "up", kind="message", count=2)
            self.assertEqual(len(gantry.find("box", "pulling ", kind="progress")), 1)

    def test_what_a_kill_leaves_does_not_keep_the_next_one_from_starting(self):
        with self.start(self.registry(), self.container()) as gantry:
            gantry.wait("box", "up", kind="message", timeout=40)
            gantry.inside("/bin/sh", "-c", "echo 1 > /sys/fs/cgroup/gantry/box/cgroup.kill")
            gantry.wait("box", "retrying")
            self.assertNotIn("containers", gantry.inside("/usr/bin/cat", "/proc/mounts").stdout)
            gantry.wait("box", "up", kind="message", count=2)
            gantry.ctl("stop", "box")
            gantry.wait("box", "stopped")
            self.assert_nothing_left(gantry)

    def test_a_container_that_ignores_its_signal_is_killed_with_all_it_has_after_its_grace(self):
        box = self.container(command=["trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & "
                                      "echo deaf; while :; do sleep 1; done"], stop_grace_s=0.5)
        with self.start(self.registry(), box) as gantry:
            gantry.wait("box", "deaf", kind="message", timeout=40)
            gantry.ctl("stop", "box")
            gantry.wait("box", "stopped")
            self.assert_no_process(gantry)
            self.assertNotIn("containers", gantry.inside("/usr/bin/cat", "/proc/mounts").stdout)

    def test_one_without_a_handler_ends_at_once_orphans_are_reaped_and_what_a_shell_has_started_may_end(self):
        script = "(trap 'sleep 1; echo flushed; exit 0' TERM; while :; do sleep 0.1; done) & " \
                 "for i in 1 2 3; do (sleep 0.3$i & ); done; echo begun as $$; exec sleep 1000"
        with self.start(self.registry(), self.container(command=[script], stop_grace_s=100)) as gantry:
            begun = gantry.wait("box", "begun as ", kind="message", timeout=40)
            self.assertNotEqual(begun.text, "begun as 1")
            orphans = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 0.3[123]'; " \
                      "grep -l '^State:.Z' /proc/[0-9]*/status | wc -l"
            wait_for(lambda: gantry.inside("/bin/sh", "-c", orphans).stdout.split() == ["0", "0"], "none runs, none is a zombie")
            gantry.ctl("stop", "box")
            gantry.wait("box", "stopped", timeout=40)
            self.assertIn("flushed", self.texts(gantry))
            self.assert_no_process(gantry)

    def test_without_init_its_program_is_the_first_process(self):
        self.assertIn("process 1", self.look("echo process $$", init=False))

    def test_its_own_exit_status_is_the_service_s(self):
        box = self.container(command=["echo going; exit 7"], restart={"policy": "on-failure", "min_s": 0.1, "max_s": 0.2})
        with self.start(self.registry(), box) as gantry:
            gantry.wait("box", "retrying", timeout=40, count=2)
            self.assertIn("going", gantry.find("box", "retrying")[0].text)

    def test_podman_s_own_failure_is_tried_again_though_its_status_is_125(self):
        with self.start(self.registry(), self.container(volumes=["/nowhere:/data"])) as gantry:
            gantry.wait("box", "retrying", timeout=40, count=2)
            self.assertIn("no such file or directory", gantry.find("box", "retrying")[0].text)
            gantry.inside("/usr/bin/mkdir", "/nowhere")
            gantry.wait("box", "up", kind="message")

    # -- what it may and may not

    def look(self, script, **more):
        """What a script prints inside, as lines."""
        with self.start(self.registry(), self.container(command=[script + "; echo done"], **more)) as gantry:
            gantry.wait("box", "done", kind="message", timeout=40)
            return self.texts(gantry)

    def test_it_is_confined_as_it_says(self):
        lines = self.look("grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status | cat; id -u; id -g; "
                          "(echo x > /file) 2>/dev/null || echo refused; echo y > /scratch/file && cat /scratch/file; "
                          "grep 'Max open' /proc/self/limits; cat /proc/net/dev | grep -c :; cat /data/note; "
                          "(echo z > /data/note) 2>/dev/null || echo kept; (cd /proc/$$/fd; echo descriptors *)",
                          user="1000:1001", capabilities=["NET_BIND_SERVICE"], read_only=True,
                          tmpfs=["/scratch:size=1m,mode=1777"],
                          limits={"nofile": 777}, volumes=["/t/note:/data/note:ro"])
        text = "\n".join(lines)
        self.assertRegex(text, r"CapBnd:\s+0000000000000400")
        self.assertRegex(text, r"NoNewPrivs:\s+1")
        self.assertRegex(text, r"Seccomp:\s+2")
        self.assertRegex(text, r"1000\n1001\nrefused\ny\n")
        self.assertRegex(text, r"Max open files\s+777\s+777 ")
        self.assertRegex(text, r"\n1\na note\nkept\ndescriptors 0 1 2\n")          # lo alone

    def test_podman_lacks_what_no_container_asks_for(self):
        """This one asks for SYS_TIME."""
        module, time_ = 1 << 16, 1 << 25
        script = "grep CapBnd /proc/self/status; echo up; exec sleep 1000"
        with self.start(self.registry(), self.container(command=[script], capabilities=["SYS_TIME"])) as gantry:
            gantry.wait("box", "up", kind="message", timeout=40)
            self.assertRegex("\n".join(self.texts(gantry)), rf"CapBnd:\s+{time_:016x}")
            pids = gantry.inside("/usr/bin/cat", "/sys/fs/cgroup/gantry/box/cgroup.procs").stdout.split()
            status = [gantry.inside("/usr/bin/cat", f"/proc/{pid}/status").stdout for pid in pids]
            bounds = {re.search(r"^Name:\s+(\S+)", text)[1]: int(re.search(r"^CapBnd:\s+(\S+)", text, re.M)[1], 16)
                      for text in status}
            for name in ("podman", "conmon"):
                self.assertEqual(bounds[name] & (module | time_), time_, bounds)

    def test_its_network_is_the_machine_s_when_it_says_host(self):
        self.assertIn("5000 is there", self.look("grep -q ' 0100007F:1388 ' /proc/net/tcp && echo 5000 is there", network="host"))

    def test_it_sees_what_is_replaced_by_a_new_file_name_servers_and_what_is_in_a_mounted_folder(self):
        box = self.container(command=["while :; do echo sees $(cat /etc/resolv.conf) $(cat /box/file); sleep 0.2; done"],
                             network="host", volumes=["/etc/box:/box:ro"], before_start=[{"directory": "/etc/box"}])
        replace = "cd /etc; printf 'nameserver %s\n' > new; mv new resolv.conf; echo %s > box/new; mv box/new box/file"
        link = "mkdir -p /run/dhcp; echo 'nameserver 10.0.0.1' > /run/dhcp/conf; ln -s /run/dhcp/conf /etc/new; " \
               "mv /etc/new /etc/resolv.conf"           # as in the test image
        with self.start(self.registry(), box) as gantry:
            gantry.wait("box", "sees", kind="message", timeout=40)
            for script, seen in ((replace % ("192.0.2.3", "one"), "nameserver 192.0.2.3 one"),
                                 (replace % ("2001:db8::99", "two"), "nameserver 2001:db8::99 two"),
                                 (replace % ("1.2.3.4", "two"), "nameserver 1.2.3.4 two"),
                                 (link, "nameserver 10.0.0.1 two"),
                                 ("cd /run/dhcp; echo 'nameserver 9.9.9.9' > new; mv new conf", "nameserver 9.9.9.9 two")):
                r = gantry.inside("/bin/sh", "-e", "-c", script)
                self.assertEqual(r.returncode, 0, r.stderr)
                gantry.wait("box", f"sees {seen}", kind="message")
            pids = gantry.inside("/usr/bin/cat", "/sys/fs/cgroup/gantry/box/cgroup.procs").stdout.split()
            status = next(text for pid in pids if "Name:\tresolv-conf\n" in (
                text := gantry.inside("/usr/bin/cat", f"/proc/{pid}/status").stdout))
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            self.assertEqual((fields["Uid"].split(), fields["CapPrm"], fields["CapBnd"], fields["Seccomp"], fields["NoNewPrivs"]),
                             (["914"] * 4, "0" * 16, "0" * 16, "2", "1"))
            gantry.ctl("stop", "box")
            gantry.wait("box", "stopped", timeout=30)
            self.assert_no_process(gantry)

    def test_where_its_name_servers_should_be_a_link_to_root_s_file_gives_it_nothing(self):
        """Not even for a moment: the copy is looked at all the time."""
        look = ("import os\n"
                "while not os.path.exists('/t/leaked'):\n"
                "    try:\n"
                "        leaked = 'of root' in open('/run/gantry/containers/resolv/box').read()\n"
                "    except OSError:\n"
                "        continue\n"
                "    if leaked: open('/t/leaked', 'w').close()\n")
        script = "echo sees $(cat /etc/resolv.conf) there; exec sleep 1000"
        link = "echo of root > /etc/secret; chmod 600 /etc/secret; mkdir -p /run/dhcp; ln -s /etc/secret /run/dhcp/conf; " \
               "ln -s /run/dhcp/conf /etc/new; mv /etc/new /etc/resolv.conf; /usr/bin/python3 /t/look.py > /dev/null 2>&1 &"
        with self.start(self.registry(), self.container(command=[script], network="host")) as gantry:
            gantry.wait("box", "sees", kind="message", timeout=40)
            gantry.write("look.py", look)
            self.assertEqual(gantry.inside("/bin/sh", "-e", "-c", link).returncode, 0)
            gantry.ctl("restart", "box")
            self.assertEqual(gantry.wait("box", "sees", kind="message", count=2, timeout=40).text, "sees there")
            self.assertFalse(os.path.exists(os.path.join(gantry.shared, "leaked")))
            gantry.inside("/bin/sh", "-c", "rm /run/dhcp/conf; echo nameserver 10.0.0.1 > /run/dhcp/conf")
            gantry.ctl("restart", "box")
            sees = gantry.wait("box", "sees", kind="message", count=3, timeout=40)
            self.assertEqual(sees.text, "sees nameserver 10.0.0.1 there")

    def test_the_service_s_memory_limit_holds_for_it(self):
        box = self.container(command=["x=0123456789abcdef; while :; do x=$x$x; done"],
                             cgroup={"memory.max": "48M", "memory.swap.max": "0", "memory.oom.group": "1"})
        with self.start(self.registry(), box) as gantry:
            gantry.wait("gantry", "gantry ", kind="message")
            if "memory" not in gantry.inside(
                    "/usr/bin/cat", "/sys/fs/cgroup/cgroup.controllers").stdout:
                self.skipTest("no memory controller in cgroup v2 here")
            gantry.wait("box", "retrying", timeout=40)

    def test_it_can_say_itself_that_it_is_ready(self):
        script = ("echo waits; while [ ! -e /data/go ]; do sleep 0.05; done; "
                  "printf READY=1 | nc -uU -w1 \"$NOTIFY_SOCKET\"")
        box = self.container(command=[script], ready={"notify": True}, volumes=["/t:/data"])
        with self.start(self.registry(), box) as gantry:
            gantry.wait("box", "waits", kind="message", timeout=40)
            self.assertEqual(gantry.states("box"), ["running"])
            gantry.write("go", "")
            gantry.wait("box", "ready")

    # -- the registry

    def proxy(self, *wrong, **more):
        return service("proxy", command=["/usr/bin/python3", "/t/proxy.py", "501", "5000", *wrong], needs=["registry"],
                       ready={"tcp": "127.0.0.1:501"}, **more)

    def test_a_registry_that_dies_in_the_middle_is_asked_again(self):
        box = self.container(port=501, needs=["proxy"])
        with self.start(self.registry(), self.proxy("die-once", "/t/died"), box) as gantry:
            gantry.wait("box", "up", kind="message", timeout=60)
            self.assertIn("died", os.listdir(gantry.shared))
            self.assertRegex("\n".join(self.texts(gantry)),
                             "attempt 1 to pull 127.0.0.1:501/test/one@.* failed: .*; again in 1 s")
            self.assertEqual(gantry.inside("/bin/sh", "-c", f"ls {STORAGE}/tmp/box").stdout, "")
            self.assertEqual(gantry.states("box"), ["running", "ready"])

    def test_another_image_under_this_digest_never_starts(self):
        box = self.container(port=501, needs=["proxy"])
        with self.start(self.registry(), self.proxy("lie", "/t/other.json"), box) as gantry:
            failed = gantry.wait("box", "failed", timeout=40)
            self.assertIn("the registry's content does not match this digest", failed.text)
            self.assertEqual(gantry.states("box"), ["running", "failed"])
            self.assertNotIn("wrong", self.texts(gantry))

    @waits(5)
    def test_a_registry_that_is_not_there_is_a_reason_after_the_deadline(self):
        box = self.container(needs=(), pull_deadline_s=6, ready_deadline_s=1)
        with self.start(box) as gantry:
            retrying = gantry.wait("box", "retrying", timeout=40)
            self.assertRegex(retrying.text, "pull failed, [23] attempts in 6 s: .*connection refused")
            self.assertGreater(retrying.time - gantry.find("box", "running")[0].time, 2)

    @waits(8)
    def test_a_layer_that_never_ends_is_a_reason_after_the_deadline(self):
        box = self.container(port=501, needs=["proxy"], pull_deadline_s=7)
        with self.start(self.registry(), self.proxy("stall"), box) as gantry:
            retrying = gantry.wait("box", "retrying", timeout=60)
            self.assertIn("pull failed, 1 attempt in 7 s: podman did not end in time", retrying.text)
            self.assertRegex(gantry.find("box", "pulling ", kind="progress")[1].text, r"attempt 1, 5 s of 7 s done=[1-9]\d{5}")

    def test_a_pull_ends_when_the_service_is_stopped(self):
        box = self.container(port=501, needs=["proxy"])
        with self.start(self.registry(), self.proxy("stall"), box) as gantry:
            gantry.wait("box", "Copying blob", kind="message", timeout=40)
            gantry.ctl("stop", "box")
            gantry.wait("box", "stopped", timeout=5)
            self.assert_no_process(gantry)

    # -- what is on the disk

    def test_images_that_no_service_names_go_once_all_containers_have_run_and_none_that_is_in_use(self):
        other, third = (f"127.0.0.1:5000/test/{name}@{image.digest}" for name, image in
                        (("other", self.other), ("third", self.third)))
        # As if a machine with another configuration had had the disk before, and had ended in a power cut.
        before = stage("before", f"""{PODMAN}
            podman pull --tls-verify=false --signature-policy=/t/policy.json {other} && podman create --name gone {other} &&
            podman pull --tls-verify=false --signature-policy=/t/policy.json {third} && podman create --name kept {third} &&
            mkdir -p {STORAGE}/tmp/gone/layer {STORAGE}/aside/20200101T000000Z/overlay""", needs=["registry"])
        box = self.container(command=['echo waits; while [ ! -e /data/go ]; do sleep 0.05; done; '
                                      'printf READY=1 | nc -uU -w1 "$NOTIFY_SOCKET"'],
                             needs=["before"], ready={"notify": True}, volumes=["/t:/data"])
        fails = {**self.container(command=["[ -e /data/good ] || exit 1; : > /data/fine"], needs=["before"],
                                  volumes=["/t:/data"], ready={"path": "/t/fine"}), "name": "fails", "required": False}
        kept = {**self.container(), "name": "kept", "enabled": False}
        with self.start(self.registry(), box, fails, kept, stages=[before], containers={"keep_unused_s": 0.2},
                        files={"policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}'}) as gantry:
            gantry.wait("before", "done", timeout=40)
            gantry.wait("box", "waits", kind="message", timeout=40)
            gantry.write("go", "")
            gantry.wait("box", "ready")
            failures = len(gantry.find("fails", "retrying"))
            gantry.wait("fails", "retrying", count=failures + 3)
            gantry.write("good", "")
            removed = gantry.wait("gantry", "removed image", kind="message", timeout=40)
            self.assertRegex(removed.text, rf"^removed image {other[:len(other) - 52]}, 4\.\d MB: no service references it "
                                           rf"image={other} bytes=4\d{{6}}$")
            self.assertGreater(removed.time - gantry.find("fails", "ready")[-1].time, 0.2)
            gantry.wait("gantry", f"image {third} not removed: ", kind="message")
            self.assertEqual([e.text.split(",")[0] for e in gantry.find("gantry", "removed", kind="message")][:2],
                             ["removed container gone: no service has this name", removed.text.split(",")[0]])
            wait_for(lambda: gantry.inside("/bin/ls", f"{STORAGE}/tmp").stdout.split() == ["box", "fails"], "the rest of a pull")
            gantry.wait("gantry", f"removed {STORAGE}/aside/20200101T000000Z, podman's storage that did not work", kind="message")
            left = gantry.inside("/bin/sh", "-c", f"{PODMAN}\npodman image ls --format '{{{{.Digest}}}}'").stdout.split()
            self.assertEqual(sorted(left), sorted([self.image.digest, self.third.digest]))
            pulls = len(gantry.find("box", "pulling ", kind="progress"))
            gantry.ctl("restart", "box")
            gantry.wait("box", "waits", kind="message", count=2)
            self.assertEqual(len(gantry.find("box", "pulling ", kind="progress")), pulls)

    # -- a registry with a password

    def with_login(self, password, key="registry.token"):
        document = json.dumps({"registry": {"token": password}, "disk_encryption": {"key": "TheDiskKey"}})
        hub = {"name": "config", "type": "config", "needs": ["proxy"],
               "options": {"url": "http://127.0.0.1:501/document"}, "retry": {"min_s": 0.1}}
        box = self.container(needs=["registry"], pull_deadline_s=6,
                             login={"username": oci.USER, "password": key})
        return self.start(self.registry(), self.proxy("document", "/t/document"), box, stages=[hub], htpasswd="/t/htpasswd",
                          files={"document": document})

    def everything(self, gantry):
        """All that is written or shown anywhere: events, arguments, environments, files on the disk and in memory."""
        gantry.write("patterns", f"{oci.PASSWORD}\n{ENCODED}\n")
        # A file, so that this very search is not what it finds.
        gantry.write("search", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'\n"
                     "grep -rlFf /t/patterns /run /persistent /var /tmp /etc | sed 's/^/found: /'\n"
                     "find / -xdev -name auth.json\n")
        seen = gantry.inside("/bin/sh", "/t/search").stdout
        self.assertIn("--root=/persistent/containers", seen)
        return seen + "\n".join(gantry.lines)

    def test_the_right_password_pulls_and_is_nowhere(self):
        with self.with_login(oci.PASSWORD) as gantry:
            gantry.wait("box", "up", kind="message", timeout=40)
            seen = self.everything(gantry)
            for secret in (oci.PASSWORD, ENCODED, "auth.json", "found: "):
                self.assertNotIn(secret, seen)

    def test_the_password_is_there_for_another_pull_and_the_key_of_the_disk_is_not(self):
        with self.with_login(oci.PASSWORD) as gantry:
            gantry.wait("box", "up", kind="message", timeout=40)
            kept = {}
            for fd in os.listdir(f"/proc/{gantry.pid}/fd"):
                path = f"/proc/{gantry.pid}/fd/{fd}"
                if "memfd:config" in os.readlink(path):
                    with open(path, encoding="utf-8") as file:
                        kept[re.search("memfd:(\\S+)", os.readlink(path))[1]] = file.read()
            self.assertEqual(list(kept), ["config-without-keys"])
            self.assertIn(oci.PASSWORD, kept["config-without-keys"])
            self.assertNotIn("TheDiskKey", kept["config-without-keys"])
            gantry.ctl("stop", "box")
            gantry.wait("box", "stopped")
            gantry.ctl("stop", "proxy")
            r = gantry.inside("/bin/sh", "-c", f"{PODMAN}\npodman image rm --all")
            self.assertIn("Deleted: ", r.stdout, r.stderr)
            gantry.ctl("start", "box")
            gantry.wait("box", "up", kind="message", count=2, timeout=40)
            self.assertEqual(len(gantry.find("box", "pulled ", kind="message")), 2)

    def test_a_wrong_password_is_a_reason_and_is_nowhere(self):
        with self.with_login("not-it-at-all") as gantry:
            retrying = gantry.wait("box", "retrying", timeout=40)
            self.assertRegex(retrying.text, "127.0.0.1:5000.*: invalid username/password")
            self.assertNotIn("not-it-at-all", "\n".join(gantry.lines))

    def test_a_document_without_the_password_is_a_reason(self):
        with self.with_login(oci.PASSWORD, key="registry.password") as gantry:
            retrying = gantry.wait("box", "retrying", timeout=40)
            self.assertIn("login: the artifact has no string at registry.password", retrying.text)

    # -- a registry with a certificate

    def with_tls(self, certificate, **more):
        """A registry over TLS at the address that its certificate names."""
        address = stage("address", "exec ip addr add 10.77.0.1/32 dev lo")
        registry = {**self.registry(needs=["address"]), "ready": {"tcp": "10.77.0.1:5000"}}
        files = {"registry.yml": oci.configuration("/t/registry", "10.77.0.1:5000", tls=("/t/server.pem", "/t/server.key"))}
        for name, source in (("server.pem", f"{certificate}.pem"), ("server.key", f"{certificate}.key"),
                             ("ca.pem", "hub-ca.pem")):
            with open(pki.path(source), encoding="ascii") as file:
                files[name] = file.read()
        return self.start(registry, self.container(host="10.77.0.1", **more), stages=[address], files=files)

    def test_a_registry_is_trusted_by_the_ca_that_the_configuration_names(self):
        with self.with_tls("hub", ca="/t/ca.pem") as gantry:
            gantry.wait("box", "up", kind="message", timeout=40)
            self.assertEqual(len(gantry.find("box", "pulling 10.77.0.1:5000/test/one@sha256:", kind="progress")), 1)

    def assert_refused(self, why, certificate, **more):
        with self.with_tls(certificate, **more) as gantry:
            failed = gantry.wait("box", "attempt 1 to pull 10.77.0.1:5000/test/one@sha256:", kind="message", timeout=40)
            self.assertIn(why, failed.text)
            self.assertEqual(gantry.states("box"), ["running"])

    def test_a_registry_is_not_trusted_without_that_ca_nor_with_another_one(self):
        self.assert_refused("x509: certificate signed by unknown authority", "hub")
        self.assert_refused("x509: certificate signed by unknown authority", "hub-untrusted", ca="/t/ca.pem")

    def test_a_registry_is_not_trusted_with_the_certificate_of_another_one(self):
        self.assert_refused("x509: certificate is valid for 10.77.0.99, not 10.77.0.1", "hub-wrong-name", ca="/t/ca.pem")

    # -- a network of podman's

    def with_bridge(self):
        """Two of them, and beside the machine a world that it is connected with."""
        keys = {"network": "bridge", "volumes": ["/t:/data"]}
        box = self.container(command=[TALK], ports=["8080:8000"], stop_grace_s=0.3, **keys)
        other = {**self.container(command=["while :; do echo inside other | nc -l -N -p 8000; done &"], ports=["8081:8000"],
                                  needs=["box"], **keys), "name": "other"}
        world = service("world", WORLD)
        world["command"][:0] = ["/usr/bin/unshare", "-n"]
        gantry = self.start(self.registry(), box, other, world)
        gantry.wait("box", "up", kind="message", timeout=40)
        gantry.wait("other", "up", kind="message", timeout=40)
        r = gantry.inside("/bin/sh", "-e", "-c", LINK, "link", gantry.read("world.pid").strip())
        self.assertEqual(r.returncode, 0, r.stderr)
        return gantry

    def from_world(self, gantry, port):
        return gantry.inside("/usr/bin/nsenter", "-t", gantry.read("world.pid").strip(), "-n", "/bin/sh", "-c",
                             f"nc.openbsd -N -w 2 192.0.2.1 {port} </dev/null").stdout.strip()

    def assert_answers(self, gantry, *words):
        """What the ports say from outside; a listener may come a moment after its container's word."""
        for port, word in zip((8080, 8081), words):
            wait_for(lambda: self.from_world(gantry, port) == word, f"{word!r} from port {port}")

    def rules(self, gantry):
        """{published port: the addresses that it leads to} as the kernel has it."""
        listed = gantry.inside("/usr/sbin/nft", "list", "ruleset").stdout
        found = {port: [] for port in re.findall(r"tcp dport (\d+) jump nv_", listed)}
        for port, address in re.findall(r"tcp dport (\d+) dnat ip to ([\d.]+):", listed):
            found.setdefault(port, []).append(address)
        return found

    def kill_podman(self, gantry, name):
        script = f"for p in $(cat /sys/fs/cgroup/gantry/{name}/cgroup.procs); do case $(cat /proc/$p/comm) in podman) " \
                 "kill -KILL $p; esac; done"
        gantry.inside("/bin/sh", "-c", script)

    @unittest.skipUnless(has_bridges(), "this kernel has no bridges or no nftables")
    def test_a_bridge_leads_in_by_its_ports_and_out_and_goes_with_the_container(self):
        with self.with_bridge() as gantry:
            self.assert_answers(gantry, "inside name", "inside other")
            gantry.write("go", "")
            gantry.wait("box", "hello 192.0.2.1", kind="message")
            gantry.ctl("stop", "other")
            gantry.wait("other", "stopped", timeout=30)
            self.assertEqual(list(self.rules(gantry)), ["8080"])
            self.assert_answers(gantry, "inside name", "")

    @unittest.skipUnless(has_bridges(), "this kernel has no bridges or no nftables")
    def test_what_a_killed_one_has_left_of_its_bridge_is_gone_at_the_next_start_and_after_a_stop(self):
        with self.with_bridge() as gantry:
            other = self.rules(gantry)["8081"]
            self.kill_podman(gantry, "box")
            gantry.wait("box", "retrying")
            gantry.wait("box", "up", kind="message", count=2)
            self.assertEqual({port: len(to) for port, to in self.rules(gantry).items()}, {"8080": 1, "8081": 1})
            self.assert_answers(gantry, "inside name", "inside other")

            for pid in gantry.inside("/usr/bin/cat", "/sys/fs/cgroup/gantry/box/cgroup.procs").stdout.split():
                gantry.inside("/bin/kill", "-STOP", pid)        # none of them hears that it shall stop
            gantry.ctl("stop", "box")
            self.assertIn("killed by SIGKILL", gantry.wait("box", "stopped").text)
            count = f"ls {STORAGE}/overlay-containers | grep -c -E '^[0-9a-f]{{64}}$'; ls /run/netns | wc -l"
            wait_for(lambda: gantry.inside("/bin/sh", "-c", count).stdout.split() == ["1", "1"], "it is gone")
            self.assertEqual(self.rules(gantry), {"8081": other})
            self.assertEqual(self.from_world(gantry, 8081), "inside other")


if __name__ == "__main__":
    unittest.main()
