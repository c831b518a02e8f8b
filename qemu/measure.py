#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints PCR 4, 9 and 11 of a Unified Kernel Image (uki.py) as BuilderHub's JSON."""

import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from qemu import image, uki


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("uki", nargs="?", help="a UKI; default: that of make's IMAGE or the test image, built first where needed")
    parser.add_argument("--log", action="store_true", help="with the single measurements (EventLog)")
    options = parser.parse_args()
    path = options.uki or os.path.join(image.ensure_or_exit(), "gantry.efi")
    try:
        with open(path, "rb") as file:
            result = uki.measurements(file.read())
    except (OSError, uki.BadImage) as error:
        sys.exit(f"measure: {path}: {error}")
    if not options.log:
        del result["EventLog"]
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
