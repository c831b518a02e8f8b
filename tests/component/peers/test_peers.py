# SPDX-License-Identifier: GPL-2.0-or-later
"""What all emulated peers have in common: every fault, and the command line that starts and breaks them. A peer that is
too lenient would hide a mistake of ours."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from peers import BUCKET, HERE, PREFIX, PeerTest, curl
from support import TOP
from qemu.peers import faults
from qemu.peers.control import ControlClient
from qemu.peers.hub import API, Hub


class FaultTexts(unittest.TestCase):
    def test_every_form_parses_and_prints_back(self):
        for text in ('down', 'hang', 'hang:2', 'slow:0.5', 'slow:65536/s:3', 'status:403:3', 'status:503@mdbx',
                     'garbage:random', 'drop_after:1000000:2@db/mdbx.dat', 'tls:expired', 'offset:-7200'):
            self.assertEqual(str(faults.Fault.parse(text)), text)
        self.assertEqual(faults.Fault.parse('drop-after:64k').argument, 65536)

    def test_wrong_texts_are_refused_with_a_reason(self):
        for text in ('', 'upside-down', 'status', 'status:403:0', 'status:403:x', 'slow:fast', 'garbage:nice',
                     'drop_after:-1', 'tls:old', 'down:1', 'status:403:1:1'):
            with self.assertRaises(faults.FaultError, msg=text):
                faults.Fault.parse(text)

    def test_times_are_used_up_and_part_selects(self):
        switches = faults.Faults()
        switches.set('status:403:2', 'status:500@special')
        self.assertEqual(switches.take('status', '/special').argument, '403')
        self.assertEqual(switches.take('status', '/x').argument, '403')
        self.assertIsNone(switches.take('status', '/x'))
        self.assertEqual(switches.take('status', '/special').argument, '500')


class EveryHttpPeer(PeerTest):
    """Faults are the server's, so one peer stands for all; each peer's own errors are in its own tests."""

    def setUp(self):
        self.peer = self.started(Hub(HERE, 0, 0))
        self.url = f'{self.peer.url(1)}{API}/configuration'

    def test_down_refuses_and_comes_back_on_the_same_port(self):
        self.peer.faults.set('down')
        curl(self.url, code=7)
        self.peer.faults.clear('down')
        self.assertEqual(curl(self.url)[0], 200)

    def test_down_from_the_start(self):
        self.peer.stop()
        self.peer.faults.set('down')
        self.peer.start()
        curl(self.url, code=7)
        self.peer.faults.clear()
        self.assertEqual(curl(self.url)[0], 200)

    def test_hang_never_answers_until_it_is_cleared(self):
        self.peer.faults.set('hang')
        curl('-m', '0.5', self.url, code=28)
        self.peer.faults.clear()
        self.assertEqual(curl(self.url)[0], 200)

    def test_hang_for_one_request(self):
        self.peer.faults.set('hang:1')
        curl('-m', '0.5', self.url, code=28)
        self.assertEqual(curl(self.url)[0], 200)

    def test_slow_answer(self):
        self.peer.faults.set('slow:0.4')
        started = time.monotonic()
        self.assertEqual(curl(self.url)[0], 200)
        self.assertGreaterEqual(time.monotonic() - started, 0.4)

    def test_slow_body_at_a_rate(self):
        self.peer.document = b'"' + b'a' * 50_000 + b'"'
        self.peer.faults.set('slow:100k/s')
        started = time.monotonic()
        self.assertEqual(len(curl(self.url)[1]), 50_002)
        self.assertGreater(time.monotonic() - started, 0.35)

    def test_status_for_some_requests_then_well(self):
        self.peer.faults.set('status:403:2')
        self.assertEqual([curl(self.url)[0] for _ in range(3)], [403, 403, 200])
        self.assertEqual(self.peer.count(status=403), 2)
        self.assertEqual(self.peer.count(contains='configuration', status=200), 1)

    def test_garbage_of_every_kind_is_what_it_says(self):
        well = json.loads(curl(self.url)[1])
        for kind in faults.GARBAGE_KINDS:
            if kind in ('huge', 'http'):
                continue
            self.peer.faults.set(f'garbage:{kind}:1')
            body = curl(self.url)[1]
            if kind == 'wrong':
                self.assertNotEqual(json.loads(body), well)
            else:
                with self.assertRaises((ValueError, RecursionError), msg=kind):
                    json.loads(body)
        self.peer.faults.set('garbage:http:1')
        self.assertIn(curl('--http0.9', self.url, code=None)[0], (0, 200))
        self.assertEqual(json.loads(curl(self.url)[1]), well)

    def test_huge_garbage_is_far_beyond_any_bound(self):
        self.peer.faults.set('garbage:huge')
        curl('--max-filesize', '1048576', self.url, code=63)

    def test_drop_after_cuts_at_the_byte_as_often_as_asked(self):
        self.peer.faults.set('drop_after:100:2')
        for _ in range(2):
            self.assertEqual(len(curl(self.url, code=18)[1]), 100)
        self.assertGreater(len(curl(self.url)[1]), 100)
        self.assertEqual([entry['sent'] for entry in self.peer.requests()][:2], [100, 100])

    def test_two_requests_on_one_connection(self):
        status, body = curl(self.url, self.url)
        self.assertEqual(status, 200)
        self.assertEqual(len(self.peer.requests()), 2)

    def test_malformed_requests_get_400_and_harm_nothing(self):
        for raw in (b'\r\n\r\n', b'GET / HTTP/9\r\n\r\n', b'GET /\r\n\r\n', b'GET / HTTP/1.1\r\nbad header\r\n\r\n',
                    b'POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n', b'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n',
                    b'GET / HTTP/1.1\r\nA: ' + b'x' * 70_000 + b'\r\n\r\n', os.urandom(300) + b'\n\n'):
            with socket.create_connection(self.peer.addresses[1], 5) as connection:
                connection.sendall(raw)
                try:
                    self.assertIn(connection.recv(100)[:12], (b'HTTP/1.1 400', b''), raw[:20])
                except ConnectionResetError:
                    pass
        self.assertEqual(curl(self.url)[0], 200)

    def test_a_test_can_wait_for_a_request(self):
        self.assertFalse(self.peer.wait_for(1, timeout_s=0.05))
        curl(self.url)
        self.assertTrue(self.peer.wait_for(1, timeout_s=5, status=200))
        self.peer.forget()
        self.assertEqual(self.peer.count(), 0)


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.socket = f'{self.folder.name}/control'
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'qemu.peers', '--only', 'wireserver,hub,s3,imds', '--hub', f'{HERE}:0', '--s3', f'{HERE}:0',
             '--wireserver', f'{HERE}:0', '--imds', f'{HERE}:0', '--control', self.socket, '--snapshot', '1M',
             '--fault', 'hub=status:403:1', '--disk-key', 'abc'],
            cwd=TOP, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.lines = []
        for line in self.process.stdout:
            if line == 'ready\n':
                break
            self.lines.append(line)

    def test_peers_can_be_broken_watched_and_stopped_from_outside(self):
        at = {line.split()[0]: line.split()[1:] for line in self.lines}
        self.assertEqual(set(at), {'wireserver', 'hub', 's3', 'imds'})
        url = f'{at["hub"][1]}{API}/configuration'
        with ControlClient(self.socket) as control:
            self.assertEqual(control.peers()['hub']['faults'], ['status:403:1'])
            self.assertEqual(curl(url)[0], 403)
            self.assertEqual(json.loads(curl(url)[1])['disk_encryption']['key'], 'abc')
            control.fault('hub', 'down')
            curl(url, code=7)
            control.clear('hub')
            control.set('hub', allowed=False)
            self.assertEqual(curl(url)[0], 403)
            self.assertTrue(control.wait_for('hub', 2, timeout_s=5, status=403))
            self.assertEqual([r['status'] for r in control.requests('hub')], [403, 200, 403])
            self.assertEqual(control.count('hub', status=200), 1)
            self.assertEqual(control.health(), [])
            directory = control.put_snapshot(size=1000, directory='another')
            self.assertIn('reth.toml', control.manifest(BUCKET, f'{PREFIX}/{directory}/'))
            for wrong in (lambda: control.fault('hub', 'x'), lambda: control.fault('nobody', 'down'),
                          lambda: control.set('hub', log=1), lambda: control.ask('dance')):
                self.assertRaises(ValueError, wrong)
            control.ask('stop')
        self.assertEqual(self.process.wait(10), 0)

    def test_sigterm_ends_it(self):
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(10), 0)


if __name__ == '__main__':
    unittest.main()
