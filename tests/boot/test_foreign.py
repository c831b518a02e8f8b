# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks that hold something of somebody else, whatever it is and wherever it lies: the stage gives up with the reason,
and the disk is the same to the byte. All are attached to one machine; a blank disk beside them shows that it would
format."""

import unittest

import foreign
import manydisks
from manydisks import Disk, ManyDisks, give_methods


def make_blank(path):
    foreign.blank(path, 64 * foreign.MIB)


@give_methods
class ForeignContents(ManyDisks):
    made_by = (foreign, manydisks)
    disks = [*foreign.CONTENTS,
             Disk("blank", make_blank, "formatted, key from (tpm2|hub)", state="done", changes=True,
                  holds="is_formatted_beside_them")]


if __name__ == "__main__":
    unittest.main()
