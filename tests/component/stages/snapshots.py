# SPDX-License-Identifier: GPL-2.0-or-later
"""A store that checks every signature, and the snapshot stage against it: what its tests share."""

import hashlib
import json
import math
import os
import shutil
import signal
import tempfile
import unittest
from pathlib import Path

from peers import BUCKET, PREFIX
from support import DONE, Stage
from patience import slowdown
from qemu.peers.s3 import S3

NAME = 'reth-2026-01-17-test'
STATE = '.gantry-snapshot'
MIB = 1024 * 1024


def digests(folder):
    """{path: (size, sha256)} of every file below, our own folder left out."""
    found = {}
    for path in sorted(Path(folder).rglob('*')):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(STATE + '/'):
            found[name] = (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def told(stage):
    return f'{stage.results} {stage.events} {stage.lines}'


def warnings(stage):
    return [event.text for event in stage.events if event.level == 'warning']


def workers_of(stage):
    return [int(child) for child in Path(f'/proc/{stage.pid}/task/{stage.pid}/children').read_text().split()]


def patience(seconds):
    """For `patience_s`, where what the store did until then is asserted: as much longer as this machine is slower now."""
    return math.ceil(seconds * slowdown())


class SnapshotTest(unittest.TestCase):
    size = 12 * MIB

    def setUp(self):
        self.store = S3('127.0.0.1', 0, tls_port=None)
        self.store.start()
        self.addCleanup(self.store.stop)
        self.parent = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.parent)
        self.directory = self.parent / 'reth'
        self.fill(NAME)

    def fill(self, name, **options):
        self.store.put_snapshot(self.size, directory=name, bucket=BUCKET, prefix=PREFIX, **options)

    def expected(self, name=NAME):
        return self.store.manifest(BUCKET, f'{PREFIX}/{name}/')

    def document(self, **changes):
        keys = {'access_key_id': self.store.access_key, 'secret_access_key': self.store.secret_key,
                'bucket_endpoint': self.store.url(), **changes}
        return json.dumps({'rclone': keys, 'disk_encryption': {'key': 'not for workers 5a1f'}}).encode()

    def stage(self, document=None, program=None, **options):
        settings = {'bucket': BUCKET, 'prefix': PREFIX, 'directory': str(self.directory), 'connections': 4,
                    'chunk_mib': 1, **options}
        return self.enterContext(Stage('snapshot', settings, artifacts={'config': document or self.document()},
                                       program=program))

    def run_stage(self, status=DONE, **options):
        stage = self.stage(**options)
        self.assertEqual(stage.wait(60), status, told(stage))
        return stage

    def cut(self, stage):
        """The stage ends like in a power cut, but for what the page cache holds."""
        stage.kill(signal.SIGKILL)
        stage.wait()

    def assert_complete(self, name=NAME):
        self.assertEqual(digests(self.directory), self.expected(name))
        self.assertTrue((self.directory / STATE / 'complete').is_file())
        self.assertEqual(sorted(os.listdir(self.directory / STATE)), ['complete', 'manifest'])

    def assert_nothing_named(self):
        """No file has its own name yet."""
        self.assertEqual(digests(self.directory), {})
