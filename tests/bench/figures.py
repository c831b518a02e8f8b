# SPDX-License-Identifier: GPL-2.0-or-later
"""What a measurement is, and how measurements look: one table of at most 100 columns, and the same as JSON.

A figure carries all its samples; its value is their median. Beside it stand, where there are such, the figure of the
shell init that Gantry replaces, or nginx's, and the target, and always how it was got.
"""

import dataclasses
import json
import statistics

COLUMNS = 100


@dataclasses.dataclass
class Figure:
    section: str
    name: str
    unit: str                           # s, MB, kB, MiB, /s, or empty for a count
    how: str
    samples: list = dataclasses.field(default_factory=list)
    shell: float | None = None          # what the shell init needed
    target: float | None = None         # at most this, or at least
    more: bool = False                  # more is better
    nginx: float | None = None          # what nginx did in its place, in the same run
    beside: dict = dataclasses.field(default_factory=dict)      # {supervisor: value}, in the same run; less is better

    @property
    def value(self):
        return statistics.median(self.samples) if self.samples else None

    @property
    def ratio(self):
        """How many times less than the shell init or the best beside it, or how many times as much as nginx."""
        if self.beside:
            return min(self.beside.values()) / self.value if self.value else None
        if self.nginx:
            return self.value / self.nginx if self.value is not None else None
        return self.shell / self.value if self.shell is not None and self.value else None

    @property
    def met(self):
        if self.target is None or self.value is None:
            return None
        return self.value >= self.target if self.more else self.value <= self.target

    def as_json(self):
        return {"section": self.section, "name": self.name, "unit": self.unit, "value": self.value, "samples": self.samples,
                "shell": self.shell, "nginx": self.nginx, "beside": self.beside, "target": self.target, "more": self.more,
                "ratio": self.ratio, "met": self.met, "how": self.how}


def number(value, unit=""):
    """Three digits are enough for any of these: 0.035, 4.21, 25.2, 104, 2200432 stays whole when it counts."""
    if value is None:
        return "-"
    if unit in ("", "bytes", "/s"):
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def spread(figure):
    """Smallest and largest sample, where there is more than one."""
    if len(figure.samples) < 2:
        return ""
    return f"{number(min(figure.samples), figure.unit)}..{number(max(figure.samples), figure.unit)}"


def verdict(figure):
    return {None: "", True: "met", False: "MISSED"}[figure.met]


def row(figure):
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}x" if figure.nginx or figure.beside else f"{figure.ratio:.1f}x"
    value = f"{number(figure.value, figure.unit)} {figure.unit}".rstrip()
    return [figure.name, value, spread(figure), number(figure.target, figure.unit) if figure.target is not None else "",
            verdict(figure), number(figure.shell, figure.unit) if figure.shell is not None else "",
            number(figure.nginx, figure.unit) if figure.nginx is not None else "",
            *(number(figure.beside.get(name), figure.unit) if figure.beside else "" for name in BESIDE), ratio]


BESIDE = ("s6", "runit", "finit")
HEAD = ["", "Gantry", "min..max", "target", "", "shell", "nginx", *BESIDE, "ratio"]


def grid(rows, indent="  "):
    """Lines of a table: the first column to the left, the others to the right; columns without content are left out."""
    keep = [index for index in range(len(rows[0])) if index == 0 or any(line[index] for line in rows[1:])]
    rows = [[line[index] for index in keep] for line in rows]
    widths = [max(len(line[index]) for line in rows) for index in range(len(rows[0]))]
    widths[0] = min(widths[0], COLUMNS - len(indent) - sum(widths[1:]) - 2 * len(widths[1:]))
    lines = []
    for line in rows:
        cells = [line[0] if len(line[0]) <= widths[0] else line[0][:widths[0] - 1] + "~"]
        cells[0] = cells[0].ljust(widths[0])
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def wrapped(text, indent):
    lines, line = [], indent
    for word in text.split():
        if len(line) + 1 + len(word) > COLUMNS and line.strip():
            lines.append(line)
            line = indent
        line += ("" if line == indent else " ") + word
    return lines + [line]


def table(title, figures, notes=()):
    """The whole text: a block a section, under each how its figures were got."""
    lines = wrapped(title, "")
    for section in dict.fromkeys(figure.section for figure in figures):
        block = [figure for figure in figures if figure.section == section]
        lines += ["", section] + grid([HEAD] + [row(figure) for figure in block])
        for how in dict.fromkeys(figure.how for figure in block):
            names = [figure.name for figure in block if figure.how == how]
            said = ""
            if len(names) < len(block):
                said = ("; ".join(names) if len(names) < 4 else f"{names[0]} ... {names[-1]}") + ": "
            lines += wrapped(f"how: {said}{how}", "    ")
    if notes:
        lines.append("")
        for note in notes:
            lines += wrapped(note, "")
    return "\n".join(lines) + "\n"


def stage_table(title, columns, stages, how):
    """Seconds a stage, a row each; COLUMNS are names, STAGES {name: [began and took, or None, for each column]}."""
    rows = [["", *columns]]
    for name, cells in stages.items():
        rows.append([name, *("" if cell is None else f"{cell[0]:6.2f} {cell[1]:+6.2f}" for cell in cells)])
    return "\n".join(["", title] + grid(rows) + wrapped("how: " + how, "    ")) + "\n"


def to_json(facts, figures, stages=None):
    return json.dumps({**facts, "figures": [figure.as_json() for figure in figures], "stages": stages or {}}, indent=2) + "\n"
