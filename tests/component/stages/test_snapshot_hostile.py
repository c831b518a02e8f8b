# SPDX-License-Identifier: GPL-2.0-or-later
"""The snapshot stage and what it does not do: for a store that refuses, lies, or is another one, and in a directory that
holds something else."""

import os
import re
import shutil
import subprocess
import unittest
import urllib.parse

from peers import BUCKET, PREFIX
from snapshots import NAME, STATE, SnapshotTest, patience, told, warnings
from support import AGAIN, DONE, NEVER, TOP, private_network
from qemu.peers.s3 import S3
from qemu.peers.server import Response


class Refused(SnapshotTest):
    def assert_refused(self, status, *words, **options):
        stage = self.run_stage(status, **options)
        for word in words:
            self.assertIn(word, stage.result)
        self.assertNotIn(self.store.secret_key, stage.texts())
        if self.directory.exists():
            self.assert_nothing_named()
        return stage

    def test_a_wrong_secret_key_is_told_as_such(self):
        self.assert_refused(AGAIN, '403', 'SignatureDoesNotMatch',
                            document=self.document(secret_access_key='wrong' * 8))

    def test_an_unknown_access_key_is_told_as_such(self):
        self.assert_refused(AGAIN, '403', 'InvalidAccessKeyId', document=self.document(access_key_id='nobody'))

    def test_a_wrong_clock_is_told_with_the_difference(self):
        self.store.clock_offset_s = 7200
        stage = self.assert_refused(AGAIN, 'RequestTimeTooSkewed', 'behind the server')
        self.assertAlmostEqual(int(re.search(r'clock is (\d+) s', stage.result)[1]), 7200, delta=30)

    def test_a_missing_bucket_or_latest_is_told_as_such(self):
        self.assert_refused(AGAIN, '404', 'NoSuchBucket', bucket='no-such-bucket')
        self.assert_refused(AGAIN, '404', 'NoSuchKey', latest='nothing.txt')

    def test_an_empty_snapshot_is_refused(self):
        self.store.put(BUCKET, f'{PREFIX}/latest_version.meta.txt', b'reth-empty\n')
        self.assert_refused(AGAIN, 'no files')

    def test_a_latest_that_is_no_name_is_refused(self):
        for text in (b'', b'\n', b'../other', b'a/b', b'two words', b'..', b'x' * 200, b'a\0b', b'<html>'):
            self.store.put(BUCKET, f'{PREFIX}/latest_version.meta.txt', text)
            self.assert_refused(AGAIN, 'does not hold the name')

    def test_hostile_keys_are_refused_and_nothing_is_written_outside(self):
        for name in ('../evil', 'a/../../evil', '/etc/evil', 'a//b', './a', 'a/./b', 'a\nb', f'{STATE}/complete', 'x' * 300,
                     '/'.join('d' * 40)):
            self.fill(NAME)
            key = f'{PREFIX}/{NAME}/{name}'
            self.store.put(BUCKET, key, b'evil')
            self.assert_refused(NEVER, 'file refused')
            del self.store.objects[BUCKET][key]
            self.assertEqual(os.listdir(self.parent), ['reth'])

    def test_a_path_that_is_file_and_directory_is_refused(self):
        self.store.put(BUCKET, f'{PREFIX}/{NAME}/db', b'file')
        self.assert_refused(NEVER, 'is a file and a directory')

    def test_lists_that_make_no_sense_are_refused(self):
        for kind in ('truncated', 'wrong', 'empty', 'random', 'type', 'deep', 'huge'):
            self.store.faults.clear()
            self.store.faults.set(f'garbage:{kind}@list-type')
            self.assert_refused(AGAIN, 'larger than' if kind == 'huge' else 'list refused')

    def test_options_that_cannot_work_are_refused(self):
        self.assert_refused(NEVER, 'slash', prefix=f'{PREFIX}/')
        self.assert_refused(NEVER, 'slash', prefix=f'/{PREFIX}')
        self.assert_refused(NEVER, 'not absolute', directory='reth')
        self.assert_refused(NEVER, 'does not exist', user='nosuchuser')
        self.assert_refused(NEVER, 'does not exist', group='nosuchgroup')
        self.assert_refused(NEVER, 'bucket', bucket='A_B')
        self.assert_refused(AGAIN, 'No such file', directory=str(self.parent / 'no' / 'parent'))

    def test_a_configuration_without_the_keys_is_refused(self):
        self.assert_refused(NEVER, 'rclone.', document=b'{"rclone": {}}')
        self.assert_refused(AGAIN, 'configuration', document=b'{"rclone": ')
        self.assert_refused(NEVER, 'endpoint', document=self.document(bucket_endpoint='ftp://x'))

    def test_too_little_space_is_seen_before_the_transfer(self):
        if os.geteuid() != 0:
            self.skipTest('needs root')
        self.directory.mkdir()
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', self.directory], check=True)
        self.addCleanup(subprocess.run, ['umount', self.directory], check=True)
        stage = self.assert_refused(NEVER, 'needs', 'are free')
        self.assertEqual(self.store.count(status=206), 0, told(stage))


class Liars(SnapshotTest):
    """Stores whose answers are not what was asked for."""

    def lie(self, change):
        """`change`(response) may alter each answer about an object of the snapshot."""
        honest = self.store._object

        def answer(request, bucket, key):
            response = honest(request, bucket, key)
            return response if key.endswith('.txt') else change(request, response)
        self.store._object = answer

    def assert_told(self, *words):
        stage = self.run_stage(AGAIN, patience_s=patience(3))
        for word in words:
            self.assertIn(word, ' '.join([stage.result, *warnings(stage)]))
        self.assert_nothing_named()

    def test_ranges_ignored(self):
        def whole(request, response):
            key = request.path.partition(f'/{BUCKET}/')[2]
            found = self.store.objects[BUCKET][urllib.parse.unquote(key)]
            return Response(200, headers={'ETag': found.etag}, stream=found.content.read(0, found.size), size=found.size)
        self.lie(whole)
        self.assert_told('keeps changing while it is fetched', 'store ignores the Range header')

    def test_another_range(self):
        def shifted(request, response):
            if response.status == 206:
                response.headers['Content-Range'] = re.sub(r'(\d+)-(\d+)', lambda m: f'{int(m[1]) + 1}-{int(m[2]) + 1}',
                                                           response.headers['Content-Range'])
            return response
        self.lie(shifted)
        self.assert_told('Content-Range')

    def test_another_total(self):
        def other(request, response):
            if response.status == 206:
                response.headers['Content-Range'] += '1'
            return response
        self.lie(other)
        self.assert_told('Content-Range')

    def test_redirects_are_not_followed(self):
        with S3('127.0.0.1', 0, tls_port=None) as elsewhere:
            self.lie(lambda request, response: Response(302, b'', headers={'Location': elsewhere.url() + request.target}))
            self.assert_told('302')
            self.assertEqual(elsewhere.count(), 0)


class Tls(SnapshotTest):
    """Over https, at the address that the store's certificate names."""

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest('needs root')
        private_network()
        subprocess.run(['ip', 'address', 'add', '10.77.0.2/32', 'dev', 'lo'], check=True)
        super().setUp()
        self.secure = S3('10.77.0.2', 9000, tls_port=9443)
        self.secure.objects = self.store.objects
        self.secure.start()
        self.addCleanup(self.secure.stop)

    def run_tls(self, status, ca, host='10.77.0.2'):
        return self.run_stage(status, document=self.document(bucket_endpoint=f'https://{host}:9443'), ca=str(ca),
                              patience_s=patience(2))

    def test_a_sync_over_https_with_the_right_authority_is_identical(self):
        self.run_tls(DONE, f'{TOP}/qemu/pki/hub-ca.pem')
        self.assert_complete()

    def test_another_authority_is_refused(self):
        self.assertIn('certificate', self.run_tls(AGAIN, f'{TOP}/qemu/pki/other-ca.pem').result.lower())
        self.assertEqual(self.secure.count(), 0)

    def test_another_name_than_the_certificates_is_refused(self):
        subprocess.run(['ip', 'address', 'add', '10.77.0.9/32', 'dev', 'lo'], check=True)
        wrong = S3('10.77.0.9', 9000, tls_port=9443)
        wrong.objects = self.store.objects
        wrong.start()
        self.addCleanup(wrong.stop)
        self.run_tls(AGAIN, f'{TOP}/qemu/pki/hub-ca.pem', host='10.77.0.9')
        self.assertEqual(wrong.count(), 0)

    def test_a_missing_authority_file_is_told(self):
        self.assertRegex(self.run_tls(AGAIN, '/nonexistent.pem').result, 'CA|certificate|cert')


class Others(SnapshotTest):
    def test_a_directory_with_other_data_is_left_alone(self):
        (self.directory / 'db').mkdir(parents=True)
        (self.directory / 'db' / 'mdbx.dat').write_bytes(b'precious')
        stage = self.run_stage()
        self.assertTrue(stage.skipped)
        self.assertIn('already populated', stage.result)
        self.assertEqual((self.directory / 'db' / 'mdbx.dat').read_bytes(), b'precious')
        self.assertEqual(os.listdir(self.directory), ['db'])
        self.assertEqual(self.store.count(), 0)

    def test_node_local_files_stay_and_are_never_fetched(self):
        self.directory.mkdir()
        (self.directory / 'discovery-secret').write_bytes(b'mine')
        for name in ('discovery-secret', 'known-peers.json', 'db/mdbx.lck'):
            self.store.put(BUCKET, f'{PREFIX}/{NAME}/{name}', b'theirs')
        self.run_stage()
        self.assertEqual((self.directory / 'discovery-secret').read_bytes(), b'mine')
        self.assertFalse((self.directory / 'known-peers.json').exists())
        self.assertFalse((self.directory / 'db/mdbx.lck').exists())
        self.assertTrue((self.directory / 'db/mdbx.dat').exists())

    def test_a_file_that_appeared_in_the_way_is_not_replaced(self):
        self.store.faults.set('status:503@mdbx.dat')
        self.run_stage(AGAIN, patience_s=patience(2))
        self.store.faults.clear()
        (self.directory / 'reth.toml').write_bytes(b'mine')
        stage = self.run_stage(NEVER)
        self.assertIn('reth.toml', stage.result)
        self.assertEqual((self.directory / 'reth.toml').read_bytes(), b'mine')

    def test_a_symlink_in_the_way_is_not_followed(self):
        elsewhere = self.parent / 'elsewhere'
        elsewhere.mkdir()
        self.store.faults.set('status:503@mdbx.dat')
        self.run_stage(AGAIN, patience_s=patience(2))
        self.store.faults.clear()
        (self.directory / 'static_files').symlink_to(elsewhere)
        self.run_stage(NEVER)
        self.assertEqual(os.listdir(elsewhere), [])
        shutil.rmtree(self.directory)
        self.directory.symlink_to(elsewhere)
        self.run_stage(NEVER)
        self.assertEqual(os.listdir(elsewhere), [])

    def test_a_damaged_state_beside_files_is_never_taken_for_complete(self):
        self.run_stage()
        for name in ('manifest', 'complete'):
            path = self.directory / STATE / name
            kept = path.read_bytes()
            path.write_bytes(kept[:-3])
            stage = self.run_stage(NEVER)
            self.assertIn('is invalid', stage.result)
            path.write_bytes(kept)
        self.assertTrue(self.run_stage().skipped)

    def test_a_directory_emptied_after_completion_is_filled_again(self):
        self.run_stage()
        for entry in self.directory.iterdir():
            if entry.name != STATE:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.run_stage()
        self.assert_complete()

    def test_another_ones_state_folder_is_not_trusted(self):
        if os.geteuid() != 0:
            self.skipTest('needs root')
        self.run_stage()
        os.chown(self.directory / STATE, 1001, 1001)
        self.assertIn('is owned or writable by another user', self.run_stage(NEVER).result)

    def test_rclone_finds_no_difference(self):
        if not shutil.which('rclone'):
            self.skipTest('no rclone')
        self.run_stage()
        rclone = ['rclone', 'check', f':s3:{BUCKET}/{PREFIX}/{NAME}', str(self.directory), '--download',
                  '--exclude', f'/{STATE}/**', '--s3-provider', 'Cloudflare', '--s3-endpoint', self.store.url(),
                  '--s3-access-key-id', self.store.access_key, '--s3-secret-access-key', self.store.secret_key,
                  '--s3-region', 'auto', '--config', '/dev/null']
        checked = subprocess.run(rclone, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(checked.returncode, 0, checked.stderr)


if __name__ == '__main__':
    unittest.main()
