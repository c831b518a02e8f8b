# SPDX-License-Identifier: GPL-2.0-or-later
"""The snapshot stage against a store that checks every signature: whole, cut and gone on with, in an order that a power cut
cannot harm. What arrived is compared by SHA-256 with what the store serves."""

import hashlib
import os
import re
import select
import shutil
import signal
import stat
import unittest
from pathlib import Path

import intruder
from peers import BUCKET, PREFIX
from snapshots import MIB, NAME, STATE, SnapshotTest, digests, patience, told, warnings, workers_of
from support import AGAIN, DONE, INIT, waits
from qemu.accounts import ACCOUNTS

OWN = ACCOUNTS['gantry-snapshot']


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
            expected = ((0, 0) if path.name == STATE else (OWN, OWN)) if ours else (5, 1)
            self.assertEqual((status.st_uid, status.st_gid), expected, path)
            if not ours:
                self.assertEqual(stat.S_IMODE(status.st_mode), 0o750 if path.is_dir() else 0o640, path)

    def test_without_a_user_all_of_it_belongs_to_root(self):
        self.run_stage()
        for path in [self.directory, *self.directory.rglob('*')]:
            if STATE not in path.parts:
                self.assertEqual((path.lstat().st_uid, path.lstat().st_gid), (0, 0), path)

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
                self.assertEqual(re.search(r'Uid:\s*(\d+)', status)[1], str(OWN))
                attacker = intruder.Intruder(child)
                for pid in (stage.pid, *children):
                    if pid != child:
                        self.assertEqual(attacker.error(intruder.KILL, pid, 0), 'EPERM')
                for path in (self.directory / STATE / 'manifest', self.directory / 'new'):
                    self.assertEqual(attacker.error(intruder.OPEN, str(path), os.O_RDWR | os.O_CREAT, 0o600), 'EACCES')
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
        self.assertTrue('resuming' in stage.texts())

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
        seconds = patience(3)
        stage = self.run_stage(AGAIN, patience_s=seconds)
        self.assertIn(f'nothing received for {seconds} s', stage.result)
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
        self.run_stage(AGAIN, patience_s=patience(2))
        self.store.faults.clear()
        parts = self.directory / STATE / 'parts'
        largest = max(parts.iterdir(), key=lambda part: part.stat().st_size)
        largest.unlink()
        stage = self.run_stage()
        self.assertIn('resuming, 0 B', stage.texts())
        self.assert_complete()

    def test_a_cut_while_files_get_their_names_is_finished(self):
        self.store.faults.set('status:503@mdbx.dat')
        self.run_stage(AGAIN, patience_s=patience(2))
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


if __name__ == '__main__':
    unittest.main()
