# SPDX-License-Identifier: GPL-2.0-or-later
"""The snapshot stage and half a database: what a store loses in the meantime, what is lost on the disk later, and what another
program left half-done is never taken for whole. Nothing is deleted, and what the node changes by itself is no loss."""

import os
import shutil
import unittest

from peers import BUCKET, PREFIX
from snapshots import MIB, NAME, STATE, SnapshotTest, digests, told, warnings
from support import AGAIN, INIT, NEVER

NEWER = 'reth-2026-02-01-test'
MDBX = 'db/mdbx.dat'


class WholeTest(SnapshotTest):
    size = 3 * MIB

    def key(self, path, name=NAME):
        return f'{PREFIX}/{name}/{path}'

    def lose(self, path):
        """The store no longer has it."""
        del self.store.objects[BUCKET][self.key(path)]


class Store(WholeTest):
    def lose_during_the_sync(self, *paths):
        self.store.faults.set('hang@mdbx.dat')
        stage = self.stage()
        self.assertTrue(self.store.wait_for(1, contains='mdbx.dat'))
        for path in paths:
            self.lose(path)
        self.store.faults.clear()
        return stage

    def test_a_snapshot_that_loses_objects_during_the_sync_is_never_complete(self):
        others = ['static_files/empty', 'static_files/static_file_headers_0_499999']
        stage = self.lose_during_the_sync(MDBX, *others)
        for _ in range(2):
            self.assertEqual(stage.wait(60), AGAIN, told(stage))
            self.assertIn(f'snapshot {NAME}: {MDBX} is gone from the store, and 2 more files', stage.result)
            self.assert_nothing_named()
            self.assertFalse((self.directory / STATE / 'complete').exists())
            stage = self.stage()            # the next boot does not skip it either
        self.assertEqual(stage.wait(60), AGAIN, told(stage))
        self.fill(NAME)
        self.run_stage()
        self.assert_complete()

    def test_a_snapshot_that_loses_objects_gives_way_to_the_newest(self):
        self.fill(NEWER, latest=False)
        self.store.put(BUCKET, f'{PREFIX}/latest_version.meta.txt', NEWER.encode())
        self.store.put(BUCKET, f'{PREFIX}/old.txt', NAME.encode())
        self.store.faults.set('hang@mdbx.dat')
        stage = self.stage(latest='old.txt')
        self.assertTrue(self.store.wait_for(1, contains='mdbx.dat'))
        self.cut(stage)
        self.store.faults.clear()
        self.lose(MDBX)
        stage = self.run_stage()
        self.assert_complete(NEWER)
        self.assertTrue(any(f'{MDBX} is gone from the store; taking the newest' in text for text in warnings(stage)), told(stage))

    def test_a_plan_without_what_is_required_is_refused_and_fetched_nothing_of(self):
        self.lose(MDBX)
        stage = self.run_stage(AGAIN)
        self.assertIn(f'no {MDBX} in it, which is required', stage.result)
        self.assertEqual(self.store.count(status=206), 0)
        self.run_stage(AGAIN, required=['db/database.version', 'data.db'])
        self.run_stage(required=[])
        self.assert_complete()

    def test_a_required_path_that_no_plan_can_have_is_refused(self):
        for path in ('/db/mdbx.dat', '../x', 'db/', 'db/mdbx.lck'):
            self.assertIn('required', self.run_stage(NEVER, required=[path]).result)

    def test_a_folder_marker_with_bytes_in_it_is_a_folder_marker(self):
        marks = ['', 'db/', 'empty-dir/']
        for size, name in enumerate(marks):
            self.store.put(BUCKET, self.key(name), b'\n' * size)
        self.run_stage()
        self.assertEqual(digests(self.directory), {path: found for path, found in self.expected().items() if path not in marks})

    def test_an_object_that_only_ends_in_a_slash_is_not_lost_in_silence(self):
        self.store.put(BUCKET, self.key('db/'), b'x' * 4097)
        self.assertIn('file refused', self.run_stage(NEVER).result)


class Disk(WholeTest):
    def setUp(self):
        super().setUp()
        self.run_stage()
        self.store.forget()

    def lowest_receipts(self, count):
        found = sorted((self.directory / 'static_files').glob('static_file_receipts_*'),
                       key=lambda path: int(path.name.split('_')[3]))
        return found[:count] if count > 0 else found[count:]

    def assert_lost(self, *words):
        stage = self.run_stage(NEVER)
        for word in ('the snapshot was complete and is no longer', *words):
            self.assertIn(word, stage.result)
        self.assertEqual(self.store.count(), 0)

    def test_each_planned_file_that_is_missing_or_cut_is_noticed_at_the_next_boot(self):
        third = self.lowest_receipts(3)[2].relative_to(self.directory).as_posix()
        for path in (MDBX, 'db/database.version', 'static_files/empty', third, 'static_files/static_file_headers_0_499999'):
            kept = self.parent / 'kept'
            os.rename(self.directory / path, kept)
            self.assert_lost(f'{path} is missing')
            os.rename(kept, self.directory / path)
        for path in (MDBX, 'db/database.version', third):
            whole = (self.directory / path).read_bytes()
            (self.directory / path).write_bytes(whole[:-1])
            self.assert_lost(f'{path} has {len(whole) - 1} bytes instead of {len(whole)}')
            (self.directory / path).write_bytes(whole)
        self.assertTrue(self.run_stage().skipped)

    def test_several_are_counted_and_an_operator_may_use_it_as_it_is(self):
        for path in (MDBX, 'db/database.version'):
            (self.directory / path).unlink()
        before = digests(self.directory)
        self.assert_lost('database.version is missing, and 1 more files')
        stage = self.run_stage(existing='any')
        self.assertTrue(stage.skipped)
        self.assertTrue(any('is missing' in text and 'used as it is' in text for text in warnings(stage)), told(stage))
        self.assertEqual(digests(self.directory), before)

    def test_what_reth_changes_by_itself_is_no_loss(self):
        with open(self.directory / MDBX, 'ab') as database:
            database.write(b'x' * MIB)
        (self.directory / 'reth.toml').write_bytes(b'')
        for path in self.lowest_receipts(3):                                # pruned from below
            path.unlink()
        self.lowest_receipts(-1)[0].write_bytes(b'the last range is written on')
        (self.directory / 'static_files/static_file_receipts_90000000_90499999').write_bytes(b'a new range')
        (self.directory / 'db/mdbx.lck').write_bytes(b'')
        self.assertTrue(self.run_stage().skipped)

    def test_all_ranges_of_a_segment_may_be_pruned_but_not_all_of_it_lost(self):
        for path in self.lowest_receipts(1000):
            path.unlink()
        self.assert_lost('static_file_receipts')
        (self.directory / 'static_files/static_file_receipts_90000000_90499999').write_bytes(b'a new range')
        self.assertTrue(self.run_stage().skipped)

    def test_what_another_node_changes_is_named_by_an_option(self):
        (self.directory / 'static_files/empty').unlink()
        self.assert_lost()
        self.assertTrue(self.run_stage(changes=['static_files/*']).skipped)

    def test_an_old_mark_of_a_snapshot_without_what_is_required_does_not_hold(self):
        self.assertIn('data.db was never in it', self.run_stage(NEVER, required=['data.db']).result)


class Others(WholeTest):
    def assert_half(self, files, *words):
        shutil.rmtree(self.directory, ignore_errors=True)
        for name, content in files.items():
            (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
            (self.directory / name).write_bytes(content)
        before = digests(self.directory)
        stage = self.run_stage(NEVER)
        for word in ('not a whole database', *words):
            self.assertIn(word, stage.result)
        stage = self.run_stage(existing='any')
        self.assertTrue(stage.skipped)
        self.assertTrue(any('used as it is' in text for text in warnings(stage)), told(stage))
        self.assertEqual(digests(self.directory), before)
        self.assertFalse((self.directory / STATE).exists())
        self.assertEqual(self.store.count(), 0)

    def test_what_another_program_left_half_done_is_not_a_database(self):
        whole = {MDBX: b'x', 'static_files/a': b'y'}
        self.assert_half({'reth.toml': b'x'}, f'{MDBX} is missing')
        self.assert_half({'reth.log': b'x'}, f'{MDBX} is missing')
        self.assert_half({'static_files/a': b'y', 'db/database.version': b'2'}, f'{MDBX} is missing')
        self.assert_half({**whole, MDBX: b''}, f'{MDBX} is empty')
        self.assert_half({**whole, 'static_files/b.1a2b3c4d.partial': b''}, 'b.1a2b3c4d.partial is a download')
        self.assert_half({**whole, 'snapshot.tar.part': b''}, 'snapshot.tar.part is a download')


class Full(WholeTest):
    def test_a_disk_that_is_full_when_the_mark_is_written_is_not_for_good(self):
        if not shutil.which('strace'):
            self.skipTest('no strace')
        program = self.parent / 'full'
        program.write_text(f'#!/bin/sh\nexec strace -f -o /dev/null -P complete.new -e trace=openat '
                           f'-e inject=openat:error=ENOSPC {INIT} "$@"\n')
        program.chmod(0o755)
        stage = self.run_stage(AGAIN, program=str(program))
        self.assertIn('writing complete: No space left', stage.result)
        self.store.forget()
        self.run_stage()
        self.assert_complete()
        self.assertEqual(self.store.count(), 0)


if __name__ == '__main__':
    unittest.main()
