# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage network against links and leases that come in pieces, and the hook that dhcpcd calls."""

import os
import shutil
import subprocess
import unittest

from support import DONE, INIT, TOP, Stage, private_mounts, private_network, run, temporary_folder, waits


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


if __name__ == '__main__':
    unittest.main()
