# SPDX-License-Identifier: GPL-2.0-or-later
"""Headers made by somebody who knows the format and controls the disk, but has no key: each is refused for what is
wrong with it, though the machine has the key that would open it, and nothing is written. All are attached to one
machine, beside sound ones that open."""

import unittest

import foreign
import hostile
import manydisks
from manydisks import ManyDisks, give_methods


@give_methods
class HostileHeaders(ManyDisks):
    made_by = (foreign, hostile, manydisks)
    disks = hostile.HEADERS


if __name__ == "__main__":
    unittest.main()
