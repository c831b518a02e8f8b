# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests with the emulated peers (qemu/peers): import this before them, it puts the repository's top on the path."""

import subprocess
import sys
import unittest

from support import TOP

sys.path.insert(0, TOP)

HERE = '127.0.0.1'
BUCKET, PREFIX = 'chain-db-snapshots', 'reth-mainnet-full'


def curl(*arguments, code=0):
    """Runs curl; gives (HTTP status, body). `code`: curl's exit status that must come, None for any."""
    ran = subprocess.run(['curl', '-q', '-s', '-S', '--noproxy', '*', '-m', '20', '-w', '\n%{http_code}', *arguments],
                         capture_output=True, check=False)
    if code is not None and ran.returncode != code:
        raise AssertionError(f'curl exited {ran.returncode}, not {code}: {ran.stderr.decode()}')
    body, _, status = ran.stdout.rpartition(b'\n')
    return int(status), body


class PeerTest(unittest.TestCase):
    def started(self, peer, *faults):
        """The peer with these faults, running until the end of the test."""
        if faults:
            peer.faults.set(*faults)
        peer.start()
        self.addCleanup(peer.stop)
        return peer
