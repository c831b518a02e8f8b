# SPDX-License-Identifier: GPL-2.0-or-later
"""What is closed on a machine that has booted: every setting of the kernel in one boot, and a fork bomb beside it. Which
values are written when is in unit/test_harden; here is what the pinned kernel makes of them."""

import os
import re
import unittest

import support
from support import BootTest, image

setUpModule = support.setUpModule

CLOSED = {
    "/sys/kernel/security/lockdown": "none [integrity] confidentiality",
    "/proc/sys/kernel/yama/ptrace_scope": "2", "/proc/sys/kernel/io_uring_disabled": "2", "/proc/sys/kernel/sysrq": "0",
    "/proc/sys/kernel/kexec_load_disabled": "1", "/proc/sys/kernel/modules_disabled": "1",
    "/proc/sys/kernel/kptr_restrict": "2", "/proc/sys/net/core/bpf_jit_harden": "2", "/proc/sys/fs/protected_fifos": "2",
    "/proc/sys/fs/protected_regular": "2", "/proc/sys/dev/tty/ldisc_autoload": "0",
    "/proc/sys/user/max_user_namespaces": "0",
    **{f"/proc/sys/net/ipv4/conf/{name}/{setting}": "0" for name in ("all", "default", "lo", "eth0")
       for setting in ("accept_redirects", "send_redirects")},
    **{f"/proc/sys/net/ipv6/conf/{name}/{setting}": "0" for name in ("all", "default", "lo", "eth0")
       for setting in ("accept_redirects", "accept_ra")},
}
KEPT = ("io_uring", "modules", "pids", "user_namespaces")


def small(config):
    support.only(config)
    config["modules"] = ["virtio_net", "button", "evdev"]


class Hardened(BootTest):
    def shown(self, guest):
        """{path: first line}, as the stage `look` read them."""
        guest.wait_for("look", "done", timeout=60)
        return dict(event.text.split(" ", 1) for event in guest.events if event.source == "look" and event.kind == "message")

    def test_every_setting_is_closed_and_a_fork_bomb_leaves_room_for_others_with_descriptors_enough(self):
        def change(config):
            small(config)
            support.add_probe(config, "look", "show", *CLOSED, "/sys/fs/cgroup/gantry/later/pids.max",
                              needs=["bomb", "later"])
            config["services"] = [
                {"name": "bomb", "command": ["/bin/probe", "bomb", "/run/full"], "ready": {"path": "/run/full"}},
                {"name": "later", "command": ["/bin/probe", "limits"], "needs": ["bomb"]},
            ]

        guest = self.boot(change=change)
        shown = self.shown(guest)
        self.assertEqual({path: shown.get(path) for path in CLOSED}, CLOSED)
        bomb = guest.wait_for("bomb", kind="message", text=" and no more: ").text
        self.assertEqual(int(bomb.split(" ")[0]) + 1, int(shown["/sys/fs/cgroup/gantry/later/pids.max"]))
        guest.wait_for("later", kind="message", text="^descriptors 1024 524288$", timeout=60)   # not the kernel's 4096
        self.assertEqual([event.text for event in guest.events if "hardening" in event.text], [])
        self.power_off(guest)

    def test_a_service_of_uid_0_without_capabilities_changes_nothing_that_root_executes_or_reads(self):
        def change(config):
            small(config)
            config["services"] = [{"name": "attack", "command": ["/bin/probe", "attack"], "capabilities": []}]

        guest = self.boot(change=change)
        guest.wait_for("attack", kind="message", text="^that was all", timeout=60)
        said = dict(event.text.split(": ") for event in guest.events
                    if event.source == "attack" and event.kind == "message" and ": " in event.text)
        self.assertEqual(said.pop("mount over /etc"), "Operation not permitted")
        self.assertEqual(said.pop("remount /"), "Operation not permitted")
        self.assertEqual(said.pop("kill PID 1"), "Operation not permitted")
        self.assertEqual(said.pop("open /dev/tpmrm0"), "No such file or directory")
        self.assertIn("replace /init", said)
        self.assertEqual(set(said.values()), {"Read-only file system"})
        self.power_off(guest)

    def test_the_clock_has_a_floor_and_a_step_of_it_is_an_event(self):
        def change(config):
            small(config)
            support.add_steps(config, ["/bin/probe", "clock", "1000"], ["/bin/probe", "clock", "-500000000"])

        guest = self.boot(change=change, extra=("-rtc", "base=2020-02-02T02:02:02"))
        late = guest.wait_for("gantry", kind="message", level="warning", text="^clock: was .* before the build's date")
        self.assertGreater(float(late.text.split()[2]), 100e6)
        step = guest.wait_for("gantry", kind="message", text="^clock: set by", timeout=60)
        self.assertAlmostEqual(float(step.fields["step_s"]), 1000, delta=2)
        undone = guest.wait_for("gantry", kind="message", text="^clock: was 49999", timeout=60)
        self.assertEqual(undone.text.split()[-1], late.text.split()[-1])
        self.power_off(guest)

    def test_the_clock_is_not_before_the_previous_boot_s_end_either(self):
        with open(os.path.join(support.REPOSITORY, "deps.lock"), encoding="utf-8") as file:
            built = re.search(r"^date (\S+)$", file.read(), re.M)[1]
        guest = self.boot(disk=self.used_machine(), change=support.only_disk, extra=("-rtc", f"base={built}T01:00:00"))
        ended = guest.wait_for("gantry", kind="message", text="^previous boot ended in order", timeout=60)
        late = guest.wait_for("gantry", kind="message", level="warning", text="^clock: was .* before the previous boot's end")
        self.assertIn(f" at={late.text.split()[-1]} ", ended.line)
        self.assertIsNone(guest.find("gantry", text="before the build's date"))
        self.power_off(guest)

    def test_what_the_configuration_keeps_is_as_the_kernel_has_it(self):
        def change(config):
            small(config)
            config["hardening"] = {"keep": list(KEPT)}
            support.add_probe(config, "look", "show", *CLOSED, "/sys/fs/cgroup/gantry/later/pids.max", needs=["later"])
            config["services"] = [{"name": "later", "command": ["/bin/probe", "say", "here"]}]

        # A kernel whose command line closes nothing.
        guest = self.boot(change=change, cmdline=image.CMDLINE + " cryptomgr.notests", whole=True)
        shown = self.shown(guest)
        open_ = {"/proc/sys/kernel/io_uring_disabled": "0", "/proc/sys/kernel/modules_disabled": "0"}
        self.assertGreater(int(shown.pop("/proc/sys/user/max_user_namespaces")), 0)
        self.assertEqual(shown.pop("/sys/fs/cgroup/gantry/later/pids.max"), "max")
        self.assertEqual(shown, {path: value for path, value in CLOSED.items() if path in shown} | open_)
        warned = guest.wait_for("gantry", kind="message", level="warning", text="^hardening that this kernel does not have: ")
        self.assertRegex(warned.text, r"have: proc_mem \([^,]*proc_mem.force_override=never\)$")


if __name__ == "__main__":
    unittest.main()
