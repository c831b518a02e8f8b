# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage clock with a real chronyd and an emulated time source; the clock of this machine is never touched."""

import os
import subprocess
import time
import unittest

from peers import PeerTest
from support import AGAIN, DONE, Stage, private_network, temporary_folder, waits
from qemu.peers.ntp import NtpServer
from qemu.peers.platform import configure_network

CHRONY = '''{source}
bindcmdaddress {folder}/chronyd.sock
cmdport {port}
pidfile {folder}/chronyd.pid
'''


CHRONYD = 65534      # nobody and nogroup of this machine


class Clock(PeerTest):
    def setUp(self):
        private_network()
        configure_network()
        self.folder = temporary_folder(self)
        os.chown(self.folder, CHRONYD, CHRONYD)
        os.chmod(self.folder, 0o770)
        self.socket = f'{self.folder}/chronyd.sock'

    def chronyd(self, source='server 10.77.0.3 iburst minpoll 0 maxpoll 0', port=0):
        with open(f'{self.folder}/chrony.conf', 'w', encoding='utf-8') as file:
            file.write(CHRONY.format(source=source, folder=self.folder, port=port))
        process = subprocess.Popen(['chronyd', '-4', '-x', '-d', '-u', 'nobody', '-U', '-f', f'{self.folder}/chrony.conf'],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=CHRONYD, group=CHRONYD,
                                   umask=0o007)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_it_is_done_once_synchronised(self):
        self.started(NtpServer())
        with Stage('clock', {'socket': self.socket}) as stage:
            stage.wait_result('chronyd is not running')
            self.chronyd()
            self.assertEqual(stage.wait(40), DONE)
            self.assertRegex(stage.result, r'^offset [+-]0\.\d{6} s, stratum [45], source 10\.77\.0\.3$')
            self.assertEqual(stage.facts, {**stage.facts, 'synchronised': 'true', 'source': '10.77.0.3'})
            self.assertLess(abs(float(stage.facts['offset_s'])), 1)
            self.assertIn(stage.facts['stratum'], ('4', '5'))
            self.assertIn('it offers no notification', stage.events[0].text)
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith('gantry')], [])

    def test_a_source_marked_offline_is_asked_once_the_stage_runs(self):
        peer = self.started(NtpServer())
        self.chronyd('server 10.77.0.3 iburst minpoll 0 maxpoll 0 offline')
        while not os.path.exists(self.socket):
            time.sleep(0.01)
        self.assertEqual(len(peer.log), 0)
        with Stage('clock', {'socket': self.socket}) as stage:
            self.assertEqual(stage.wait(40), DONE)
            self.assertIn('source 10.77.0.3', stage.result)
            self.assertNotIn('not set online', stage.texts())

    def test_it_asks_by_udp_too(self):
        self.started(NtpServer())
        self.chronyd(port=10323)
        with Stage('clock', {'socket': '127.0.0.1:10323'}) as stage:
            self.assertEqual(stage.wait(40), DONE)
            self.assertIn('source 10.77.0.3', stage.result)

    @waits(12)
    def test_a_source_that_is_too_far_off_is_not_synchronised(self):
        # -x and no makestep: the clock of this machine is never touched, so the offset stays.
        self.started(NtpServer(), 'offset:500')
        self.chronyd()
        with Stage('clock', {'socket': self.socket, 'timeout_s': 12, 'on_timeout': 'fail'}) as stage:
            self.assertEqual(stage.wait(30), AGAIN)
            self.assertRegex(stage.result, r'^offset [+-](499|500)\.\d+ s is more than 1 s after 12 s$')

    def test_the_machine_s_own_clock_is_no_reference(self):
        self.chronyd('local stratum 3')
        with Stage('clock', {'socket': self.socket, 'timeout_s': 2, 'on_timeout': 'continue'}) as stage:
            self.assertEqual(stage.wait(), DONE)
            self.assertEqual(stage.result, 'not synchronised: not synchronised: no time source selected yet')
            self.assertEqual(stage.facts, {'synchronised': 'false'})
            self.assertEqual(stage.events[-1].level, 'warning')

    def test_without_chronyd_it_fails_where_that_is_asked_for(self):
        with Stage('clock', {'socket': self.socket, 'timeout_s': 1, 'on_timeout': 'fail'}) as stage:
            self.assertEqual(stage.wait(), AGAIN)
            self.assertEqual(stage.result, f'chronyd is not running ({self.socket}) after 1 s')


if __name__ == '__main__':
    unittest.main()
