# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever holds a shutdown up, it ends within its bound, what was synced is there, and the file system is clean: by its
superblock as the next boot finds it, and by e2fsck -n of all of it.

The kernel itself runs /sbin/poweroff here, as its Hyper-V driver does; a keyboard sends ctrl-alt-del; the API is flooded
while it is asked to switch off. test_power.py has the other ways."""

import contextlib
import http.client
import re
import socket
import ssl
import threading
import unittest

import support
from support import BootTest, add_exec, only_disk
from qemu import machine
from patience import assert_within

setUpModule = support.setUpModule


def add_service(config, name, command, needs=("disk",), **more):
    config["services"].append({"name": name, "command": command, "needs": list(needs), "required": False,
                               "restart": {"policy": "never"}, **more})


class Flood:
    """Clients that ask for everything as fast as they can, until it is over."""

    def __init__(self, clients=24):
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        while not self.over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", machine.API_PORT), 5) as plain, context.wrap_socket(plain) as tls:
                    while not self.over.is_set():
                        tls.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: gantry\r\n\r\n" * 20)
                        tls.recv(65536)
            except OSError:
                self.over.wait(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(20)


class Shutdown(BootTest):
    def keep(self, change):
        """A machine with the disk alone and a program that syncs file after file on it."""
        self.blank_disk()

        def with_keeper(config):
            only_disk(config)
            config["log"] = {"needs": ["disk"]}
            config.pop("api", None)
            add_service(config, "keeper", ["/bin/keeper", "write", "/persistent/kept"], stop_grace_s=2)
            change(config)

        guest = self.boot(disk=self.disk, change=with_keeper, nic=False)
        guest.wait_for("keeper", kind="message", text="^kept 5", timeout=60)
        return guest

    def numbers(self, guest, source, word):
        found = (re.match(rf"{word} (\d+)$", event.text) for event in guest.events if event.source == source)
        return {int(match[1]) for match in found if match}

    def assert_ended(self, guest, how, within):
        stopping, end = guest.find("gantry", "stopping"), guest.find("gantry", how)
        self.assertTrue(stopping and end, "there is no end in order")
        assert_within(self, end[1].time - stopping[1].time, 0, within)

    def look(self, kept, said_before, **options):
        """The next boot: nothing to repair, nothing wrong, what was synced is there, and it knows how the last one ended."""
        def change(config):
            only_disk(config, **options)
            config.pop("api", None)
            add_exec(config, "check", ["/bin/keeper", "check", "/persistent/kept"], ["disk"])
            add_exec(config, "umount", ["/bin/stuck", "umount", "/persistent"], ["check"])
            add_exec(config, "e2fsck", ["/sbin/e2fsck", "-n", "-f", "/dev/mapper/persistent"], ["umount"])
            add_exec(config, "mount", ["/bin/stuck", "mount", "/dev/mapper/persistent", "/persistent"], ["e2fsck"])
            config["log"] = {"needs": ["mount"]}

        guest = self.boot(disk=self.disk, change=change, nic=False)
        self.wait_booted(guest)
        self.assertIn("opened", guest.find("disk", "done")[1].fields["text"])
        self.assert_no_line(guest, "not unmounted cleanly|repaired the file system")
        self.assertLessEqual(kept, self.numbers(guest, "check", "have"))
        self.assertRegex(guest.wait_for("gantry", kind="message", text="previous boot").line, said_before)
        guest.kill()

    def test_a_fuse_mount_that_never_answers_and_a_disk_that_no_process_holds(self):
        def change(config):
            config["modules"].append("loop")
            config["shutdown"] = {"timeout_s": 60}
            add_service(config, "fuse", ["/bin/stuck", "fuse", "/run/stuck"], stop_grace_s=2)
            add_service(config, "looker", ["/bin/stuck", "look", "/run/stuck"], ["fuse"], stop_grace_s=1)
            add_service(config, "outside", ["/bin/stuck", "outside"])
            add_service(config, "loop", ["/bin/stuck", "loop", "/persistent/backing"])
            add_service(config, "host", ["/bin/stuck", "host", "/persistent/kept/file-9"],
                        ["looker", "outside", "loop", "keeper"])

        guest = self.keep(change)
        self.assertEqual(guest.wait_end(120), "guest-shutdown")
        self.assert_ended(guest, "poweroff", 30)
        self.assertTrue(guest.find("looker", "stopping", "left behind"), "the looker did not hang")
        self.assertTrue(guest.find("gantry", kind="message", text="SIGKILL to .* processes"), "nobody was outside")
        self.assertTrue(guest.find("teardown", kind="message", text=r"/persistent\S* is still busy: (made read-only|frozen)"))
        self.assertTrue(guest.find("teardown", kind="message", text="its key was removed"))
        self.look(self.numbers(guest, "keeper", "kept"), "in order: poweroff by kernel")

    def test_a_suspended_volume_is_resumed_and_closed(self):
        command = ["/bin/stuck", "suspend", "persistent", "/persistent/kept/file-9"]
        guest = self.keep(lambda config: add_service(config, "suspender", command, ["keeper"]))
        guest.wait_for("suspender", kind="message", text="^suspended")
        guest.qmp.command("send-key", keys=[{"type": "qcode", "data": key} for key in ("ctrl", "alt", "delete")])
        self.assertEqual(guest.wait_end(120), "guest-reset")
        self.assert_ended(guest, "reboot", 45)
        self.assertTrue(guest.find("keeper", "stopping", "left behind"), "the keeper did not hang")
        self.assertTrue(guest.find("teardown", kind="message", text="persistent was suspended: resumed"))
        self.assertTrue(guest.find("teardown", kind="message", text="closed volume persistent"))
        # Who writes the log may have hung in the volume, too: then its last record is missing, and the boot says that.
        self.look(self.numbers(guest, "keeper", "kept"), "in order: reboot by ctrl-alt-del|unclean")

    def test_while_a_disk_is_formatted(self):
        self.blank_disk()
        guest = self.boot(disk=self.disk, change=lambda config: only_disk(config), nic=False)
        guest.wait_for("disk", kind="message", text="formatting, key from", timeout=60)
        guest.power_button()
        self.assertEqual(guest.wait_end(60), "guest-shutdown")
        self.assert_ended(guest, "poweroff", 8)
        guest = self.boot(disk=self.disk, change=lambda config: only_disk(config), nic=False)
        self.wait_booted(guest)
        self.power_off(guest)

    def test_during_a_snapshot_with_the_api_flooded(self):
        self.platform(faults={"s3": "slow:100000/s"})
        guest = self.boot(disk=self.blank_disk())
        guest.wait_for("snapshot", kind="progress", timeout=90)
        with Flood():
            while not guest.find("gantry", "stopping"):     # a client like any other: it may be the one that is turned away
                with contextlib.suppress(OSError, http.client.HTTPException):
                    self.api(guest, "/api/v1/actions/poweroff")
            self.assertEqual(guest.wait_end(120), "guest-shutdown")
        self.assert_ended(guest, "poweroff", 20)
        self.assertIsNone(guest.find("snapshot", "done"))
        self.assertTrue(guest.find("teardown", kind="message", text="closed volume persistent"))
        self.look(set(), "in order: poweroff by system-api")


if __name__ == "__main__":
    unittest.main()
