# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage clock with a real chronyd and an emulated time source; the clock of this machine is never touched."""

import os
import unittest

import intruder
import netdaemons
from intruder import Intruder
from peers import PeerTest
from support import AGAIN, DONE, INIT, Stage, private_network, waits
from qemu.peers.ntp import NtpServer
from qemu.peers.platform import configure_network

CHRONY = '''{source}
bindcmdaddress {folder}/chronyd.sock
cmdport {port}
pidfile {folder}/chronyd.pid
'''


CHRONY_ID = netdaemons.ACCOUNTS['chrony']


class Clock(PeerTest):
    def setUp(self):
        private_network()
        configure_network()
        netdaemons.lay_out()
        self.folder = '/run/chrony'
        os.mkdir(self.folder)           # as PID 1 has made it before chronyd first started
        os.chown(self.folder, CHRONY_ID, CHRONY_ID)
        os.chmod(self.folder, 0o770)
        self.socket = f'{self.folder}/chronyd.sock'

    def chronyd(self, source='server 10.77.0.3 iburst minpoll 0 maxpoll 0', port=0):
        """As the image starts it, but that it leaves this machine's clock alone (-x)."""
        with open('/etc/chrony.conf', 'w', encoding='utf-8') as file:
            file.write(CHRONY.format(source=source, folder=self.folder, port=port))
        process = netdaemons.launch(self, 'chronyd', ['-4', '-x'])
        self.assertEqual(process.reason, '')
        return process

    def ready(self):
        netdaemons.wait_for('socket', lambda: os.path.exists(self.socket))

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
        self.ready()
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

    def test_its_one_process_has_the_rights_that_the_documentation_lists(self):
        process = self.chronyd()
        self.ready()
        row = ('chronyd', netdaemons.table()['chronyd'])
        # Its filter comes a moment after its socket.
        netdaemons.wait_for('rights of the table', lambda: netdaemons.seen(process.pid) == row)
        self.assertEqual(netdaemons.own('chronyd'), [process.pid])
        self.assertEqual({(s.st_uid, s.st_gid, s.st_mode & 0o777) for s in map(os.stat, (self.folder, self.socket))},
                         {(CHRONY_ID, CHRONY_ID, 0o770)})

    def test_who_breaks_into_it_opens_nothing_else(self):
        with open('/run/readable', 'w', encoding='utf-8') as file:
            file.write('by all\n')
        os.mkdir('/run/others')
        os.chown('/run/others', CHRONY_ID, CHRONY_ID)
        process = self.chronyd()
        self.ready()
        attacker = Intruder(process.pid)
        self.assertEqual(attacker.error(intruder.OPEN, '/run/readable', os.O_RDONLY), 'EACCES')
        self.assertEqual(attacker.error(intruder.OPEN, '/run/others/new', os.O_WRONLY | os.O_CREAT, 0o600), 'EACCES')
        self.assertEqual(attacker.error(intruder.OPEN, '/etc/chrony.conf', os.O_RDONLY), '')

    def test_a_stage_with_a_user_of_its_own_is_served_in_chronyds_group_alone(self):
        self.started(NtpServer())
        self.chronyd()
        self.ready()
        for gid, status, result in ((CHRONY_ID, DONE, 'source 10.77.0.3'), (960, AGAIN, 'refuses this user')):
            with open('/run/as-user', 'w', encoding='utf-8') as file:
                file.write(f'#!/bin/sh\nexec setpriv --reuid=960 --regid={gid} --clear-groups {INIT} "$@"\n')
            os.chmod('/run/as-user', 0o755)
            with Stage('clock', {'timeout_s': 0 if status == DONE else 1, 'on_timeout': 'fail'}, program='/run/as-user') as stage:
                self.assertEqual(stage.wait(40), status)
                self.assertIn(result, stage.result)

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
