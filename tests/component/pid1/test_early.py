# SPDX-License-Identifier: GPL-2.0-or-later
"""What PID 1 sets up before its loop: mounts, hostname, sysctls, modules; and what it says when that fails."""

import os
import unittest
from unittest import mock

import pid1


def with_modules(lines):
    """PID 1's root with this list of modules."""
    text = "".join(line + r"\n" for line in lines)
    return mock.patch.object(pid1, "SETUP", pid1.SETUP.replace(
        "exec chroot", f"printf '{text}' > etc/gantry/modules\nexec chroot"))


def with_file(*paths):
    """PID 1's root with these empty files."""
    makes = "".join(f"mkdir -p .{os.path.dirname(path)}\n: > .{path}\n" for path in paths)
    return mock.patch.object(pid1, "SETUP", pid1.SETUP.replace("exec chroot", makes + "exec chroot"))


@unittest.skipUnless(os.path.exists(pid1.INIT), "no build/init")
class EarlyTest(unittest.TestCase):
    def test_mounts_are_there_with_their_protections(self):
        with pid1.Pid1({}) as gantry:
            gantry.wait("gantry", "booted")
            mounts = {}
            for line in gantry.inside("/bin/cat", "/proc/self/mounts").stdout.splitlines():
                _, target, kind, options, *_ = line.split()
                mounts[target] = (kind, set(options.split(",")))
            plain = {"nosuid", "nodev", "noexec"}
            for target, kind, options in (("/proc", "proc", plain), ("/sys", "sysfs", plain),
                                          ("/dev/shm", "tmpfs", plain), ("/run", "tmpfs", {"nosuid", "nodev"}),
                                          ("/tmp", "tmpfs", {"nosuid", "nodev"}),
                                          ("/dev/pts", "devpts", {"nosuid", "noexec"})):
                with self.subTest(target=target):
                    self.assertEqual(mounts[target][0], kind)
                    self.assertLessEqual(options, mounts[target][1])
            modes = gantry.inside("/usr/bin/stat", "-c", "%a", "/tmp", "/dev/shm", "/run", "/run/gantry",
                                  "/run/gantry/rendered").stdout.split()
            self.assertEqual(modes, ["1777", "1777", "755", "755", "755"])
            self.assertEqual(gantry.inside("/bin/readlink", "/dev/fd").stdout.strip(), "/proc/self/fd")

    def test_lo_is_up(self):
        with pid1.Pid1({}) as gantry:
            gantry.wait("gantry", "booted")
            self.assertIn("LOOPBACK,UP", gantry.inside("/usr/bin/ip", "link", "show", "lo").stdout)

    def test_what_is_mounted_already_stays(self):
        # the harness has mounted its own /dev
        with pid1.Pid1({}) as gantry:
            gantry.wait("gantry", "booted")
            targets = [line.split()[1] for line in gantry.inside("/bin/cat", "/proc/self/mounts").stdout.splitlines()]
            self.assertEqual(targets.count("/dev"), 1)

    @unittest.skipIf("GANTRY_USERNS" in os.environ, "a user namespace may not do what this needs")
    def test_hostname_and_sysctls_are_set(self):
        config = {"hostname": "node-7", "sysctls": {"kernel.domainname": "a.test", "net/ipv4/ip_forward": "1"}}
        with pid1.Pid1(config) as gantry:
            gantry.wait("gantry", "booted")
            self.assertEqual(gantry.inside("/bin/hostname").stdout.strip(), "node-7")
            seen = gantry.inside("/bin/cat", "/proc/sys/kernel/domainname", "/proc/sys/net/ipv4/ip_forward").stdout
            self.assertEqual(seen.split(), ["a.test", "1"])

    def test_a_sysctl_that_is_refused_is_one_event_and_the_boot_goes_on(self):
        config = {"sysctls": {"kernel.no_such_thing": "1", "net.ipv4.ip_forward": "much"}}
        with pid1.Pid1(config) as gantry:
            gantry.wait("gantry", "booted")
            said = [event.text for event in gantry.find("gantry", "sysctl", kind="message")]
            self.assertEqual(said, ["sysctl kernel.no_such_thing: no such file or directory",
                                    "sysctl net.ipv4.ip_forward: invalid argument"])

    def test_a_file_that_the_host_put_beside_the_image_holds_the_boot_before_anything_runs(self):
        name = "/.extra/global_credentials/network.cred"
        config = pid1.boot([pid1.stage("first")])
        with with_file(name), pid1.Pid1(config) as gantry:
            held = gantry.wait("gantry", "held")
            self.assertIn(f'"{name}" is not of this image: the host added it, and hardening.extra does not allow it', held.text)
            self.assertEqual(gantry.states("first"), [])
        config["hardening"] = {"extra": [name]}
        with with_file(name), pid1.Pid1(config) as gantry:
            gantry.wait("gantry", "booted")
        with with_file(name, "/.extra/dev"), pid1.Pid1(config) as gantry:
            self.assertIn('"/.extra/dev" is not of this image', gantry.wait("gantry", "held").text)
        with with_file("/.extra/" + "x" * 255), pid1.Pid1(config) as gantry:
            self.assertIn('xxx..." is not of this image', gantry.wait("gantry", "held").text)

    def test_run_lock_is_everybody_s_and_cannot_fill_run(self):
        with pid1.Pid1({}) as gantry:
            gantry.wait("gantry", "booted")
            told = gantry.inside("/usr/bin/stat", "-c", "%a", "/run/lock").stdout.split()
            filled = gantry.inside("/bin/sh", "-c", "head -c 4m /dev/zero > /run/lock/x; stat -c %s /run/lock/x").stdout
            self.assertEqual(told, ["1777"])
            self.assertLessEqual(int(filled), 1 << 20)
            self.assertIn("noexec", [line for line in gantry.inside("/bin/cat", "/proc/self/mounts").stdout.splitlines()
                                     if " /run/lock " in line][0])

    def test_a_module_that_does_not_load_is_named_and_the_boot_goes_on(self):
        with with_modules(["# the list", "/nowhere/x.ko.xz", "/t/garbage.ko"]):
            with pid1.Pid1({}, files={"garbage.ko": b"not a module"}) as gantry:
                gantry.wait("gantry", "booted")
                said = [event for event in gantry.find("gantry", "module", kind="message")]
                self.assertEqual([event.level for event in said], ["warning"] * 2)
                self.assertEqual(said[0].text, "module /nowhere/x.ko.xz: no such file or directory")
                # which error depends on whether this machine lets us load modules at all
                self.assertTrue(said[1].text.startswith("module /t/garbage.ko: "))


if __name__ == "__main__":
    unittest.main()
