# SPDX-License-Identifier: GPL-2.0-or-later
"""The snapshot stage against a store that checks every signature: whole, cut, changed, hostile. What arrived is
compared by SHA-256 with what the store serves."""

import hashlib
import json
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import unittest
import urllib.parse
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from qemu.peers.s3 import S3                                                # noqa: E402
from qemu.peers.server import Response                                      # noqa: E402
from support import AGAIN, DONE, INIT, NEVER, Stage, private_network, waits                        # noqa: E402

BUCKET, PREFIX, NAME = 'chain-db-snapshots', 'reth-mainnet-full', 'reth-2026-01-17-test'
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


class Whole(SnapshotTest):
    def test_a_sync_is_identical_to_the_store(self):
        stage = self.run_stage()
        self.assert_complete()
        self.assertIn(f'snapshot {NAME}: {len(self.expected())} files', stage.result)
        done, total, _, _, text = stage.progress[-1]
        self.assertEqual((done, total), (sum(size for size, _ in self.expected().values()),) * 2)
        self.assertRegex(text, r'^\d+ of \d+ \w+$')
        self.assertEqual(stage.facts, {'directory': str(self.directory), 'snapshot': NAME,
                                       'files': str(len(self.expected())), 'size_bytes': str(total)})

    def test_a_second_run_is_skipped_and_asks_the_store_nothing(self):
        self.run_stage()
        self.store.forget()
        stage = self.run_stage()
        self.assertTrue(stage.skipped)
        self.assertEqual(stage.result, f'snapshot {NAME} is complete')
        self.assertEqual(stage.facts, {'directory': str(self.directory), 'snapshot': NAME})
        self.assertEqual(self.store.count(), 0)

    def test_a_newer_snapshot_does_not_replace_a_complete_one(self):
        self.run_stage()
        self.fill('reth-2026-02-01-test')
        self.assertTrue(self.run_stage().skipped)
        self.assertEqual(digests(self.directory), self.expected(NAME))

    def test_pages_of_a_long_list_are_all_followed(self):
        self.store.max_keys = 7
        self.run_stage()
        self.assert_complete()
        self.assertGreater(self.store.count(contains='continuation-token'), 4)

    def test_a_store_that_does_not_write_spaces_as_plus_is_understood(self):
        self.store.space_as_plus = False
        self.run_stage()
        self.assert_complete()

    def test_one_connection_is_enough(self):
        self.run_stage(connections=1, chunk_mib=64)
        self.assert_complete()

    def test_files_and_directories_belong_to_the_user_and_our_folder_to_root(self):
        if os.geteuid() != 0:
            self.skipTest('needs root')
        self.run_stage(user='games', group='daemon')
        for path in [self.directory, *self.directory.rglob('*')]:
            status = path.lstat()
            ours = STATE in path.parts
            self.assertEqual((status.st_uid, status.st_gid), (0, 0) if ours else (5, 1), path)
            if not ours:
                self.assertEqual(stat.S_IMODE(status.st_mode), 0o750 if path.is_dir() else 0o640, path)

    def test_workers_have_no_privilege_no_descriptor_and_no_other_secret(self):
        self.store.faults.set('slow:300000/s')
        stage = self.stage()
        stage.wait_for(lambda: stage.progress and stage.progress[-1][0] > 0, 'progress')
        children = workers_of(stage)
        self.assertEqual(len(children), 4)
        for child in children:
            status = Path(f'/proc/{child}/status').read_text()
            self.assertEqual(re.search(r'CapEff:\s*(\w+)', status)[1].strip('0'), '')
            self.assertEqual(re.search(r'CapPrm:\s*(\w+)', status)[1].strip('0'), '')
            self.assertEqual(re.search(r'NoNewPrivs:\s*(\d)', status)[1], '1')
            if os.geteuid() == 0:
                self.assertEqual(re.search(r'Uid:\s*(\d+)', status)[1], '65534')
            targets = [os.readlink(f'/proc/{child}/fd/{fd}') for fd in os.listdir(f'/proc/{child}/fd')]
            self.assertFalse([t for t in targets if 'memfd' in t], targets)
            self.assertFalse([t for t in targets if t.startswith('/tmp') and '/parts/' not in t], targets)
            self.assertNotIn(b'not for workers 5a1f', memory_of(child))

    def test_workers_die_with_the_stage(self):
        self.store.faults.set('hang@mdbx.dat')
        stage = self.stage()
        self.assertTrue(self.store.wait_for(4, contains='mdbx.dat'))
        children = workers_of(stage)
        self.assertEqual(len(children), 4)
        watched = [os.pidfd_open(child) for child in children]
        self.cut(stage)
        for fd in watched:
            ended, _, _ = select.select([fd], [], [], 5)
            os.close(fd)
            self.assertTrue(ended)


def memory_of(pid):
    """Everything readable and writable in a process."""
    found = b''
    with open(f'/proc/{pid}/mem', 'rb', 0) as memory:
        for line in Path(f'/proc/{pid}/maps').read_text().splitlines():
            span, mode = line.split()[:2]
            if not mode.startswith('rw'):
                continue
            start, end = (int(x, 16) for x in span.split('-'))
            memory.seek(start)
            try:
                found += memory.read(end - start)
            except OSError:
                pass
    return found


class Cut(SnapshotTest):
    def test_a_worker_that_dies_is_replaced(self):
        self.store.faults.set('slow:2000000/s')
        stage = self.stage()
        stage.wait_for(lambda: stage.progress and stage.progress[-1][0] > 0, 'progress')
        os.kill(workers_of(stage)[1], signal.SIGSEGV)
        self.assertEqual(stage.wait(60), DONE, told(stage))
        self.assert_complete()
        self.assertTrue(any('ended by signal 11' in text for text in warnings(stage)), told(stage))

    def test_a_stage_killed_at_any_point_goes_on_and_fetches_no_finished_chunk_again(self):
        self.store.faults.set('slow:700000/s')
        total = sum(size for size, _ in self.expected().values())
        for share in (0, 0.15, 0.4, 0.7):
            stage = self.stage()
            stage.wait_for(lambda: stage.progress and stage.progress[-1][0] >= share * total, f'{share} of it')
            self.cut(stage)
            self.assert_nothing_named()
        self.store.faults.clear()
        journal = (self.directory / STATE / 'journal').read_text().splitlines()
        self.assertGreater(len(journal), 3)
        self.store.forget()
        stage = self.run_stage()
        self.assert_complete()
        self.assertLess(sum(entry['sent'] for entry in self.store.requests(status=206)), total)
        self.assertEqual(self.store.count(contains='list-type'), 0, 'the plan was kept')
        self.assertTrue('going on' in stage.texts())

    def test_a_pinned_snapshot_is_kept_when_the_newest_moves_on(self):
        self.store.faults.set('hang@mdbx.dat')
        stage = self.stage()
        self.assertTrue(self.store.wait_for(4, contains='mdbx.dat'))
        self.cut(stage)
        self.store.faults.clear()
        self.fill('reth-2026-02-01-test')
        self.run_stage()
        self.assert_complete(NAME)

    def test_a_pinned_snapshot_that_is_gone_gives_way_to_the_newest(self):
        self.store.faults.set('hang@mdbx.dat')
        stage = self.stage()
        self.assertTrue(self.store.wait_for(4, contains='mdbx.dat'))
        self.cut(stage)
        self.store.faults.clear()
        self.store.objects[BUCKET].clear()
        self.fill('reth-2026-02-01-test')
        stage = self.run_stage()
        self.assert_complete('reth-2026-02-01-test')
        self.assertTrue(any('gone from the store' in text for text in warnings(stage)))

    def test_connections_that_drop_are_taken_up_where_they_broke(self):
        self.store.faults.set('drop_after:300000:6@mdbx.dat')
        stage = self.run_stage()
        self.assert_complete()
        self.assertTrue(any('trying again' in text for text in warnings(stage)), told(stage))
        sent = sum(entry['sent'] for entry in self.store.requests(status=206))
        self.assertLess(sent, sum(size for size, _ in self.expected().values()) + 6 * 300000 + 100)

    @waits(5)
    def test_errors_of_the_store_are_waited_out(self):
        for status in (500, 503, 429, 408):
            self.store.faults.set(f'status:{status}:2@static_files')
            self.store.faults.set(f'status:{status}:1@list-type', f'status:{status}:1@latest')
            shutil.rmtree(self.directory, ignore_errors=True)
            self.run_stage()
            self.assert_complete()

    def test_a_store_that_is_down_at_first_is_waited_for(self):
        self.store.faults.set('down')
        stage = self.stage()
        stage.wait_for(lambda: warnings(stage), 'warning')
        self.store.faults.clear()
        self.assertEqual(stage.wait(60), DONE, told(stage))
        self.assert_complete()

    @waits(4)
    def test_patience_ends_and_says_why(self):
        self.store.faults.set('status:503@mdbx.dat')
        stage = self.run_stage(AGAIN, patience_s=3)
        self.assertIn('nothing received for 3 s', stage.result)
        self.assertIn('503', stage.result)
        self.assert_nothing_named()

    def test_an_object_that_changes_midway_is_fetched_anew_and_only_that_one(self):
        self.store.faults.set('hang@mdbx.dat')
        stage = self.stage(connections=2)
        self.assertTrue(self.store.wait_for(2, contains='mdbx.dat'))
        key = f'{PREFIX}/{NAME}/db/mdbx.dat'
        self.store.put(BUCKET, key, ('changed', 5 * MIB + 17))
        self.store.faults.clear()
        self.assertEqual(stage.wait(60), DONE, told(stage))
        self.assert_complete()
        self.assertGreaterEqual(self.store.count(status=412), 1)
        self.assertEqual(self.store.count(contains='list-type'), 2)

    def test_a_journal_of_nonsense_only_costs_time(self):
        self.store.faults.set('hang:4@mdbx.dat')
        stage = self.stage()
        self.assertTrue(self.store.wait_for(4, contains='mdbx.dat'))
        self.cut(stage)
        (self.directory / STATE / 'journal').write_bytes(os.urandom(4096))
        self.run_stage()
        self.assert_complete()

    @waits(5)
    def test_a_lost_part_is_fetched_again(self):
        self.store.faults.set('status:503@static_files')
        self.run_stage(AGAIN, patience_s=2)
        self.store.faults.clear()
        parts = self.directory / STATE / 'parts'
        largest = max(parts.iterdir(), key=lambda part: part.stat().st_size)
        largest.unlink()
        stage = self.run_stage()
        self.assertIn('going on, 0 B', stage.texts())
        self.assert_complete()

    def test_a_cut_while_files_get_their_names_is_finished(self):
        self.store.faults.set('status:503@mdbx.dat')
        self.run_stage(AGAIN, patience_s=2)
        self.store.faults.clear()
        state = self.directory / STATE
        kept = (state / 'manifest').read_bytes()
        self.run_stage()
        # As it was with every file named and the mark not yet written.
        head = b'gantry-snapshot-journal 1 ' + hashlib.sha256(kept).hexdigest().encode() + b'\n'
        (state / 'complete').unlink()
        (state / 'journal').write_bytes(head + self.all_done(kept))
        self.store.forget()
        self.run_stage()
        self.assert_complete()
        self.assertEqual(self.store.count(), 0)

    @staticmethod
    def all_done(manifest):
        import zlib
        lines = b''
        files = [line.split(b' ') for line in manifest.splitlines() if line.startswith(b'file ')]
        for number, (_, size, *_) in enumerate(files):
            blocks = -(-int(size) // MIB)
            if blocks:
                body = b'%d 0 %d' % (number, blocks)
                lines += b'%08x %s\n' % (zlib.crc32(body), body)
        return lines


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


class Order(SnapshotTest):
    def test_nothing_is_journaled_named_or_marked_before_it_is_on_the_disk(self):
        if not shutil.which('strace'):
            self.skipTest('no strace')
        trace, program = self.parent / 'trace', self.parent / 'traced'
        calls = 'fdatasync,fsync,syncfs,write,renameat2,renameat'
        program.write_text(f'#!/bin/sh\nexec strace -f -y -o {trace} -e trace={calls} {INIT} "$@"\n')
        program.chmod(0o755)
        self.run_stage(program=str(program))
        synced = journaled = named = 0
        steps = []
        for line in trace.read_text().splitlines():
            if re.search(r'fdatasync\(\d+<.*/parts/', line) and 'unfinished' not in line or 'fdatasync resumed' in line:
                synced += 1
            elif re.search(r'write\(\d+<.*/journal>', line):
                journaled += 1
                self.assertLessEqual(journaled, synced)
                self.assertEqual(named, 0)
            elif 'renameat2(' in line:
                named += 1
                self.assertTrue(line.rstrip().endswith('= 0'), line)
            call = re.search(r'(syncfs|renameat2|renameat)\(', line)
            if call and call[1] + ('"complete.new"' in line) * ' complete' not in steps[-1:]:
                steps.append(call[1] + ('"complete.new"' in line) * ' complete')
        self.assertGreater(journaled, 12)
        self.assertEqual(named, len(self.expected()))
        self.assertEqual(steps, ['renameat', 'syncfs', 'renameat2', 'syncfs', 'renameat complete'])
        self.assert_complete()


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
        stage = self.run_stage(AGAIN, patience_s=3)
        for word in words:
            self.assertIn(word, ' '.join([stage.result, *warnings(stage)]))
        self.assert_nothing_named()

    def test_ranges_ignored(self):
        def whole(request, response):
            key = request.path.partition(f'/{BUCKET}/')[2]
            found = self.store.objects[BUCKET][urllib.parse.unquote(key)]
            return Response(200, headers={'ETag': found.etag}, stream=found.content.read(0, found.size), size=found.size)
        self.lie(whole)
        self.assert_told('changes while it is fetched', 'the store ignores ranges')

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
                              patience_s=2)

    def test_a_sync_over_https_with_the_right_authority_is_identical(self):
        self.run_tls(DONE, TOP / 'qemu/pki/hub-ca.pem')
        self.assert_complete()

    def test_another_authority_is_refused(self):
        self.assertIn('certificate', self.run_tls(AGAIN, TOP / 'qemu/pki/other-ca.pem').result.lower())
        self.assertEqual(self.secure.count(), 0)

    def test_another_name_than_the_certificates_is_refused(self):
        subprocess.run(['ip', 'address', 'add', '10.77.0.9/32', 'dev', 'lo'], check=True)
        wrong = S3('10.77.0.9', 9000, tls_port=9443)
        wrong.objects = self.store.objects
        wrong.start()
        self.addCleanup(wrong.stop)
        self.run_tls(AGAIN, TOP / 'qemu/pki/hub-ca.pem', host='10.77.0.9')
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
        self.run_stage(AGAIN, patience_s=2)
        self.store.faults.clear()
        (self.directory / 'reth.toml').write_bytes(b'mine')
        stage = self.run_stage(NEVER)
        self.assertIn('reth.toml', stage.result)
        self.assertEqual((self.directory / 'reth.toml').read_bytes(), b'mine')

    def test_a_symlink_in_the_way_is_not_followed(self):
        elsewhere = self.parent / 'elsewhere'
        elsewhere.mkdir()
        self.store.faults.set('status:503@mdbx.dat')
        self.run_stage(AGAIN, patience_s=2)
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
            self.assertIn('makes no sense', stage.result)
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
        self.assertIn('belongs to somebody else', self.run_stage(NEVER).result)

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
