# SPDX-License-Identifier: GPL-2.0-or-later
"""The snapshot stage against S3 servers that others wrote: moto (Debian's python3-moto) and versitygw (`make versitygw`). Each is
skipped where it is not there. rclone and curl fill them."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from patience import PATIENCE
from peers import BUCKET, PREFIX
from snapshots import MIB, NAME, STATE, digests, told
from support import AGAIN, DONE, TOP, Stage

ACCESS, SECRET = 'AKIDEXAMPLE', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
FILES = {
    'db/mdbx.dat': 12 * MIB + 5, 'db/database.version': 1, 'static_files/empty': 0, 'reth.toml': 40,
    'static_files/a b+c%20d.txt': 3, "static_files/it's (1) & <2> = 100%~": 3, 'static_files/h\u00e9ader \u2713': 3,
    'static_files/q?a=b;c:d,@e$!*[f]': 3, '.hidden/..x': 3,
}


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


class Server(unittest.TestCase):
    region = 'us-east-1'

    def command(self, port):
        """What starts the server, or a reason why there is none."""
        raise NotImplementedError

    def setUp(self):
        self.parent = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.parent)
        self.directory, self.tree = self.parent / 'reth', self.parent / 'tree'
        port = free_port()
        command = self.command(port)
        if isinstance(command, str):
            self.skipTest(command)
        for need in ('rclone', 'curl'):
            if not shutil.which(need):
                self.skipTest(f'no {need}')
        self.endpoint = f'http://127.0.0.1:{port}'
        with open(self.parent / 'log', 'w', encoding='utf-8') as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.parent)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        until = time.monotonic() + 20 * PATIENCE
        while True:
            try:
                socket.create_connection(('127.0.0.1', port), 1).close()
                break
            except OSError:
                self.assertTrue(server.poll() is None and time.monotonic() < until, (self.parent / 'log').read_text())
                time.sleep(0.1)
        self.curl('PUT', '')
        self.fill()

    def curl(self, method, key, body=None):
        """One signed request. A key is given as it stands in the path: percent-encoded."""
        given = ['--data-binary', '@-', '-H', 'Content-Type: application/octet-stream'] if body is not None else []
        done = subprocess.run(['curl', '-sS', '--fail-with-body', '-X', method, '--aws-sigv4',
                               f'aws:amz:{self.region}:s3', '--user',
                               f'{ACCESS}:{SECRET}', *given, f'{self.endpoint}/{BUCKET}{"/" if key else ""}{key}'], input=body,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done)

    def fill(self):
        for name, size in FILES.items():
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            (self.tree / name).write_bytes(os.urandom(size))
        self.upload()
        self.curl('PUT', f'{PREFIX}/latest_version.meta.txt', f'{NAME}\n'.encode())

    def upload(self):
        subprocess.run(['rclone', 'copy', self.tree, f':s3:{BUCKET}/{PREFIX}/{NAME}', '--config', '/dev/null',
                        '--s3-provider', 'Other',
                        '--s3-endpoint', self.endpoint, '--s3-access-key-id', ACCESS, '--s3-secret-access-key', SECRET,
                        '--s3-region', self.region, '--s3-upload-cutoff', '6M', '--s3-chunk-size', '5M', '--s3-no-check-bucket',
                        '--transfers', '16'], check=True, capture_output=True)
        self.expected = digests(self.tree)

    def stage(self, secret=SECRET, **options):
        keys = {'access_key_id': ACCESS, 'secret_access_key': secret, 'bucket_endpoint': self.endpoint}
        settings = {'bucket': BUCKET, 'prefix': PREFIX, 'directory': str(self.directory), 'connections': 2, 'chunk_mib': 1,
                    'region': self.region, 'patience_s': 20, **options}
        return self.enterContext(Stage('snapshot', settings, artifacts={'config': json.dumps({'rclone': keys}).encode()}))

    def run_stage(self, status=DONE, **options):
        stage = self.stage(**options)
        self.assertEqual(stage.wait(60), status, told(stage))
        return stage


class Promises:
    def test_a_sync_is_identical_to_what_was_uploaded(self):
        self.run_stage()
        self.assertEqual(digests(self.directory), self.expected)
        self.assertTrue(self.run_stage().skipped)

    def test_a_folder_marker_is_no_file(self):
        for key, body in (('db/', self.marker), ('empty-dir/', b'')):
            self.curl('PUT', f'{PREFIX}/{NAME}/{key}', body)
        self.run_stage()
        self.assertEqual(digests(self.directory), self.expected)

    def test_an_object_that_goes_away_during_the_sync_is_missed(self):
        self.run_stage()
        # As it was with the plan on the disk, and nothing yet of what it names.
        for path in self.directory.iterdir():
            if path.name != STATE:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.directory / STATE / 'complete').unlink()
        self.curl('DELETE', f'{PREFIX}/{NAME}/db/mdbx.dat')
        for _ in range(2):
            self.assertIn('db/mdbx.dat is gone from the store', self.run_stage(AGAIN).result)
            self.assertFalse((self.directory / STATE / 'complete').exists())


class Moto(Promises, Server):
    marker = b'\n'

    def command(self, port):
        server = shutil.which('moto_server')
        return [server, '-H', '127.0.0.1', '-p', str(port)] if server else 'no moto_server'


class Versitygw(Promises, Server):
    marker = b''        # it takes no other

    def command(self, port):
        server = os.path.join(TOP, 'build', 'peers', 'versitygw')
        if not os.path.exists(server):
            return 'no versitygw: `make versitygw`'
        store, beside = self.parent / 'store', self.parent / 'beside'       # what it knows of an object is beside it
        store.mkdir()
        beside.mkdir()
        return [server, '--access', ACCESS, '--secret', SECRET, '--port', f'127.0.0.1:{port}', 'posix', '--sidecar', beside,
                store]

    def test_a_list_of_several_pages_is_followed_to_its_end(self):
        (self.tree / 'many').mkdir()
        for number in range(1001):
            (self.tree / f'many/{number:04d}').write_bytes(b'%d' % number)
        self.upload()
        self.run_stage(connections=8)
        self.assertEqual(digests(self.directory), self.expected)

    def test_a_wrong_secret_key_is_told_as_such(self):
        self.assertIn('SignatureDoesNotMatch', self.run_stage(AGAIN, secret='wrong').result)


if __name__ == '__main__':
    unittest.main()
