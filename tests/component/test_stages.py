# SPDX-License-Identifier: GPL-2.0-or-later
"""The stages, run for real against the emulated peers: what each says, gives and leaves behind, and how it ends."""

import base64
import hashlib
import json
import os
import re
import resource
import select
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support import (AGAIN, DONE, HEAD, INIT, NEVER, TAKEN, TOP, Stage, private_mounts, private_network,  # noqa: E402
                     temporary_folder, waits)

sys.path.insert(0, TOP)
from qemu import pki                                                        # noqa: E402
from qemu.peers.hub import API, DISK_KEY, Hub                               # noqa: E402
from qemu.peers.imds import Imds                                            # noqa: E402
from qemu.peers.ntp import NtpServer                                        # noqa: E402
from qemu.peers.platform import configure_network                           # noqa: E402
from qemu.peers.wireserver import Wireserver                                # noqa: E402
from qemu.tdx import quote as tdx                                           # noqa: E402

ALL_CAPABILITIES = (1 << 41) - 1


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


def status_of(pid):
    with open(f'/proc/{pid}/status', encoding='utf-8') as file:
        return dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)


class PeerTest(unittest.TestCase):
    def started(self, peer, *faults):
        peer.faults.set(*faults)
        peer.start()
        self.addCleanup(peer.stop)
        return peer


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
                self.assertIn('options not readable', stage.result)

    def test_without_a_report_socket_it_ends_and_says_so(self):
        ran = subprocess.run([INIT, 'stage', 'network', 'network'], capture_output=True, stdin=subprocess.DEVNULL)
        self.assertEqual(ran.returncode, NEVER)
        self.assertIn(b'report socket or options missing', ran.stderr)

    def test_it_keeps_only_the_capabilities_of_its_type(self):
        private_network()
        with Stage('network', {'interface': 'none0'}) as stage:
            stage.wait_result('no network interface')
            status = status_of(stage.pid)
        for name in ('CapPrm', 'CapEff', 'CapBnd'):
            self.assertEqual(int(status[name], 16), 1 << 12, name)     # CAP_NET_ADMIN
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


class Network(unittest.TestCase):
    def setUp(self):
        private_network()
        self.folder = temporary_folder(self)
        self.resolv = os.path.join(self.folder, 'resolv.conf')

    def options(self, **more):
        return {'resolv_conf': self.resolv, **more}

    def write_resolv(self, text='nameserver 10.0.0.3\n'):
        with open(self.resolv + '.new', 'w', encoding='utf-8') as file:
            file.write(text)
        os.rename(self.resolv + '.new', self.resolv)

    def test_each_missing_piece_is_told_until_all_is_there(self):
        with Stage('network', self.options()) as stage:
            stage.wait_result('no network interface')
            run('ip', 'link', 'add', 'far0', 'type', 'veth', 'peer', 'name', 'eth0')
            stage.wait_result('eth0 is down')
            run('ip', 'link', 'set', 'eth0', 'up')
            stage.wait_result('eth0 has no link')
            run('ip', 'link', 'set', 'far0', 'up')
            stage.wait_result('no IPv4 address on eth0')
            run('ip', 'address', 'add', '169.254.7.7/16', 'dev', 'eth0')
            run('ip', 'address', 'add', '10.0.0.4/24', 'dev', 'eth0')
            stage.wait_result('no default route on eth0')
            run('ip', 'route', 'add', 'default', 'via', '10.0.0.1')
            stage.wait_result(f'no nameserver in {self.resolv}')
            self.write_resolv('# nothing\n')
            self.write_resolv()
            self.assertEqual(stage.wait(), DONE)
            self.assertEqual(stage.result, '10.0.0.4/24 via 10.0.0.1 on eth0')
            self.assertEqual(stage.facts, {'interface': 'eth0', 'address': '10.0.0.4/24', 'gateway': '10.0.0.1'})

    def test_loopback_is_set_up(self):
        run('ip', 'link', 'set', 'lo', 'down')
        with Stage('network', self.options()) as stage:
            stage.wait_result('no network interface')
            self.assertIn('LOOPBACK,UP', run('ip', 'link', 'show', 'lo'))
            self.assertIn('127.0.0.1/8', run('ip', 'address', 'show', 'lo'))

    def test_a_named_interface_is_the_one_waited_for(self):
        run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1')
        for name, address in (('eth0', '10.1.0.4/24'), ('eth1', '10.2.0.4/24')):
            run('ip', 'link', 'set', name, 'up')
            run('ip', 'address', 'add', address, 'dev', name)
        self.write_resolv()
        with Stage('network', self.options(interface='eth1')) as stage:
            stage.wait_result('no default route on eth1')
            run('ip', 'route', 'add', 'default', 'via', '10.2.0.1')
            self.assertEqual(stage.wait(), DONE)
            self.assertEqual(stage.result, '10.2.0.4/24 via 10.2.0.1 on eth1')

    @waits(10)
    def test_what_is_missing_after_ten_seconds_is_a_warning(self):
        with Stage('network', self.options()) as stage:
            event = stage.wait_event('after 10 s: no network interface', 15)
            self.assertEqual(event.level, 'warning')

    @unittest.skipIf('GANTRY_USERNS' in os.environ, 'a user namespace may not do what this needs')
    def test_a_real_dhcp_lease_brings_everything(self):
        private_mounts('/etc', '/run', '/var/lib')
        os.makedirs('/run/gantry')
        shutil.copy(INIT, '/run/dhcp-hook')
        with open('/etc/passwd', 'w', encoding='utf-8') as file:
            file.write('root:x:0:0::/:/bin/sh\n')
        run('ip', 'netns', 'add', 'far')
        run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'far0', 'netns', 'far')
        for command in ('link set lo up', 'link set far0 up', 'address add 10.0.0.1/24 dev far0'):
            run('ip', '-n', 'far', *command.split())
        served = subprocess.Popen(
            ['ip', 'netns', 'exec', 'far', 'dnsmasq', '--no-daemon', '--conf-file=/dev/null', '--port=0',
             '--user=root', '--leasefile-ro', '--dhcp-authoritative', '--dhcp-range=10.0.0.4,10.0.0.4,1h',
             '--dhcp-option=option:dns-server,10.0.0.3', '--dhcp-option-force=245,168.63.129.16',
             '--no-ping', '--interface=far0'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(served.wait)
        self.addCleanup(served.kill)
        libs = [line.split('=')[1].strip() for line in open(f'{TOP}/build/paths.env') if line.startswith('LIBS=')][0]
        client = subprocess.Popen([f'{libs}/bin/dhcpcd', '-B', '-4', '-f', '/dev/null', '-o', 'azureendpoint',
                                   '-o', 'domain_name_servers', '-c', '/run/dhcp-hook', 'eth0'],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        with Stage('network') as stage:
            self.assertEqual(stage.wait(60), DONE)
            self.assertEqual(stage.result, '10.0.0.4/24 via 10.0.0.1 on eth0')
        with open('/run/gantry/dhcp', encoding='utf-8') as file:
            self.assertIn('wireserver=168.63.129.16\n', file.read())
        with open('/etc/resolv.conf', encoding='utf-8') as file:
            self.assertEqual(file.read(), 'nameserver 10.0.0.3\n')


class DhcpHook(unittest.TestCase):
    def setUp(self):
        private_mounts('/etc', '/run')
        os.makedirs('/run/gantry')

    def hook(self, **environment):
        return subprocess.run([INIT, 'dhcp-hook'], env=environment, check=False).returncode

    def read(self, path):
        with open(path, encoding='utf-8') as file:
            return file.read()

    BOUND = {'reason': 'BOUND', 'interface': 'eth0', 'new_ip_address': '10.0.0.4', 'new_subnet_cidr': '24',
             'new_routers': '10.0.0.1', 'new_domain_name_servers': '10.0.0.3 10.0.0.5',
             'new_domain_name': 'internal.test', 'new_azureendpoint': '168.63.129.16', 'new_dhcp_lease_time': '3600'}

    def test_a_lease_is_written_down(self):
        self.assertEqual(self.hook(**self.BOUND), 0)
        self.assertEqual(self.read('/etc/resolv.conf'),
                         'search internal.test\nnameserver 10.0.0.3\nnameserver 10.0.0.5\n')
        self.assertEqual(self.read('/run/gantry/dhcp'),
                         'interface=eth0\naddress=10.0.0.4\nprefix=24\nrouter=10.0.0.1\ndomain=internal.test\n'
                         'lease_s=3600\nnameserver=10.0.0.3\nnameserver=10.0.0.5\nwireserver=168.63.129.16\n')
        self.assertEqual(os.listdir('/etc'), ['resolv.conf'])

    def test_hostile_values_are_left_out(self):
        self.assertEqual(self.hook(**{**self.BOUND, 'new_domain_name': 'a\nnameserver 6.6.6.6',
                                      'new_domain_name_servers': '10.0.0.3 $(reboot) 6.6.6',
                                      'new_azureendpoint': '1.2.3.4\nlease_s=1', 'interface': '../../etc/x'}), 0)
        self.assertEqual(self.read('/etc/resolv.conf'), 'nameserver 10.0.0.3\n')
        self.assertNotIn('wireserver', self.read('/run/gantry/dhcp'))
        self.assertTrue(self.read('/run/gantry/dhcp').startswith('interface=..\n'))

    def test_a_lost_lease_keeps_the_name_servers(self):
        self.hook(**self.BOUND)
        self.assertEqual(self.hook(reason='EXPIRE', interface='eth0'), 0)
        self.assertIn('nameserver 10.0.0.3', self.read('/etc/resolv.conf'))


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
        os.makedirs('/run/gantry')
        with open('/run/gantry/dhcp', 'w', encoding='utf-8') as file:
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


CHRONY = '''{source}
bindcmdaddress {folder}/chronyd.sock
cmdport {port}
pidfile {folder}/chronyd.pid
'''


class Clock(PeerTest):
    def setUp(self):
        private_network()
        configure_network()
        self.folder = temporary_folder(self)
        os.chmod(self.folder, 0o750)
        self.socket = f'{self.folder}/chronyd.sock'

    def chronyd(self, source='server 10.77.0.3 iburst minpoll 0 maxpoll 0', port=0):
        with open(f'{self.folder}/chrony.conf', 'w', encoding='utf-8') as file:
            file.write(CHRONY.format(source=source, folder=self.folder, port=port))
        process = subprocess.Popen(['chronyd', '-4', '-x', '-d', '-u', 'root', '-U', '-f', f'{self.folder}/chrony.conf'],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_it_is_done_once_synchronised(self):
        self.started(NtpServer())
        with Stage('clock', {'socket': self.socket}) as stage:
            stage.wait_result('chronyd is not there')
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
            self.assertNotIn('not told', stage.texts())

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
            self.assertEqual(stage.result, f'chronyd is not there ({self.socket}) after 1 s')


class Config(PeerTest):
    def setUp(self):
        private_network()
        configure_network()

    def options(self, **more):
        return {'url': f'https://10.77.0.1{API}/configuration', 'ca': str(pki.path('hub-ca.pem')), **more}

    def refused(self, hub, expected, options=None):
        with Stage('config', options or self.options()) as stage:
            self.assertEqual(stage.wait(), AGAIN)
            self.assertRegex(stage.result, expected)
            self.assertEqual(stage.given, {})

    def test_the_document_and_the_disk_key_are_handed_over_byte_for_byte(self):
        hub = self.started(Hub(disk_key=DISK_KEY))
        with Stage('config', self.options()) as stage:
            self.assertEqual(stage.wait(), DONE)
            self.assertEqual(json.loads(stage.given['config']), hub.document)
            self.assertEqual(stage.given['disk-key'], DISK_KEY.encode())
            self.assertEqual(stage.result, f'{len(stage.given["config"])} bytes, with a disk key')

    def test_on_a_machine_that_runs_only_another_document_is_given_and_no_disk_key(self):
        self.started(Hub(disk_key=DISK_KEY))
        with Stage('config', self.options()) as stage:
            self.assertEqual(stage.wait(), DONE)
            current = stage.given['config']
            self.assertEqual(sorted(stage.given), ['config', 'disk-key'])
        digest = hashlib.sha256(current).digest()
        with Stage('config', self.options(kept=True), mode='refresh', artifacts={'config-digest': digest}) as stage:
            self.assertEqual((stage.wait(), stage.skipped, stage.given), (DONE, True, {}))
            self.assertEqual(stage.result, f'{len(current)} bytes, unchanged')
        for other in (digest[:31], digest[:31] + b'x', b'', digest + b'x', None):      # None: there is none to compare with
            with Stage('config', self.options(kept=True), mode='refresh', artifacts={'config-digest': other}) as stage:
                self.assertEqual((stage.wait(), stage.skipped), (DONE, False))
                self.assertEqual(sorted(stage.given), ['config', 'config-digest', 'config-without-keys'])
                self.assertEqual((stage.given['config'], stage.given['config-digest']), (current, digest))
                self.assertEqual(stage.result, f'{len(current)} bytes, changed')

    def test_what_is_kept_for_a_refresh_has_no_key_of_the_disk(self):
        hub = self.started(Hub(disk_key=DISK_KEY))
        hub.document['disk_encryption'] |= {'recovery': 'Recovery' + DISK_KEY, 'other': 1.50}
        hub.document['top'] = DISK_KEY + 'top'
        for options, gone in (({}, (('disk_encryption', 'key'), ('disk_encryption', 'recovery'))),
                              ({'disk_key': 'top', 'disk_recovery': ''}, (('top',),)),
                              ({'disk_key': 'disk_encryption.key.no', 'disk_recovery': 'x.y'}, ())):
            with Stage('config', self.options(kept=True, **options)) as stage:
                self.assertEqual(stage.wait(), DONE)
                expected = json.loads(stage.given['config'])
                for path in gone:
                    place = expected
                    for part in path[:-1]:
                        place = place[part]
                    del place[path[-1]]
                self.assertEqual(json.loads(stage.given['config-without-keys']), expected)

    def test_it_says_what_the_document_has_at_the_keys_that_services_ask_for(self):
        self.started(Hub(document={'a': {'b': True, 'c': False, 'd': 'true', 'e': None, 'f': 1, 'g': []}, 'h': True}))
        keys = ['a.b', 'a.c', 'a.d', 'a.e', 'a.f', 'a.g', 'a', 'a.x', 'x.b', 'h', 'h.b']
        words = ['true', 'false', *['invalid'] * 5, 'missing', 'missing', 'true', 'missing']
        for mode in (None, 'refresh'):
            with Stage('config', self.options(enabled_if=keys), mode=mode, artifacts={'config-digest': None}) as stage:
                self.assertEqual(stage.wait(), DONE)
                self.assertEqual(stage.flags, [f'{key}={word}' for key, word in zip(keys, words, strict=True)])

    def test_a_thousand_keys_are_told_in_several_messages(self):
        self.started(Hub(document={f'key-{i}': i % 2 == 0 for i in range(1000)}))
        with Stage('config', self.options(enabled_if=[f'key-{i}' for i in range(1000)])) as stage:
            self.assertEqual(stage.wait(), DONE)
            self.assertEqual(stage.flags, [f'key-{i}={"false" if i % 2 else "true"}' for i in range(1000)])

    def test_a_disk_key_keeps_its_newline(self):
        self.started(Hub(disk_key='  ä\\n\n'))
        with Stage('config', self.options()) as stage:
            self.assertEqual(stage.wait(), DONE)
            self.assertEqual(stage.given['disk-key'], '  ä\\n\n'.encode())

    def test_no_secret_is_said(self):
        hub = self.started(Hub(disk_key=DISK_KEY))
        with Stage('config', self.options()) as stage:
            stage.wait()
        for secret in (DISK_KEY, hub.document['rclone']['secret_access_key'], hub.document['instance_name']):
            self.assertNotIn(secret, stage.texts())

    def test_without_a_disk_key_only_the_document_is_given(self):
        for document in (None, {'disk_encryption': None}, {'disk_encryption': {}}):
            with Hub(document=document), Stage('config', self.options()) as stage:
                self.assertEqual(stage.wait(), DONE)
                self.assertEqual(list(stage.given), ['config'])
                self.assertIn('without a disk key', stage.result)

    def test_a_disk_key_of_the_wrong_kind_is_a_warning(self):
        for key in ('', 5, ['a']):
            with Hub(document={'disk_encryption': {'key': key}}), Stage('config', self.options()) as stage:
                self.assertEqual(stage.wait(), DONE)
                self.assertEqual(list(stage.given), ['config'])
                self.assertIn('disk_encryption.key is not a string', stage.wait_event('disk_encryption').text)

    def test_a_node_that_is_not_allowed_yet_tries_again(self):
        hub = self.started(Hub())
        hub.allowed = False
        self.refused(hub, r'^hub refused this node \(403\): not allowed yet$')

    def test_a_hub_in_trouble_is_tried_again(self):
        for fault, expected in (('status:500', '^hub answered 500$'), ('down', '^hub not reached: '),
                                ('drop_after:100', '^hub not reached: ')):
            hub = Hub()
            hub.faults.set(fault)
            with hub:
                self.refused(hub, expected)

    def test_only_the_pinned_ca_is_trusted(self):
        for kind in ('expired', 'wrong-name', 'untrusted'):
            hub = Hub(disk_key=DISK_KEY)
            hub.faults.set(f'tls:{kind}')
            with hub:
                self.refused(hub, '^hub not reached: ')
        with Hub(disk_key=DISK_KEY) as hub:
            self.refused(hub, '^hub not reached: ', self.options(ca=str(pki.path('other-ca.pem'))))

    def test_what_is_not_a_good_document_is_refused(self):
        for content, expected in (
                (b'', 'empty'), (b'[]', 'not a JSON object'), (b'{"a":1', 'ends too early'),
                (b'{"a":1}{', 'bytes after the object'), (b'{"a":1,"a":2}', 'a key occurs twice'),
                (b'{"a":"\xff"}', 'not UTF-8'), (b'{"a":"x\\u0000"}', 'NUL in a string'),
                (b'{"a":01}', 'leading zero'), (b'{"a":NaN}', 'a value expected'),
                (b'{"a":18446744073709551616}', 'does not fit 64 bits'), (b'{"a":' + b'[' * 40, 'nested too deeply')):
            with Hub(document=content) as hub:
                self.refused(hub, f'^configuration refused: .*{expected}')

    def test_garbage_is_refused(self):
        for kind in ('random', 'truncated', 'empty', 'deep', 'huge', 'http'):
            hub = Hub()
            hub.faults.set(f'garbage:{kind}')
            with hub:
                self.refused(hub, '^(configuration refused|hub not reached): ')

    def test_a_document_that_is_too_long_is_refused(self):
        with Hub(document={'a': 'x' * 2000}) as hub:
            self.refused(hub, '^configuration refused: longer than 1000 bytes', self.options(max_bytes=1000))

    def test_http_is_for_loopback_only(self):
        with Stage('config', {'url': f'http://10.77.0.1{API}/configuration'}) as stage:
            self.assertEqual(stage.wait(), NEVER)
        for url in ('http://127.0.0.1.evil.test/', 'http://localhost@10.77.0.1/', 'https://10.77.0.1/', 'file:///etc/x'):
            with Stage('config', {'url': url}) as stage:
                self.assertEqual(stage.wait(), NEVER, url)
                self.assertIn('https with a pinned CA', stage.result)
        with Hub(address='127.0.0.1', port=8443, plain_port=7937), \
                Stage('config', {'url': f'http://127.0.0.1:7937{API}/configuration'}) as stage:
            self.assertEqual(stage.wait(), DONE)


class Render(unittest.TestCase):
    DOCUMENT = {'name': 'node', 'lines': 'a = 1\nb = 2\n', 'bad': 'x\x1b[2J', 'secret': 'hunter2', 'n': 5,
                'blob#base64': base64.b64encode(b'[x]\ny = "<&>"\n').decode()}

    def setUp(self):
        self.folder = temporary_folder(self)

    def template(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def file(self, template, name, **more):
        return {'template': template, 'path': os.path.join(self.folder, name), **more}

    def render(self, *files, document=None, mode=None):
        content = json.dumps(self.DOCUMENT if document is None else document).encode()
        with Stage('render', {'files': list(files)}, artifacts={'config': content}, mode=mode) as stage:
            return stage.wait(), stage.result, stage

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding='utf-8') as file:
            return file.read()

    def test_files_are_written_with_mode_and_owner(self):
        one = self.template('one.mustache', 'name={{name}} n={{n}}\n{{{lines}}}')
        status, result, _ = self.render(self.file(one, 'one', mode='0640', user='nobody', group='nogroup'),
                                        self.file(one, 'two'))
        self.assertEqual((status, result), (DONE, '2 files'))
        self.assertEqual(self.read('one'), 'name=node n=5\na = 1\nb = 2\n')
        found = os.stat(os.path.join(self.folder, 'one'))
        self.assertEqual((found.st_mode & 0o7777, found.st_uid, found.st_gid), (0o640, 65534, 65534))
        found = os.stat(os.path.join(self.folder, 'two'))
        self.assertEqual((found.st_mode & 0o7777, found.st_uid, found.st_gid), (0o600, 0, 0))
        self.assertEqual(sorted(os.listdir(self.folder)), ['one', 'one.mustache', 'two'])

    def inodes(self):
        return {name: os.stat(os.path.join(self.folder, name)).st_ino for name in os.listdir(self.folder)}

    def test_check_says_what_would_change_and_changes_nothing(self):
        template = self.template('one.mustache', 'n={{n}}')
        fixed = self.template('fixed.mustache', 'x')
        files = self.file(template, 'one'), self.file(fixed, 'two'), self.file(template, 'three', mode='0644')
        self.render(*files)
        os.chmod(files[1]['path'], 0o604)
        before = self.inodes()
        status, result, stage = self.render(*files, mode='check')
        self.assertEqual((status, result, stage.changed), (DONE, '1 of 3 files would change', [files[1]['path']]))
        status, result, stage = self.render(*files, document={'n': 6}, mode='check')
        self.assertEqual((status, result), (DONE, '3 of 3 files would change'))
        self.assertEqual(stage.changed, [file['path'] for file in files])
        self.assertEqual(self.inodes(), before)
        self.assertEqual([self.read(name) for name in ('one', 'two', 'three')], ['n=5', 'x', 'n=5'])

    def test_apply_touches_only_what_differs_by_byte_mode_owner_or_kind(self):
        template = self.template('one.mustache', 'n={{n}}')
        files = [self.file(template, f'f{i}') for i in range(7)]
        self.render(*files)
        paths = [file['path'] for file in files]
        with open(paths[1], 'w', encoding='utf-8') as file:
            file.write('n=6')
        with open(paths[2], 'a', encoding='utf-8') as file:
            file.write('\n')
        os.chmod(paths[3], 0o644)
        os.chown(paths[4], 0, 65534)
        os.rename(paths[5], os.path.join(self.folder, 'moved'))
        os.symlink('moved', paths[5])
        os.remove(paths[6])
        before = self.inodes()
        status, result, stage = self.render(*files, mode='apply')
        self.assertEqual((status, result, stage.changed), (DONE, '6 of 7 files changed', paths[1:]))
        self.assertEqual(self.inodes()['f0'], before['f0'])
        for path in paths:
            found = os.lstat(path)
            self.assertEqual((found.st_mode, found.st_gid), (0o100600, 0), path)
            self.assertEqual(self.read(path), 'n=5')
        status, result, stage = self.render(*files, mode='apply')
        self.assertEqual((status, result, stage.changed), (DONE, '0 of 7 files changed', []))

    def test_neither_mode_writes_anything_when_one_template_fails(self):
        good, bad = self.template('good.mustache', '{{n}}'), self.template('bad.mustache', '{{{bad}}}')
        self.render(self.file(good, 'one'))
        before = self.inodes()
        for mode in ('check', 'apply'):
            status, result, stage = self.render(self.file(good, 'one'), self.file(bad, 'two'), document=self.DOCUMENT | {'n': 6},
                                                mode=mode)
            self.assertEqual((status, stage.changed), (NEVER, []))
            self.assertIn('bad.mustache:1', result)
            self.assertEqual((self.inodes(), self.read('one')), (before, '5'))

    def test_one_bad_template_leaves_every_file_as_it_was(self):
        with open(os.path.join(self.folder, 'one'), 'w', encoding='utf-8') as file:
            file.write('old')
        good, bad = self.template('good.mustache', '{{name}}'), self.template('bad.mustache', 'x\n{{#name}}')
        status, result, _ = self.render(self.file(good, 'one'), self.file(bad, 'two'))
        self.assertEqual(status, NEVER)
        self.assertEqual(result, f'{bad}:2:1: section name has no end')
        self.assertEqual(self.read('one'), 'old')
        self.assertEqual(sorted(os.listdir(self.folder)), ['bad.mustache', 'good.mustache', 'one'])

    def test_a_file_that_cannot_be_written_leaves_every_other_as_it_was(self):
        good = self.template('good.mustache', '{{name}}')
        os.mkdir(os.path.join(self.folder, 'directory'))
        for path in ('directory', 'none/file'):
            status, result, _ = self.render(self.file(good, 'one'), self.file(good, path))
            self.assertIn(status, (AGAIN, NEVER))
            self.assertIn(path, result)
            self.assertEqual(sorted(os.listdir(self.folder)), ['directory', 'good.mustache'])

    def test_an_error_names_template_line_and_key_but_no_value(self):
        template = self.template('t.mustache', 'a\nb {{{bad}}}')
        status, result, stage = self.render(self.file(template, 'one'))
        self.assertEqual(status, NEVER)
        self.assertEqual(result, f'{template}:2:3: bad: value has a control character (0x1b)')
        self.assertNotIn('hunter2', stage.texts())

    def test_only_a_template_named_unsafe_sees_decoded_values(self):
        safe, unsafe = (self.template(name, '{{{blob}}}') for name in ('a.mustache', 'b.mustache_unsafe'))
        self.assertEqual(self.render(self.file(safe, 'a'), self.file(unsafe, 'b'))[0], DONE)
        self.assertEqual(self.read('a'), '')
        self.assertEqual(self.read('b'), '[x]\ny = "<&>"\n')

    def test_partials_lie_beside_the_template(self):
        self.template('part.mustache', 'part of {{name}}')
        template = self.template('t.mustache', '[{{>part}}{{>missing}}]')
        self.assertEqual(self.render(self.file(template, 'one'))[0], DONE)
        self.assertEqual(self.read('one'), '[part of node]')
        template = self.template('t.mustache', '{{>../../etc/passwd}}')
        status, result, _ = self.render(self.file(template, 'one'))
        self.assertEqual(status, NEVER)
        self.assertIn('../../etc/passwd: Invalid argument', result)

    def test_what_is_missing_is_named(self):
        good = self.template('t.mustache', 'x')
        for more, expected in (({'user': 'nobodyatall'}, 'no user nobodyatall'), ({'group': 'none'}, 'no group none'),
                               ({'mode': '0999'}, 'mode "0999" is not octal')):
            status, result, _ = self.render(self.file(good, 'one', **more))
            self.assertEqual(status, NEVER)
            self.assertIn(expected, result)
        status, result, _ = self.render(self.file('/none.mustache', 'one'))
        self.assertEqual((status, result), (NEVER, '/none.mustache: No such file or directory'))

    def test_without_a_configuration_nothing_is_written(self):
        with Stage('render', {'files': [self.file(self.template('t', 'x'), 'one')]}, artifacts={'config': None}) as stage:
            self.assertEqual(stage.wait(), NEVER)
            self.assertEqual(stage.result, 'there is no configuration')

    def test_the_repository_s_own_sample_document_renders(self):
        folder = os.environ.get('GANTRY_TEST_DATA', '')
        sample = os.path.join(folder, 'builderhub-configuration.json')
        if not os.path.exists(sample):
            self.skipTest('the sample document is not at hand')
        with open(sample, encoding='utf-8') as file:
            document = json.load(file)
        template = self.template('t.mustache', 'type = s3\nendpoint = {{rclone.bucket_endpoint}}\n'
                                 '{{#prometheus.static_configs_default_labels}}\n'
                                 '{{label_key}}: {{label_value}}\n{{/prometheus.static_configs_default_labels}}\n'
                                 'rps {{orderflow_proxy.max_user_rps}} {{rbuilder.enabled}}\n')
        self.assertEqual(self.render(self.file(template, 'one'), document=document)[0], DONE)
        self.assertEqual(self.read('one'), 'type = s3\nendpoint = string\nflashbots_net_vendor: azure\n'
                         'flashbots_net_chain: mainnet\nrps 1000 false\n')


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
        self.assertEqual((status, result), (AGAIN, '/bin/sh killed by signal 9: going'))

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


class Measure(PeerTest):
    def tpm(self):
        folder = temporary_folder(self)
        self.socket = f'{folder}/socket'
        process = subprocess.Popen(['swtpm', 'socket', '--tpm2', '--tpmstate', f'dir={folder}', '--flags',
                                    'startup-clear,not-need-init', '--server', f'type=unixio,path={self.socket}',
                                    '--ctrl', f'type=unixio,path={self.socket}.ctrl'],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        end = time.monotonic() + 10
        while not os.path.exists(self.socket):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        return f'swtpm:path={self.socket}'

    def tool(self, *command):
        return run(*command, env={**os.environ, 'TPM2TOOLS_TCTI': f'swtpm:path={self.socket}'})

    @staticmethod
    def hcl_report(td=None):
        """As on Azure, but with short claims: swtpm has no NV index of more than 2048 bytes."""
        return tdx.build_hcl_report(b'{"keys":[],"user-data":""}', td)[:2048]

    def azure_signs(self, hcl):
        """The chassis tag, and a vTPM with that HCL report."""
        tcti = self.tpm()
        private_mounts('/sys/class')
        os.makedirs('/sys/class/dmi/id')
        with open('/sys/class/dmi/id/chassis_asset_tag', 'w', encoding='utf-8') as file:
            file.write('7783-7084-3265-9085-8269-3286-77\n')
        if hcl:
            # In pieces: a TPM takes no more than 1024 bytes or so at once.
            self.tool('tpm2_nvdefine', '0x01400001', '-C', 'o', '-s', str(len(hcl)), '-a', 'ownerread|ownerwrite')
            folder = temporary_folder(self)
            for at in range(0, len(hcl), 1024):
                with open(f'{folder}/piece', 'wb') as file:
                    file.write(hcl[at:at + 1024])
                self.tool('tpm2_nvwrite', '0x01400001', '-C', 'o', '-i', f'{folder}/piece', '--offset', str(at))
        return tcti

    def test_a_plain_machine_is_told_and_nothing_is_taken(self):
        with Stage('measure', {'target': 'none', 'tcti': 'device:/none'}) as stage:
            self.assertEqual(stage.wait(), DONE)
            self.assertEqual(stage.result, 'platform plain')
            self.assertEqual(stage.wait_event('platform plain').fields, {'platform': 'plain'})
            self.assertEqual(stage.asked, [])
            self.assertEqual(stage.facts, {'platform': 'plain'})

    def test_pcr_14_is_extended_once_with_the_digest_of_the_document(self):
        tcti = self.tpm()
        content = b'{"a":"secret"}'
        with Stage('measure', {'target': 'pcr14', 'tcti': tcti}, artifacts={'config': content}) as stage:
            self.assertEqual(stage.wait(), DONE)
            self.assertRegex(stage.result, '^platform plain, PCR 14 extended with config [0-9a-f]{16}')
            facts = stage.facts
        expected = hashlib.sha256(bytes(32) + hashlib.sha256(content).digest()).hexdigest()
        values = dict(re.findall(r'(\d+)\s*: 0x([0-9A-F]{64})', self.tool('tpm2_pcrread', 'sha256')))
        self.assertEqual(values['14'].lower(), expected)
        self.assertEqual(facts, {'platform': 'plain', 'pcr4': '0' * 64, 'pcr9': '0' * 64, 'pcr11': '0' * 64,
                                 'pcr14': expected, 'pcr15': '0' * 64})
        for pcr in ('4', '9', '11', '12', '13', '15'):
            self.assertEqual(int(values[pcr], 16), 0)

    def test_without_a_tpm_pcr_14_is_tried_again(self):
        with Stage('measure', {'target': 'pcr14', 'tcti': 'device:/none'}, artifacts={'config': b'{}'}) as stage:
            self.assertEqual(stage.wait(), AGAIN)
            self.assertIn('PCR 14: no TPM', stage.result)

    def test_without_the_artifact_it_fails(self):
        tcti = self.tpm()
        with Stage('measure', {'target': 'pcr14', 'tcti': tcti}, artifacts={'config': None}) as stage:
            self.assertEqual(stage.wait(), NEVER)
            self.assertEqual(stage.result, 'there is no artifact config to measure')

    def test_azure_is_found_with_report_and_quote(self):
        rtmrs = [tdx.test_measurement(f'rtmr{i}') for i in range(4)]
        hcl = self.hcl_report(tdx.Td(rtmrs=rtmrs))      # Azure's own are zero
        tcti = self.azure_signs(hcl)
        private_network()
        configure_network()
        self.started(Imds())
        with Stage('measure', {'target': 'auto', 'tcti': tcti}, artifacts={'config': b'{}'}) as stage:
            self.assertEqual(stage.wait(60), DONE)
            self.assertEqual(stage.wait_event('platform azure').fields, {'platform': 'azure'})
            fields = stage.wait_event('report and quote read').fields
            self.assertEqual(fields['report'], hashlib.sha256(hcl[32:1056]).hexdigest())
            self.assertEqual(fields['mrtd'], tdx.test_measurement('mrtd').hex())
            self.assertEqual(stage.facts, {**stage.facts, 'platform': 'azure', 'mrtd': fields['mrtd'],
                                           **{f'rtmr{i}': rtmrs[i].hex() for i in range(4)}})
            self.assertEqual(len(stage.facts), 1 + 5 + 5)
            self.assertEqual(len(fields['quote']), 64)
            self.assertEqual(fields['quote_bytes'], '5006')
            self.assertIn('PCR 14 extended', stage.result)

    def test_azure_without_imds_says_what_is_missing(self):
        tcti = self.azure_signs(self.hcl_report())
        private_network()
        configure_network()
        with Stage('measure', {'target': 'none', 'tcti': tcti}) as stage:
            self.assertEqual(stage.wait(60), DONE)
            self.assertEqual(stage.result, 'platform azure')
            self.assertEqual(stage.wait_event('quote not read').level, 'warning')

    def test_half_of_azure_s_signs_are_a_plain_machine(self):
        good = self.hcl_report()
        other = bytearray(good)
        other[1240] ^= 1
        tcti = self.azure_signs(None)
        with Stage('measure', {'target': 'none', 'tcti': tcti}) as stage:
            self.assertEqual(stage.wait(), DONE)
            self.assertEqual(stage.result, 'platform plain')
            stage.wait_event("Azure's chassis tag, but no HCL report: no such NV index")
        tcti = self.azure_signs(bytes(other))
        with Stage('measure', {'target': 'none', 'tcti': tcti}) as stage:
            self.assertEqual(stage.wait(), DONE)
            stage.wait_event('report data is not the digest of the runtime claims')


if __name__ == '__main__':
    unittest.main()
