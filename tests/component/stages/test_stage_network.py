# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage network against links and leases that come in pieces, and the hook that dhcpcd calls."""

import ctypes
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import time
import unittest

import intruder
import netdaemons
import rights
from intruder import Intruder
from support import AGAIN, DONE, INIT, TOP, Stage, private_mounts, private_network, run, temporary_folder, waits


def alone_with_dhcpcd(test):
    """The stage looks at all processes of that name, and tests that run at once see one another's."""
    lock = test.enterContext(open(os.path.join(TOP, 'build', 'dhcpcd.lock'), 'w', encoding='ascii'))
    fcntl.flock(lock, fcntl.LOCK_EX)


class Network(unittest.TestCase):
    def setUp(self):
        alone_with_dhcpcd(self)
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
            self.assertEqual(stage.facts, {'interface': 'eth0', 'address': '10.0.0.4/24', 'gateway': '10.0.0.1',
                                           'nameservers': '10.0.0.3', 'up': '1'})

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

    def test_what_it_found_is_watched_and_each_change_reported_once(self):
        run('ip', 'link', 'add', 'far0', 'type', 'veth', 'peer', 'name', 'eth0')
        for command in ('link set far0 up', 'link set eth0 up', 'address add 10.0.0.4/24 dev eth0',
                        'route add default via 10.0.0.1'):
            run('ip', *command.split())
        self.write_resolv()
        with Stage('network', self.options(), mode='watch') as stage:
            good = '10.0.0.4/24 via 10.0.0.1 on eth0, name servers 10.0.0.3'
            stage.wait_result(good)
            self.assertEqual(stage.facts, {'interface': 'eth0', 'address': '10.0.0.4/24', 'gateway': '10.0.0.1',
                                           'nameservers': '10.0.0.3', 'up': '1'})
            self.write_resolv('nameserver 10.0.0.77\nnameserver 10.0.0.78\n')
            event = stage.wait_event('changed: ')
            other = good.replace('10.0.0.3', '10.0.0.77 10.0.0.78')
            self.assertEqual((event.level, event.text), ('notice', f'changed: {other}; was {good}'))
            self.write_resolv('# renewed\nnameserver 10.0.0.77\nnameserver 10.0.0.78\n')     # nothing new
            # A card that comes later, with all that the first one has: it is not the one that was chosen.
            for command in ('link add far1 type veth peer name eth1', 'link set eth1 up', 'link set far1 up',
                            'address add 10.0.0.5/24 dev eth1', 'route add default via 10.0.0.2 dev eth1 metric 9'):
                run('ip', *command.split())
            run('ip', 'address', 'flush', 'dev', 'eth0')
            event = stage.wait_event('lost: ')
            self.assertEqual((event.level, event.text), ('warning', f'lost: no IPv4 address on eth0; was {other}'))
            self.assertEqual(stage.facts['up'], '0')
            self.assertEqual(stage.results[-1], 'lost: no IPv4 address on eth0')
            run('ip', 'address', 'add', '10.0.0.9/24', 'dev', 'eth0')
            run('ip', 'route', 'add', 'default', 'via', '10.0.0.1', 'dev', 'eth0')
            event = stage.wait_event('back after ')
            self.assertRegex(event.text, r'^back after \d+ s: 10\.0\.0\.9/24 via 10\.0\.0\.1 on eth0, name servers ')
            self.assertEqual((event.level, stage.facts['up'], stage.facts['address']), ('notice', '1', '10.0.0.9/24'))
            self.assertEqual(len(stage.events), 3, stage.events)

    @waits(10)
    def test_what_is_missing_after_ten_seconds_is_a_warning(self):
        with Stage('network', self.options()) as stage:
            event = stage.wait_event('after 10 s: no network interface', 15)
            self.assertEqual(event.level, 'warning')


@unittest.skipIf('GANTRY_USERNS' in os.environ, 'a user namespace may not do what this needs')
class Dhcp(unittest.TestCase):
    """The real dhcpcd, as the image starts it, and a server at the other end of a cable."""

    def setUp(self):
        alone_with_dhcpcd(self)
        private_network()
        netdaemons.lay_out()
        run('ip', 'netns', 'add', 'far')
        run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'far0', 'netns', 'far')
        for command in ('link set lo up', 'link set far0 up', 'address add 10.0.0.1/24 dev far0'):
            run('ip', '-n', 'far', *command.split())
        served = subprocess.Popen(
            ['ip', 'netns', 'exec', 'far', 'dnsmasq', '--no-daemon', '--conf-file=/dev/null', '--port=0',
             '--user=root', '--leasefile-ro', '--dhcp-authoritative', '--dhcp-range=10.0.0.4,10.0.0.4,1h',
             '--dhcp-option=option:dns-server,10.0.0.3', '--dhcp-option-force=245,168.63.129.16', '--no-ping',
             '--interface=far0', '--bind-interfaces'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(served.wait)
        self.addCleanup(served.kill)

    def test_a_real_dhcp_lease_brings_everything_and_is_renewed_and_nothing_of_it_is_roots(self):
        with Stage('network') as stage:
            stage.wait_result('eth0 is down')
            client = netdaemons.launch(self, 'dhcpcd')
            self.assertEqual(client.reason, '')
            self.assertEqual(stage.wait(60), DONE, stage.result)
            self.assertEqual(stage.result, '10.0.0.4/24 via 10.0.0.1 on eth0')
        with open('/run/dhcp/lease', encoding='utf-8') as file:
            self.assertIn('wireserver=168.63.129.16\n', file.read())
        with open('/etc/resolv.conf', encoding='utf-8') as file:
            self.assertEqual(file.read(), 'nameserver 10.0.0.3\n')
        first = os.stat('/run/dhcp/lease')
        run(netdaemons.program('dhcpcd'), '-N', 'eth0')
        again = netdaemons.wait_for('renewal', lambda: os.stat('/run/dhcp/lease').st_mtime_ns != first.st_mtime_ns
                                    and os.stat('/run/dhcp/lease'), 30)
        self.assertEqual((first.st_uid, again.st_uid, first.st_mode & 0o777), (950, 950, 0o644))
        for folder in ('/run/dhcp', '/run/dhcpcd'):
            for name in (folder, *(os.path.join(folder, name) for name in os.listdir(folder))):
                self.assertEqual((os.lstat(name).st_uid, os.lstat(name).st_gid), (950, 950), name)
        self.assertEqual(sorted(os.listdir('/run/dhcp')), ['lease', 'resolv.conf'])

    @waits(4)
    def test_a_second_card_with_the_same_address_gets_no_lease_and_no_route(self):
        with Stage('network') as stage:
            netdaemons.launch(self, 'dhcpcd')
            self.assertEqual(stage.wait(60), DONE, stage.result)
        run('ip', 'link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'far1', 'netns', 'far')
        run('ip', 'link', 'set', 'eth1', 'address', json.loads(run('ip', '-j', 'link', 'show', 'eth0'))[0]['address'])
        run('ip', '-n', 'far', 'link', 'set', 'far1', 'up')
        run('ip', '-n', 'far', 'address', 'add', '10.0.1.1/24', 'dev', 'far1')
        served = subprocess.Popen(
            ['ip', 'netns', 'exec', 'far', 'dnsmasq', '--no-daemon', '--conf-file=/dev/null', '--port=0', '--user=root',
             '--leasefile-ro', '--dhcp-authoritative', '--dhcp-range=10.0.1.4,10.0.1.4,1h', '--no-ping',
             '--interface=far1', '--bind-interfaces'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(served.wait)
        self.addCleanup(served.kill)
        run('ip', 'link', 'set', 'eth1', 'up')
        time.sleep(4)           # dhcpcd asks at once; a server of its own would have answered
        self.assertNotIn('10.0.1.', run('ip', '-4', 'address'))
        self.assertEqual(run('ip', 'route').count('default'), 1)
        with open('/run/dhcp/lease', encoding='utf-8') as file:
            self.assertIn('interface=eth0\naddress=10.0.0.4\n', file.read())

    def test_every_process_of_it_has_the_rights_that_the_documentation_lists(self):
        rows = {name: rights for name, rights in netdaemons.table().items() if name.startswith('dhcpcd')}
        client = netdaemons.launch(self, 'dhcpcd')
        netdaemons.wait_for('lease', lambda: os.path.exists('/run/dhcp/resolv.conf'), 60)
        seen = netdaemons.wait_for('idle client', lambda: len(netdaemons.own('dhcpcd')) == 4 and
                                   dict(map(netdaemons.seen, netdaemons.own('dhcpcd'))))
        self.assertEqual(client.poll(), None)
        self.assertEqual(self.beyond_their_rows(), [])
        self.assertEqual(seen, {name: rights for name, rights in rows.items() if name in seen})
        self.assertEqual(set(rows) - set(seen), {'dhcpcd [BPF BOOTP]'})     # which is there until there is a lease

    def test_while_it_asks_for_a_lease_its_listener_is_confined_too(self):
        run('ip', '-n', 'far', 'address', 'flush', 'dev', 'far0')       # nobody answers
        netdaemons.launch(self, 'dhcpcd')
        name, rows = 'dhcpcd [BPF BOOTP]', netdaemons.table()
        netdaemons.wait_for('listener with the rights of the table', lambda: self.look().get(name) == rows[name])
        self.assertEqual(self.beyond_their_rows(), [])

    def beyond_their_rows(self):
        """What any of them has beyond its row, once all have been seen waiting."""
        rows, kinds = rights.specification()
        def look():
            pids = netdaemons.own('dhcpcd')     # anew each time: one may have ended, such as a hook
            return len(found := rights.look(*pids)) == len(pids) and found

        seen = netdaemons.wait_for('look at all', look)
        return [sentence for one in seen for sentence in rights.judge(one, rows[rights.name_of(one)], kinds)]

    def test_who_breaks_into_it_reaches_nothing_else(self):
        netdaemons.launch(self, 'dhcpcd')
        netdaemons.wait_for('lease', lambda: os.path.exists('/run/dhcp/resolv.conf'), 60)
        netdaemons.wait_for('idle client', lambda: len(self.look()) == 4)
        neighbour = subprocess.Popen(['setpriv', '--reuid=950', '--regid=950', '--clear-groups', 'sleep', '1000'])
        self.addCleanup(neighbour.wait)
        self.addCleanup(neighbour.kill)
        with open('/run/readable', 'w', encoding='utf-8') as file:
            file.write('by all\n')
        os.mkdir('/run/others')
        os.chown('/run/others', 950, 950)
        server = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(server.close)
        address = struct.pack('=H', socket.AF_INET) + struct.pack('>H4s8x', server.getsockname()[1], bytes((127, 0, 0, 1)))
        proxy = next(pid for pid in netdaemons.own('dhcpcd') if 'privileged proxy' in netdaemons.seen(pid)[0])
        attacker = Intruder(proxy)
        self.assertEqual(attacker.error(intruder.OPEN, '/run/readable', os.O_RDONLY), 'EACCES')
        self.assertEqual(attacker.error(intruder.OPEN, '/run/others/new', os.O_WRONLY | os.O_CREAT, 0o600), 'EACCES')
        self.assertEqual(attacker.error(intruder.OPEN, '/run/dhcp/lease', os.O_RDONLY), '')
        self.assertEqual(attacker.error(intruder.KILL, neighbour.pid, 0), 'EPERM')
        tcp = attacker.call(intruder.SOCKET, socket.AF_INET, socket.SOCK_STREAM, 0)
        self.assertGreaterEqual(tcp, 0)
        self.assertEqual(attacker.error(intruder.CONNECT, tcp, address, len(address)), 'EACCES')

    def look(self):
        found = {}
        for pid in netdaemons.own('dhcpcd'):
            try:
                found |= [netdaemons.seen(pid)]
            except (OSError, AssertionError):       # it has just ended, or is not yet what it will be
                pass
        return found

    def test_without_its_user_its_home_or_a_capability_it_does_not_run_at_all(self):
        for change, undo, says in (
                (lambda: run('sed', '-i', 's/^dhcpcd/x/', '/etc/passwd'),
                 lambda: run('sed', '-i', 's/^x:/dhcpcd:/', '/etc/passwd'), '/run/dhcpcd: user "dhcpcd": no such user'),
                (lambda: run('sed', '-i', 's,/var/empty,/var/emptier,', '/etc/passwd'),
                 lambda: run('sed', '-i', 's,/var/emptier,/var/empty,', '/etc/passwd'),
                 'home directory of "dhcpcd": /var/emptier is not a directory')):
            change()
            refused = netdaemons.launch(self, 'dhcpcd')
            self.assertEqual((refused.reason, refused.wait(20)), (says, 125))
            undo()
        # Not by way of the launcher: these are in the program itself.
        for uid, home, says in ((950, '/var/emptier', 'refusing chroot'), (950, '/var/empty', 'not confined')):
            run('sed', '-i', f's,/var/empt[a-z]*,{home},', '/etc/passwd')
            capabilities = ','.join(f'+{name}' for name in ('net_admin', 'net_raw', 'net_bind_service'))
            client = subprocess.run(['setpriv', f'--reuid={uid}', f'--regid={uid}', '--clear-groups', '--inh-caps', capabilities,
                                     '--ambient-caps', capabilities, netdaemons.program('dhcpcd'), '-B', '-f',
                                     '/etc/dhcpcd.conf'], capture_output=True, text=True, timeout=30, check=False)
            self.assertNotEqual(client.returncode, 0)
            self.assertIn(says, client.stderr + client.stdout)
            netdaemons.wait_for('end of all', lambda: netdaemons.own('dhcpcd') == [])

    def test_the_stage_does_not_go_on_with_one_that_runs_with_more_rights(self):
        os.makedirs('/run/bin')
        shutil.copy('/usr/bin/sleep', '/run/bin/dhcpcd')
        run('ip', 'link', 'set', 'eth0', 'up')
        run('ip', 'address', 'add', '10.0.0.4/24', 'dev', 'eth0')
        run('ip', 'route', 'add', 'default', 'via', '10.0.0.1')
        with open('/run/dhcp/resolv.conf', 'w', encoding='utf-8') as file:
            file.write('nameserver 10.0.0.3\n')
        as_user = 'setpriv --reuid=950 --regid=950 --clear-groups'
        for how, says in (('', 'runs as root'), (as_user, 'could gain privileges'),
                          (f'{as_user} --no-new-privs', 'has no system call filter'),
                          (f'{as_user} --no-new-privs --inh-caps=+setuid --ambient-caps=+setuid',
                           'has capabilities beyond its own')):
            with self.subTest(says), Stage('network', program=self.beside(f'{how} /run/bin/dhcpcd 1000')) as stage:
                self.assertEqual(stage.wait(30), AGAIN)
                self.assertRegex(stage.result, rf'^dhcpcd is not confined: process \d+ {says}$')
        with Stage('network', program=self.beside('/run/bin/sleep 1000')) as stage:
            self.assertEqual(stage.wait(30), DONE)

    def beside(self, command):
        """A program that is `init` with this command running beside it, in a namespace of processes for these two."""
        for name, text in (('init', 'exec unshare --mount --pid --fork --kill-child --mount-proc /run/bin/inside "$@"\n'),
                           ('inside', f'{command} 3>&- 4>&- &\n'
                            f'until [ "$(cat /proc/$!/comm)" = {command.split()[-2].split("/")[-1]} ]; do :; done\n'
                            f'{INIT} "$@"\nexit $?\n')):
            with open(f'/run/bin/{name}', 'w', encoding='utf-8') as file:
                file.write(f'#!/bin/sh\n{text}')
            os.chmod(f'/run/bin/{name}', 0o755)
        shutil.copy('/usr/bin/sleep', '/run/bin/sleep')
        return '/run/bin/init'


class DhcpHook(unittest.TestCase):
    def setUp(self):
        private_mounts('/etc', '/run')
        os.makedirs('/run/dhcp')

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
        self.assertEqual(self.read('/run/dhcp/resolv.conf'),
                         'search internal.test\nnameserver 10.0.0.3\nnameserver 10.0.0.5\n')
        self.assertEqual(self.read('/run/dhcp/lease'),
                         'interface=eth0\naddress=10.0.0.4\nprefix=24\nrouter=10.0.0.1\ndomain=internal.test\n'
                         'lease_s=3600\nnameserver=10.0.0.3\nnameserver=10.0.0.5\nwireserver=168.63.129.16\n')
        self.assertEqual(sorted(os.listdir('/run/dhcp')), ['lease', 'resolv.conf'])
        self.assertEqual(os.listdir('/etc'), [])

    def test_the_files_are_of_the_first_card_until_it_is_gone(self):
        first = {**self.BOUND, 'interface': 'lo'}       # a card that is there
        self.assertEqual(self.hook(**first), 0)
        other = {**self.BOUND, 'interface': 'enP2', 'new_ip_address': '10.0.0.5', 'new_domain_name_servers': '10.0.0.9'}
        for reason in ('BOUND', 'RENEW', 'REBIND'):
            self.assertEqual(self.hook(**{**other, 'reason': reason}), 0)
        self.assertIn('interface=lo\naddress=10.0.0.4\n', self.read('/run/dhcp/lease'))
        self.assertNotIn('10.0.0.9', self.read('/run/dhcp/resolv.conf'))
        self.assertEqual(self.hook(**{**first, 'new_ip_address': '10.0.0.6'}), 0)       # its own renewal
        self.assertIn('address=10.0.0.6\n', self.read('/run/dhcp/lease'))
        with open('/run/dhcp/lease', 'w', encoding='ascii') as file:
            file.write('interface=gone0\naddress=10.0.0.4\n')
        self.assertEqual(self.hook(**other), 0)
        self.assertIn('interface=enP2\naddress=10.0.0.5\n', self.read('/run/dhcp/lease'))

    def test_it_has_no_rights_when_it_ends(self):
        libc = ctypes.CDLL(None, use_errno=True)
        trace_me, go_on, set_options, trace_exit = 0, 7, 0x4200, 0x40
        hook = subprocess.Popen([INIT, 'dhcp-hook'], env=self.BOUND, preexec_fn=lambda: libc.ptrace(trace_me, 0, 0, 0))
        os.waitpid(hook.pid, 0)         # it has been executed
        libc.ptrace(set_options, hook.pid, 0, trace_exit)
        libc.ptrace(go_on, hook.pid, 0, 0)
        os.waitpid(hook.pid, 0)         # it is about to end
        status = netdaemons.status_of(hook.pid)
        libc.ptrace(go_on, hook.pid, 0, 0)
        self.assertEqual(hook.wait(), 0)
        self.assertEqual([status[name].strip('0') for name in ('CapPrm', 'CapEff', 'CapAmb')], [''] * 3)
        self.assertEqual((status['NoNewPrivs'], status['Seccomp'], status['Seccomp_filters']), ('1', '2', '1'))

    def test_it_writes_nowhere_else(self):
        os.makedirs('/run/elsewhere')
        os.symlink('/run/elsewhere/lease', '/run/dhcp/lease')       # a rename replaces the link, and does not follow it
        self.assertEqual(self.hook(**self.BOUND), 0)
        self.assertEqual(os.listdir('/run/elsewhere'), [])
        os.rename('/run/dhcp', '/run/dhcp.gone')
        self.assertEqual(self.hook(**self.BOUND), 1)
        self.assertFalse(os.path.exists('/run/dhcp'))

    def test_hostile_values_are_left_out(self):
        self.assertEqual(self.hook(**{**self.BOUND, 'new_domain_name': 'a\nnameserver 6.6.6.6',
                                      'new_domain_name_servers': '10.0.0.3 $(reboot) 6.6.6',
                                      'new_azureendpoint': '1.2.3.4\nlease_s=1', 'interface': '../../etc/x'}), 0)
        self.assertEqual(self.read('/run/dhcp/resolv.conf'), 'nameserver 10.0.0.3\n')
        self.assertNotIn('wireserver', self.read('/run/dhcp/lease'))
        self.assertTrue(self.read('/run/dhcp/lease').startswith('interface=..\n'))

    def test_a_lost_lease_keeps_the_name_servers(self):
        self.hook(**self.BOUND)
        self.assertEqual(self.hook(reason='EXPIRE', interface='eth0'), 0)
        self.assertIn('nameserver 10.0.0.3', self.read('/run/dhcp/resolv.conf'))


if __name__ == '__main__':
    unittest.main()
