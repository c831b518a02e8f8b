# SPDX-License-Identifier: GPL-2.0-or-later
"""What the process of every stage is, whatever its type: what it refuses, keeps, and leaves behind."""

import os
import resource
import subprocess
import unittest

from support import AGAIN, HEAD, INIT, NEVER, TAKEN, Stage, private_network


def status_of(pid):
    with open(f'/proc/{pid}/status', encoding='utf-8') as file:
        return dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)


class Role(unittest.TestCase):
    def test_an_unknown_type_is_refused_with_a_reason(self):
        with Stage('nonsense') as stage:
            self.assertEqual(stage.wait(), NEVER)
            self.assertEqual(stage.result, 'no stage type "nonsense" in this binary')

    def test_an_unknown_mode_is_refused(self):
        for mode in ('nonsense', 'CHECK'):
            with Stage('render', {}, mode=mode) as stage:
                self.assertEqual(stage.wait(), NEVER)

    def test_options_that_are_no_object_are_refused(self):
        for options in (b'', b'[]', b'{"a":1', b'{} {}'):
            with Stage('network', options) as stage:
                self.assertEqual(stage.wait(), NEVER, options)
                self.assertIn('reading the options failed', stage.result)

    def test_without_a_report_socket_it_ends_and_says_so(self):
        ran = subprocess.run([INIT, 'stage', 'network', 'network'], capture_output=True, stdin=subprocess.DEVNULL)
        self.assertEqual(ran.returncode, NEVER)
        self.assertIn(b'report socket or options missing', ran.stderr)

    def test_it_keeps_only_the_capabilities_of_its_type(self):
        with Stage('render', {'files': [{'template': '/none', 'path': '/none'}]}) as stage:
            stage.wait_for(lambda: stage.asked == ['config'], 'take of config')
            status = status_of(stage.pid)
        for name in ('CapPrm', 'CapEff', 'CapBnd'):
            self.assertEqual(int(status[name], 16), 0, name)       # its partner that writes has some
        self.assertEqual((status['CapInh'], status['CapAmb']), ('0' * 16, '0' * 16))
        self.assertEqual(status['NoNewPrivs'], '1')

    def test_it_has_no_descriptors_but_its_own_and_leaves_no_core(self):
        private_network()
        with Stage('network', {'interface': 'none0'}) as stage:
            stage.wait_result('no network interface')
            links = {os.readlink(f'/proc/{stage.pid}/fd/{fd}').split(':')[0]
                     for fd in os.listdir(f'/proc/{stage.pid}/fd')}
            self.assertEqual(links, {'/dev/null', 'pipe', 'socket', 'anon_inode'})
            with open(f'/proc/{stage.pid}/limits', encoding='utf-8') as file:
                self.assertRegex(file.read(), r'Max core file size +0 +0 ')

    def test_a_stage_that_takes_secrets_locks_its_memory(self):
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (ValueError, OSError):
            self.skipTest('this machine does not let root raise the limit of locked memory')
        with Stage('render', {'files': [{'template': '/none', 'path': '/none'}]}) as stage:
            stage.wait_for(lambda: stage.asked == ['config'], 'take of config')
            self.assertGreater(int(status_of(stage.pid)['VmLck'].split()[0]), 0)

    def test_a_malformed_answer_is_an_error_and_not_a_secret(self):
        for message in (b'', b'\0' * 7, HEAD.pack(TAKEN, 0, 0, 6) + b'config', HEAD.pack(TAKEN, 0, 0, 900) + b'config'):
            with Stage('render', {'files': [{'template': '/none', 'path': '/none'}]}) as stage:
                stage.wait_for(lambda: stage.asked == ['config'], 'take of config')
                stage.send_raw(message or b'x')
                self.assertEqual(stage.wait(), AGAIN)
                self.assertIn('configuration not received', stage.result)


if __name__ == '__main__':
    unittest.main()
