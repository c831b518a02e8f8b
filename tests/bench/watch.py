# SPDX-License-Identifier: GPL-2.0-or-later
"""What other work does on this machine while a guest is measured: the bench says so, since it cannot prevent it."""

import os
import time

PEER_TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds():
    """(busy seconds of the whole machine, seconds of this process): since they began."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, *_ = [int(word) for word in file.readline().split()[1:]]
    times = os.times()
    return (user + nice + system + irq + softirq) / PEER_TICKS, times.user + times.system


def process_seconds(process):
    try:
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
            words = file.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / PEER_TICKS
    except (OSError, AttributeError):
        return 0.0


class Watch:
    """The mean number of processors that others kept busy during a boot."""

    def __init__(self):
        self.began, (self.busy, self.ours) = time.monotonic(), processor_seconds()

    def others(self, guest):
        busy, ours = processor_seconds()
        spent = ours - self.ours + process_seconds(guest.qemu) + process_seconds(guest.swtpm)
        return max(busy - self.busy - spent, 0) / max(time.monotonic() - self.began, 0.1)
