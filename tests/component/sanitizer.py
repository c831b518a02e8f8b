# SPDX-License-Identifier: GPL-2.0-or-later
"""What a sanitizer reports fails the test in which it does, also where the role is started again and the test would pass
(make test-sanitized)."""

import re

REPORT = re.compile(r"ERROR: AddressSanitizer|\.[ch]:\d+:\d+: runtime error: ")


def check(lines):
    """lines: all that a process of ours printed."""
    for number, line in enumerate(lines):
        if REPORT.search(line):
            raise AssertionError("a sanitizer's report:\n" + "\n".join(lines[number:number + 40]))
