# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage exec: what becomes of a program's lines, status and life."""

import os
import select
import unittest

from support import AGAIN, DONE, NEVER, Stage


class Exec(unittest.TestCase):
    def run_shell(self, script, **more):
        with Stage('exec', {'command': ['/bin/sh', '-c', script], **more}) as stage:
            return stage.wait(), stage.result, stage

    def test_lines_become_events_and_the_last_is_the_reason(self):
        status, result, stage = self.run_shell('echo one; echo two >&2; printf three')
        self.assertEqual((status, result), (DONE, 'three'))
        self.assertEqual(stage.lines, ['one', 'two', 'three'])

    def test_the_exit_status_is_the_stage_s(self):
        for code, expected in ((0, DONE), (75, AGAIN), (125, NEVER), (3, AGAIN)):
            status, result, _ = self.run_shell(f'echo why; exit {code}')
            self.assertEqual(status, expected)
            self.assertEqual(result, 'why' if code == 0 else f'/bin/sh exit status {code}: why')

    def test_the_last_lines_are_in_the_reason(self):
        _, result, _ = self.run_shell('for i in 1 2 3 4 5; do echo line $i; done; exit 1')
        self.assertEqual(result, '/bin/sh exit status 1: line 3 / line 4 / line 5')

    def test_a_signal_is_told(self):
        status, result, _ = self.run_shell('echo going; kill -9 $$')
        self.assertEqual((status, result), (AGAIN, '/bin/sh killed by SIGKILL: going'))

    def test_a_program_that_is_not_there_is_told(self):
        with Stage('exec', {'command': ['/no/such/program']}) as stage:
            self.assertEqual(stage.wait(), AGAIN)
            self.assertEqual(stage.result, '/no/such/program exit status 127: '
                             '/no/such/program: No such file or directory')

    def test_it_runs_as_the_user(self):
        self.assertEqual(self.run_shell('id -u; id -g', user='nobody')[2].lines, ['65534', '65534'])
        self.assertEqual(self.run_shell('true', user='nosuchuser')[:2], (NEVER, 'no user nosuchuser'))

    def test_no_descriptor_but_the_three_reaches_it(self):
        self.assertEqual(self.run_shell('ls /proc/self/fd | wc -l')[1], '4')      # ls has one for the folder

    def test_with_protocol_report_it_speaks_for_itself(self):
        script = ('import socket, struct; s = socket.socket(fileno=3); '
                  's.send(struct.pack("=HBBI", 1, 2, 0, 5) + b"hello"); '
                  's.send(struct.pack("=HBBI", 3, 0, 1, 3) + b"own"); raise SystemExit(75)')
        with Stage('exec', {'command': ['/usr/bin/python3', '-c', script], 'protocol': 'report'}) as stage:
            self.assertEqual(stage.wait(), AGAIN)
            self.assertEqual((stage.events[0].level, stage.events[0].text), ('notice', 'hello'))
            self.assertEqual(stage.results, ['own'])
            self.assertTrue(stage.skipped)

    def test_it_dies_with_the_stage(self):
        with Stage('exec', {'command': ['/bin/sh', '-c', 'echo $$; exec sleep 1000']}) as stage:
            stage.wait_for(lambda: stage.lines, 'line')
            pid = int(stage.lines[0])
            pidfd = os.pidfd_open(pid)
            stage.kill(9)
            stage.wait()
        self.assertTrue(select.select([pidfd], [], [], 5)[0], 'the program outlived its stage')

    def test_a_long_line_is_cut_and_a_flood_does_not_hang(self):
        status, result, stage = self.run_shell('head -c 100000 /dev/zero | tr "\\0" x; echo; seq 20000')
        self.assertEqual((status, result), (DONE, '20000'))
        self.assertEqual(len(stage.lines), 20001)
        self.assertEqual(len(stage.lines[0]), 1023)


if __name__ == '__main__':
    unittest.main()
