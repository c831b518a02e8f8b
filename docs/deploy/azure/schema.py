#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes schema.json, which `make test` holds the module against, from `terraform providers schema -json` on standard input: of
each resource that the module and its example use, the attributes and blocks, and which of them have to be there."""

import glob
import json
import os
import re
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))


def reduced(block):
    """A block as {"attributes": {name: kind}, "blocks": {name: [least number, block]}}."""
    kinds = {name: "required" if one.get("required") else "optional" if one.get("optional") else "computed"
             for name, one in block.get("attributes", {}).items()}
    return {"attributes": kinds, "blocks": {name: [one.get("min_items", 0), reduced(one["block"])]
                                            for name, one in block.get("block_types", {}).items()}}


def main():
    used = set()
    for path in glob.glob(os.path.join(FOLDER, "**", "*.tf"), recursive=True):
        with open(path, encoding="utf-8") as file:
            used |= set(re.findall(r'^resource "(\w+)"', file.read(), re.M))
    (provider,) = json.load(sys.stdin)["provider_schemas"].values()
    chosen = {name: reduced(provider["resource_schemas"][name]["block"]) for name in sorted(used)}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(one, sort_keys=True)}" for name, one in chosen.items())
    with open(os.path.join(FOLDER, "schema.json"), "w", encoding="utf-8") as out:
        out.write(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
