# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage azure against an emulated wireserver: what it reports, and whom it asks again."""

import os
import time
import unittest

from patience import PATIENCE
from peers import PeerTest
from pid1 import Pid1, boot, stage
from support import DONE, NEVER, Stage, private_mounts, private_network, waits
from qemu.peers.platform import configure_network
from qemu.peers.wireserver import Wireserver


class Azure(PeerTest):
    def setUp(self):
        private_network()
        configure_network()

    def test_ready_echoes_the_goal_state(self):
        for incarnation, crlf, bom in ((7, False, False), (123456, True, True)):
            peer = Wireserver()
            peer.incarnation, peer.crlf, peer.bom = incarnation, crlf, bom
            with peer, Stage('azure') as stage:
                self.assertEqual(stage.wait(), DONE)
                self.assertEqual(stage.result, f'Ready accepted by 168.63.129.16, incarnation {incarnation}')
                self.assertEqual([report['state'] for report in peer.health], ['Ready'])

    def test_the_address_that_dhcp_told_is_asked(self):
        private_mounts('/run')
        os.makedirs('/run/dhcp')
        with open('/run/dhcp/lease', 'w', encoding='utf-8') as file:
            file.write('interface=eth0\nwireserver=127.0.0.9\n')
        self.started(Wireserver(address='127.0.0.9'))
        with Stage('azure') as stage:
            self.assertEqual(stage.wait(), DONE)
            self.assertIn('127.0.0.9', stage.result)

    def test_not_ready_carries_the_reason(self):
        reason = 'disk: lun 10: "x" & <y> \x01 signature refused\n' + 'ä' * 400
        peer = self.started(Wireserver())
        with Stage('azure', {'state': 'NotReady'}, artifacts={'held-reason': reason.encode()}) as stage:
            self.assertEqual(stage.wait(), DONE)
        report = peer.health[0]
        self.assertEqual((report['state'], report['substatus']), ('NotReady', 'ProvisioningFailed'))
        description = report['description']
        self.assertTrue(description.startswith('disk: lun 10: "x" & <y>   signature refused ä'), description)
        self.assertLessEqual(len(description.encode()), 512)

    def test_not_ready_without_a_reason_still_says_so(self):
        peer = self.started(Wireserver())
        with Stage('azure', {'state': 'NotReady'}, artifacts={'held-reason': None}) as stage:
            self.assertEqual(stage.wait(), DONE)
        self.assertEqual(peer.health[0]['description'], 'boot held')

    def test_a_server_in_trouble_is_asked_again(self):
        self.started(Wireserver(), 'status:503:2')
        with Stage('azure') as stage:
            self.assertEqual(stage.wait(), DONE)
            self.assertIn('goal state: 168.63.129.16 answered 503; try 2 in', stage.events[0].text)
            self.assertEqual(len(stage.events), 2)

    @waits(4)
    def test_garbage_is_refused_and_asked_for_again(self):
        for kind in ('random', 'wrong', 'empty', 'truncated', 'http'):
            peer = Wireserver()
            peer.faults.set(f'garbage:{kind}:1')
            with peer, Stage('azure') as stage:
                self.assertEqual(stage.wait(), DONE, kind)
                self.assertEqual(len(stage.events), 1, stage.events)

    def test_a_goal_state_that_moved_on_is_read_again(self):
        for status in (404, 410):
            peer = Wireserver()
            peer.faults.set(f'status:{status}:1@comp=health')
            with peer, Stage('azure') as stage:
                self.assertEqual(stage.wait(), DONE)
                self.assertEqual([entry['target'].split('=')[-1] for entry in peer.log],
                                 ['goalstate', 'health', 'goalstate', 'health'])

    def test_a_refusal_stops_it(self):
        for status in (401, 403, 405):
            peer = Wireserver()
            peer.faults.set(f'status:{status}')
            with peer, Stage('azure') as stage:
                self.assertEqual(stage.wait(), NEVER)
                self.assertEqual(stage.result, f'goal state: 168.63.129.16 answered {status}')

    def test_a_server_that_is_not_there_is_waited_for(self):
        with Stage('azure') as stage:
            stage.wait_event('try 2 in')
            self.started(Wireserver())
            self.assertEqual(stage.wait(), DONE)


class Held(PeerTest):
    """The real PID 1, whose boot is held for its disk."""

    def test_who_heard_not_ready_hears_ready_when_the_boot_has_recovered(self):
        def azure(name, **more):
            return {'name': name, 'type': 'azure', 'required': False, **more}

        server = {'wireserver': '127.0.0.1'}
        stages = [stage('disk', 'test -e /t/disk || exit 125'), azure('ready', options=server),
                  azure('not-ready', when='held', options={**server, 'state': 'NotReady'})]
        with Pid1(boot(stages)) as gantry:
            gantry.wait('gantry', 'held')
            home, there = (os.open(path, os.O_RDONLY) for path in ('/proc/thread-self/ns/net', f'/proc/{gantry.pid}/ns/net'))
            os.setns(there, os.CLONE_NEWNET)
            peer = self.started(Wireserver('127.0.0.1'))
            os.setns(home, os.CLONE_NEWNET)
            os.close(home), os.close(there)
            for hold in (1, 2):
                gantry.wait('gantry', 'held', count=hold)
                self.wait_heard(peer, 'NotReady')
                gantry.write('disk', '')
                gantry.ctl('start', 'disk')
                gantry.wait('gantry', 'booted', count=hold)
                self.wait_heard(peer, 'Ready')
                gantry.wait('ready', 'done', count=hold + 1)
                self.assertEqual(peer.health[-1]['state'], 'Ready')
                os.unlink(os.path.join(gantry.shared, 'disk'))
                if hold == 1:
                    gantry.ctl('start', 'disk')

    def wait_heard(self, peer, word):
        end = time.monotonic() + 30 * PATIENCE
        while not peer.health or peer.health[-1]['state'] != word:
            self.assertLess(time.monotonic(), end, peer.health)
            time.sleep(0.05)


if __name__ == '__main__':
    unittest.main()
