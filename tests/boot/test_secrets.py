# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the disk's keys are not: looked for in every place that a process, a log or the host could read them from.

What is looked for is known: the hub's key, and the volume key that it opens (Debian's cryptsetup reads it from the disk). Each
as bytes, as hex and as base64. A marker that is put into each of these places on purpose shows that the search finds.
"""

import base64
import json
import mmap
import os
import re
import subprocess
import unittest

import support
from support import BootTest, add_exec, node
from qemu.peers.hub import DISK_KEY

setUpModule = support.setUpModule
RECOVERY_KEY = "Test0nlyRecoveryKey000000000000000000000000000000000000000000043"
MARKER = "Marker0That0Lies0In0Every0Place0On0Purpose"
DISGUISE = 0xa5                     # of qemu/guest/search.c: neither it nor its command line is what it looks for


def base64_parts(secret):
    """What base64 of a longer text has in it, wherever in that text the secret begins."""
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + secret)
        yield encoded[(0, 2, 3)[shift]:(shift + len(secret)) // 3 * 4]


def forms(name, secret):
    """{label: bytes} of everything that would betray the secret."""
    found = {name: secret, f"{name}-hex": secret.hex().encode(), f"{name}-HEX": secret.hex().upper().encode()}
    found.update({f"{name}-base64-{shift}": part for shift, part in enumerate(base64_parts(secret))})
    return found


def search(config, patterns, needs=(), name="search"):
    """A stage that looks for all of them inside the guest, when the NEEDS are done or ready."""
    arguments = [f"{label}={bytes(byte ^ DISGUISE for byte in text).hex()}" for label, text in patterns.items()]
    add_exec(config, name, ["/bin/search", *arguments], needs=needs, required=False)


def found_in_file(path, patterns):
    """Labels of what is in a file of the host's, such as a whole disk."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return [label for label, text in patterns.items() if content.find(text) >= 0]


class SecretsTest(BootTest):
    def all_running(self, config):
        return [one["name"] for one in config["services"] if one.get("enabled", True)] + ["render", "snapshot"]

    def places(self, guest, name="search"):
        """What the search in the guest found, and what it looked at: (lines, {what: number})."""
        end = guest.wait_for(name, "done|failed", timeout=120)
        numbers = re.search(r"searched (\d+) processes with (\d+) KiB of memory and (\d+) memfds, (\d+) files with (\d+) KiB: "
                            r"found (\d+)$", end.fields["text"])
        self.assertIsNotNone(numbers, end.line)
        names = ("processes", "memory", "memfds", "files", "bytes", "found")
        lines = [event.text for event in guest.events if event.source == name and event.text.startswith("found ")]
        return lines, dict(zip(names, map(int, numbers.groups())))

    def outside(self, guest, patterns):
        """{place: labels} of what the System API and the console told."""
        _, events = self.api(guest, "/api/v1/events")
        self.assertGreater(len(events), 2000)
        console = "\n".join(guest.lines).encode()
        return {place: [label for label, text in patterns.items() if text in content]
                for place, content in (("events", events.encode()), ("console", console))}

    def disk_patterns_after(self, guest, patterns):
        self.power_off(guest)
        return found_in_file(self.disk, patterns)

    def volume_key(self):
        """What the disk is encrypted with, by Debian's cryptsetup and the hub's key."""
        key, out = os.path.join(self.folder, "key"), os.path.join(self.folder, "volume-key")
        with open(key, "w", encoding="ascii") as file:
            file.write(DISK_KEY)
        subprocess.run(["cryptsetup", "luksDump", "--batch-mode", "--dump-volume-key", "--key-file", key,
                        "--volume-key-file", out, self.disk], check=True, capture_output=True)
        with open(out, "rb") as file:
            return file.read()


class DiskKey(SecretsTest):
    def assert_nowhere(self, guest, patterns):
        lines, looked = self.places(guest)
        self.assertEqual(lines, [])
        self.assertGreater(looked["processes"], 5)
        self.assertGreater(looked["memory"], 4096)
        self.assertGreater(looked["files"], 30)
        self.assertEqual(self.outside(guest, patterns), {"events": [], "console": []})
        self.assertEqual(self.disk_patterns_after(guest, patterns), [])

    def nowhere_after_formatting_and_after_opening(self, patterns, opened_by, **options):
        """Two boots of one machine; in the second the volume key is looked for too. In the first one there is an earlier search,
        right after the disk was formatted, while the others are still starting."""

        def change(config):
            node(config, "disk")["options"].update(options)
            search(config, patterns, needs=self.all_running(config))

        def change_and_search_early(config):
            change(config)
            search(config, patterns, needs=["disk"], name="early")

        guest = self.boot(disk=self.blank_disk(), change=change_and_search_early)
        self.wait_booted(guest)
        lines, _ = self.places(guest, "early")
        # Until no stage needs the configuration any more, PID 1 keeps what holds the key: sealed, in no mapping.
        self.assertEqual([line for line in lines if " in memfd " not in line], [])
        self.assert_nowhere(guest, patterns)

        volume_key = self.volume_key()
        self.assertEqual(len(volume_key), 64)
        # Its halves too: what encrypts sectors is two keys of AES.
        patterns |= forms("volume-key", volume_key) | forms("volume-key-half", volume_key[:32])
        self.assertEqual(found_in_file(self.disk, patterns), [])
        guest = self.boot(disk=self.disk, change=change)
        self.wait_booted(guest)
        self.assertIn(f"opened by {opened_by}", guest.find("disk", "done")[1].fields["text"])
        self.assert_nowhere(guest, patterns)
        return guest

    def test_hub_s_disk_key_and_the_volume_key_are_nowhere_right_after_formatting_later_and_after_opening(self):
        self.platform(disk_key=DISK_KEY)
        self.nowhere_after_formatting_and_after_opening(forms("hub-key", DISK_KEY.encode()), "hub", keys=["hub"])

    def test_no_key_of_three_sources_is_anywhere_when_the_tpm_opened_the_disk_nor_in_the_swap_file(self):
        platform = self.platform(disk_key=DISK_KEY)
        platform.hub.document["disk_encryption"]["recovery"] = RECOVERY_KEY
        patterns = forms("hub-key", DISK_KEY.encode()) | forms("recovery-key", RECOVERY_KEY.encode())
        guest = self.nowhere_after_formatting_and_after_opening(
            patterns, "tpm2", keys=["tpm2", "hub"], enroll=["tpm2", "hub", "recovery"], swap_bytes=32 << 20)
        self.assertIsNotNone(guest.find("disk", text="^swap on, 32 MiB", kind="message"))


class Control(SecretsTest):
    def test_a_marker_is_found_in_every_place_that_is_searched(self):
        platform = self.platform()
        platform.hub.document["instance_name"] = MARKER
        patterns = forms("marker", MARKER.encode())

        def change(config):
            config["services"].append({"name": "marked", "command": ["/bin/probe", "say", MARKER],
                                       "environment": {"MARKED": MARKER}, "needs": ["disk"], "log": {"events": True}})
            files = node(config, "render")["options"]["files"]
            files.append({**files[0], "path": "/run/marked"})
            search(config, patterns, needs=self.all_running(config))

        guest = self.boot(disk=self.blank_disk(), change=change)
        self.wait_booted(guest)
        lines, _ = self.places(guest)
        for place in (r"memory of 1 \(\S+\) at ", r"memory of \d+ \(probe\) at \[stack\]", r"environment of \d+ \(probe\)",
                      r"command line of \d+ \(probe\)", r"memfd \S+ \(deleted\) of 1 ", "file /run/marked",
                      "file /etc/gantry/boot.json", "file /persistent/gantry/log/"):
            self.assertTrue([line for line in lines if re.match(f"found marker in {place}", line)], f"{place}: {lines}")
        self.assertEqual(self.outside(guest, patterns), {"events": ["marker"], "console": ["marker"]})
        # The log with it is on the encrypted disk, so it is not on the raw one; until somebody writes it there.
        self.assertEqual(self.disk_patterns_after(guest, patterns), [])
        with open(self.disk, "r+b") as file:
            file.seek(1 << 20)
            file.write(json.dumps({"key": base64.b64encode(b"x" + MARKER.encode()).decode()}).encode())
        self.assertEqual(found_in_file(self.disk, patterns), ["marker-base64-1"])

    def test_every_form_of_a_secret_is_found_in_a_file(self):
        self.platform()
        patterns = forms("marker", MARKER.encode())
        files = {f"/etc/marked/{label}": text for label, text in patterns.items()}
        files["/etc/marked/inner"] = bytes((1 << 20) - 7) + MARKER.encode()     # where two reads meet

        def change(config):
            support.only(config)
            search(config, patterns)

        lines, looked = self.places(self.boot(change=change, files=files))
        self.assertEqual(sorted(lines), sorted([f"found {label} in file /etc/marked/{label}" for label in patterns]
                                               + ["found marker in file /etc/marked/inner"]))
        self.assertEqual(looked["found"], len(files))


if __name__ == "__main__":
    unittest.main()
