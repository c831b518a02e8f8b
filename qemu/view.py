# SPDX-License-Identifier: GPL-2.0-or-later
"""The display of a boot for `make run`: in a terminal one line per stage and service, redrawn; elsewhere plain lines; at
the end the boot chart as text. It only reads events; run.py decides what they mean for the run."""

import os
import shutil
import sys
import time

COLOURS = {"done": "32", "ready": "32", "running": "36", "retrying": "33", "stopping": "33", "failed": "31",
           "blocked": "31", "held": "31", "warning": "33", "error": "31", "booted": "32"}
QUIET = ("waiting", "disabled")
OVER = ("done", "ready", "skipped", "failed", "blocked", "stopped")


def size(count):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit in ("B", "KiB") else f"{count:.1f} {unit}"
        count /= 1024
    return ""


class Node:
    """The state of one stage or service, from its events."""

    def __init__(self, name):
        self.name = name
        self.state = "waiting"
        self.began = self.ended = None      # guest seconds
        self.says = ""
        self.progress = None                # (done, total)

    def take(self, event):
        if event.kind == "progress":
            done, total = (int(event.fields.get(key, 0) or 0) for key in ("done", "total"))
            self.progress = (done, total)
            speed, eta = int(event.fields.get("per_second", 0) or 0), event.fields.get("eta_s", "")
            self.says = f"{size(done)} of {size(total)}, {size(speed)}/s"
            if eta.isdigit() and int(eta) < 1 << 31:
                self.says += f", {eta} s left"
            return
        if event.kind == "message":
            self.says = event.text
            return
        self.state = event.text
        if self.state in ("running", "starting") and self.began is None:
            self.began = event.time
        if self.state in OVER:
            self.began = event.time if self.began is None else self.began
            self.ended = event.time
            self.progress = None
        elif self.state == "running":
            self.ended = None
        if event.fields.get("text"):
            self.says = event.fields["text"]

    def elapsed(self, now):
        if self.began is None:
            return None
        return max((self.ended if self.ended is not None else now) - self.began, 0)


class View:
    """Takes events from any thread that holds the caller's lock."""

    def __init__(self, names, out=sys.stdout):
        self.out = out
        self.terminal = out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.colour = self.terminal and "NO_COLOR" not in os.environ
        self.nodes = {name: Node(name) for name in names}
        self.drawn = 0
        self.first = self.last = None       # guest seconds of the first and the latest event
        self.arrived = self.began = time.monotonic()
        self.boot = "booting"
        self.said_progress = {}
        self.live = self.terminal

    # Facts

    def now(self):
        return 0 if self.last is None else self.last + time.monotonic() - self.arrived

    def take(self, event):
        self.first = event.time if self.first is None else self.first
        self.last, self.arrived = max(event.time, self.last or 0), time.monotonic()
        if event.source == "gantry":
            if event.kind == "state":
                self.boot = event.text
        elif event.source in self.nodes or event.kind == "state":
            self.nodes.setdefault(event.source, Node(event.source)).take(event)
        if not self.terminal:
            self.plain(event)
        elif event.level in ("warning", "error"):
            self.above(f"{event.time:8.2f} {self.paint(event.level, event.level)} {event.source}: {self.words(event)}")

    def words(self, event):
        rest = event.fields.get("text", "")
        return f"{event.text}: {rest}" if event.kind == "state" and rest else event.text

    # Plain lines

    def plain(self, event):
        if event.kind == "progress":
            said = self.said_progress.get(event.source, -10)
            if event.time - said < 5:
                return
            self.said_progress[event.source] = event.time
        elif event.kind == "message" and event.level in ("debug", "info"):
            return
        mark = "" if event.level in ("debug", "info", "notice") else event.level + ": "
        self.out.write(f"{event.time:8.2f} s  {event.source:<12} {mark}{self.words(event)}\n")
        self.out.flush()

    # Terminal

    def paint(self, text, word):
        code = COLOURS.get(word)
        return f"\033[{code}m{text}\033[0m" if self.colour and code else text

    def erase(self):
        if self.drawn:
            self.out.write(f"\033[{self.drawn}A\033[J")
            self.drawn = 0

    def above(self, line):
        """A line that stays, above the live part."""
        self.erase()
        self.out.write(line + "\n")
        self.draw()

    def row(self, node, width):
        elapsed = node.elapsed(self.now())
        spent = f"{elapsed:7.1f} s" if elapsed is not None else " " * 9
        head = f"  {node.name:<12} "
        state = f"{node.state:<9}"
        room = width - len(head) - len(state) - len(spent) - 2
        rest = node.says
        if node.progress and node.progress[1] and room > 24:
            bar = min(24, room // 3)
            full = min(bar, bar * node.progress[0] // node.progress[1])
            rest = "[" + "#" * full + "." * (bar - full) + "] " + rest
        if room < 8:
            return (head + node.state)[:width]
        rest = rest if len(rest) <= room else rest[:room - 1] + "~"
        return head + self.paint(state, node.state) + spent + "  " + rest

    def rows(self, width, height):
        nodes = list(self.nodes.values())
        if len(nodes) > height:
            nodes = [node for node in nodes if node.state not in QUIET]
        if len(nodes) > height:
            nodes = sorted(nodes, key=lambda node: node.state in OVER)[:height]
        return [self.row(node, width) for node in nodes]

    def draw(self):
        if not self.live:
            return
        width, height = shutil.get_terminal_size((80, 24))
        width = max(width - 1, 10)
        self.erase()
        if self.last is None:
            head = f"firmware and kernel start: {time.monotonic() - self.began:.0f} s"
        else:
            head = f"{self.boot}, {self.now() - self.first:.1f} s since PID 1 started"
        lines = [head[:width]] + (self.rows(width, height - 3) if self.last is not None else [])
        self.out.write("\n".join(lines) + "\n")
        self.out.flush()
        self.drawn = len(lines)

    # The end

    def chart(self):
        """The boot chart: when each stage and service ran, as bars on one time axis."""
        nodes = [node for node in self.nodes.values() if node.began is not None]
        if not nodes:
            return ""
        start = self.first
        ends = [node.ended if node.ended is not None else self.last for node in nodes]
        span = max(max(ends) - start, 0.001)
        width = max(min(shutil.get_terminal_size((100, 24)).columns, 120) - 36, 16)
        lines = [f"boot chart, {span:.2f} s from PID 1's start"]
        for node, end in sorted(zip(nodes, ends), key=lambda pair: (pair[0].began, pair[1])):
            left = min(int((node.began - start) / span * width), width - 1)
            bar = max(min(round((end - node.began) / span * width), width - left), 1)
            lines.append(f"  {node.name:<12} |{' ' * left}{'#' * bar}{' ' * (width - left - bar)}| "
                         f"{node.began - start:6.2f} {end - node.began:+7.2f} s")
        return "\n".join(lines)
