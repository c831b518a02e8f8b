# SPDX-License-Identifier: GPL-2.0-or-later
"""TEST keys and certificates, committed on purpose: every private key here is public and derived from its name
(make_pki.py), so none of them can protect anything. Images for real machines never contain them."""

from pathlib import Path

FOLDER = str(Path(__file__).parent)


def path(name):
    """The path of one of the committed files, e.g. 'hub-ca.pem'."""
    return f"{FOLDER}/{name}"
