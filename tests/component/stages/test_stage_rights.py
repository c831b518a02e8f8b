# SPDX-License-Identifier: GPL-2.0-or-later
"""What an attacker can do who runs code in a stage: nothing but what the stage itself does. Each stage runs for real, as root
starts it, and is broken into while it waits (intruder.py)."""

import os
import socket
import subprocess
import sys
import unittest

import intruder
import rights
from intruder import Intruder
from netdaemons import wait_for
from support import NEVER, TOP, Stage, private_network, run, temporary_folder

from qemu.accounts import ACCOUNTS

NO_SUCH_LUN = 16000
SIGCHLD = 17


def identity(pid):
    """(user, groups, capabilities, no_new_privs, seccomp mode) of a process."""
    with open(f'/proc/{pid}/status', encoding='utf-8') as file:
        fields = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
    uids, gids = set(fields['Uid'].split()), set(fields['Gid'].split())
    assert len(uids) == 1 and len(gids) == 1, (uids, gids)
    capabilities = {int(fields[name], 16) for name in ('CapPrm', 'CapEff', 'CapBnd')}
    assert len(capabilities) == 1, capabilities
    return (int(uids.pop()), fields['Groups'].split(), capabilities.pop(), fields['NoNewPrivs'], fields['Seccomp'])


class Rights(unittest.TestCase):
    def setUp(self):
        private_network()
        self.folder = temporary_folder(self)
        self.silent = socket.create_server(('127.0.0.1', 791))
        self.addCleanup(self.silent.close)
        self.program = self.file('program', 0o755)
        self.secret = self.file('secret', 0o600)
        os.mkdir(f'{self.folder}/own')
        os.chown(f'{self.folder}/own', 3123, 3123)
        os.chmod(f'{self.folder}/own', 0o770)

    def file(self, name, mode):
        path = f'{self.folder}/{name}'
        with open(path, 'w', encoding='utf-8') as file:
            file.write('of root\n')
        os.chmod(path, mode)
        return path

    def waiting(self, kind):
        """The stage, and what it says or asks for when it waits."""
        template = {'template': f'{self.folder}/own/t', 'path': f'{self.folder}/own/out'}
        options, artifact, result = {
            'network': ({'interface': 'none0', 'resolv_conf': f'{self.folder}/resolv.conf'}, None, 'no network interface'),
            'azure': ({'state': 'NotReady'}, 'held-reason', None),
            'clock': ({'socket': f'{self.folder}/own/chronyd.sock', 'timeout_s': 0}, None, 'chronyd is not running'),
            'config': ({'url': f'http://127.0.0.1:{self.silent.getsockname()[1]}/'}, None, None),
            'render': ({'files': [template]}, 'config', None),
            'measure': ({'target': 'pcr14', 'tcti': 'device:/none'}, 'config', None),
            'snapshot': ({'bucket': 'bucket', 'directory': f'{self.folder}/own/db'}, 'config', None),
            'disk': ({'lun': NO_SUCH_LUN}, None, 'did not appear'),
        }[kind]
        stage = Stage(kind, options)
        if artifact:
            stage.wait_for(lambda: stage.asked == [artifact], f'take of {artifact}')
        elif result:
            stage.wait_result(result)
        else:
            self.silent.settimeout(20)
            stage.connection = self.silent.accept()[0]
            stage.connection.recv(100)
        return stage

    def attack(self, kind, number, *arguments):
        with self.waiting(kind) as stage:
            return self.inside(stage, number, *arguments)

    def inside(self, stage, *call):
        attacker = Intruder(stage.pid)
        error = attacker.error(*call)
        if attacker.ended:
            stage.status = -attacker.ended
        return error

    BOUNDED = ('network', 'azure', 'clock', 'config', 'render', 'measure', 'snapshot')
    OTHERS = (*BOUNDED, 'disk')
    OWN_USER = ('network', 'azure', 'clock', 'config', 'measure', 'render')

    def test_it_runs_as_its_own_user_without_a_capability(self):
        for kind in self.OWN_USER:
            with self.subTest(kind), self.waiting(kind) as stage:
                groups = ['3123'] if kind == 'clock' else []
                self.assertEqual(identity(stage.pid), (ACCOUNTS[f'gantry-{kind}'], groups, 0, '1', '2'))

    def test_it_has_what_its_row_of_the_documentation_says_and_no_more(self):
        rows, kinds = rights.specification()
        kinds = kinds | {'file': [f'{self.folder}/*'], 'chrony': [f'UNIX-DGRAM:{self.folder}/own/*']}
        for kind in self.OTHERS:
            with self.subTest(kind), self.waiting(kind) as stage:
                seen = wait_for(f'{kind} that waits', lambda pid=stage.pid: rights.look(pid))
                self.assertEqual(rights.name_of(seen[0]), f'stage {kind}')
                self.assertEqual(rights.judge(seen[0], rows[f'stage {kind}'], kinds), [])

    def test_the_census_looks_at_processes_with_any_number(self):
        script = """
import subprocess, sys
with open('/proc/sys/kernel/ns_last_pid', 'w') as file:
    file.write('70000')
with subprocess.Popen(['sleep', '1000']) as sleeps:
    for _ in range(1000):
        seen = subprocess.run([sys.argv[1], str(sleeps.pid)], capture_output=True, text=True, check=True).stdout
        if seen:
            break
    sleeps.kill()
print(sleeps.pid > 65536, seen.split(' ')[0])
"""
        done = subprocess.run(['unshare', '-pf', '--mount-proc', sys.executable, '-c', script, f'{TOP}/build/guest/census'],
                              check=True, capture_output=True, text=True)
        self.assertEqual(done.stdout, 'True process\n')

    def test_the_partner_of_render_has_its_folders_and_capabilities_alone(self):
        rows, kinds = rights.specification()
        with self.waiting('render') as stage:
            with open(f'/proc/{stage.pid}/task/{stage.pid}/children', encoding='ascii') as file:
                partner, = map(int, file.read().split())
            seen = wait_for('partner that waits', lambda: rights.look(partner))
            self.assertEqual(rights.name_of(seen[0]), 'render-writer')
            self.assertEqual(rights.judge(seen[0], rows['render-writer'], kinds), [])
            capabilities = sum(1 << rights.NAMES.index(name) for name in ('CHOWN', 'DAC_OVERRIDE', 'FOWNER'))
            self.assertEqual(identity(partner), (ACCOUNTS['gantry-writer'], [], capabilities, '1', '2'))
            attacker = intruder.Intruder(partner)
            self.assertEqual(attacker.error(intruder.OPEN, self.program, os.O_WRONLY), 'EACCES')
            self.assertEqual(attacker.error(intruder.OPEN, self.secret, os.O_RDONLY), 'EACCES')
            self.assertEqual(attacker.error(intruder.CHOWN, self.program, 65534, 65534), 'EPERM')
            self.assertEqual(attacker.error(intruder.KILL, stage.pid, 0), 'EPERM')
            self.assertEqual(attacker.error(intruder.SOCKET, socket.AF_INET, socket.SOCK_STREAM, 0), 'EPERM')
            self.assertEqual(attacker.error(intruder.OPEN, f'{self.folder}/own/x', os.O_WRONLY | os.O_CREAT, 0o600), '')
            self.assertEqual(attacker.error(intruder.EXECVE, '/bin/true', 0, 0), 'SIGSYS')

    def test_it_cannot_replace_what_root_executes(self):
        for kind in self.BOUNDED:
            with self.subTest(kind):
                self.assertEqual(self.attack(kind, intruder.OPEN, self.program, os.O_WRONLY), 'EACCES')
                self.assertIn(self.attack(kind, intruder.RENAME, self.program, self.program + '.old'), ('EACCES', 'EPERM'))

    def test_it_cannot_give_away_what_root_executes(self):
        """Landlock does not ask who changes a file's mode or owner."""
        for kind in self.BOUNDED:
            for call in ((intruder.CHMOD, self.program, 0o777), (intruder.CHOWN, self.program, 65534, 65534),
                         (intruder.FCHMODAT, intruder.AT_FDCWD, self.program, 0o777, 0),
                         (intruder.FCHOWNAT, intruder.AT_FDCWD, self.program, 65534, 65534, 0)):
                with self.subTest(kind, call=call):
                    self.assertEqual(self.attack(kind, *call), 'EPERM')
        self.assertEqual((os.stat(self.program).st_uid, os.stat(self.program).st_mode & 0o777), (0, 0o755))

    def test_it_cannot_read_what_only_root_may_read(self):
        for kind in self.BOUNDED:
            with self.subTest(kind):
                self.assertEqual(self.attack(kind, intruder.OPEN, self.secret, os.O_RDONLY), 'EACCES')

    def test_it_cannot_signal_pid_1(self):
        for kind in self.BOUNDED:
            with self.subTest(kind):
                self.assertEqual(self.attack(kind, intruder.KILL, 1, 0), 'EPERM')

    def test_it_cannot_make_a_namespace(self):
        for kind in self.OTHERS:
            with self.subTest(kind):
                self.assertEqual(self.attack(kind, intruder.UNSHARE, intruder.NEWUSER), 'SIGSYS')
                self.assertIn(self.attack(kind, intruder.CLONE, intruder.NEWUSER | SIGCHLD), ('SIGSYS', 'EPERM'))

    def test_it_cannot_start_a_program(self):
        for kind in self.BOUNDED:
            with self.subTest(kind):
                self.assertEqual(self.attack(kind, intruder.EXECVE, '/bin/true', 0, 0), 'SIGSYS')

    def test_only_those_that_fetch_have_a_network(self):
        for kind in self.BOUNDED:
            with self.subTest(kind):
                error = self.attack(kind, intruder.SOCKET, socket.AF_INET, socket.SOCK_STREAM, 0)
                self.assertEqual(error, 'EPERM' if kind in ('network', 'render') else '')

    def test_only_that_of_the_clock_has_unix_sockets(self):
        """To some of them, /run/gantry/control above all, every process of root is the machine's owner."""
        for kind in self.BOUNDED:
            with self.subTest(kind):
                error = self.attack(kind, intruder.SOCKET, socket.AF_UNIX, socket.SOCK_SEQPACKET, 0)
                self.assertEqual(error, '' if kind == 'clock' else 'EPERM')

    def with_passwd(self, lines):
        with Stage('network', {}) as stage:         # its accounts come first, this file over them
            stage.kill()
        run('umount', '/etc/passwd')
        with open(f'{self.folder}/passwd', 'w', encoding='utf-8') as file:
            file.write(lines)
        run('mount', '--bind', f'{self.folder}/passwd', '/etc/passwd')

    def test_an_account_that_the_image_lacks_is_the_reason(self):
        self.with_passwd('root:x:0:0::/:/bin/sh\n')
        for kind in self.OWN_USER:
            with Stage(kind, {'url': 'http://127.0.0.1:1/'} if kind == 'config' else {}) as stage:
                self.assertEqual(stage.wait(), NEVER)
                self.assertEqual(stage.result, f'looking up user gantry-{kind} in /etc/passwd failed: not there')

    def test_an_account_of_its_partner_s_that_the_image_lacks_is_the_reason(self):
        self.with_passwd('root:x:0:0::/:/bin/sh\ngantry-render:x:911:911::/:/bin/sh\n')
        with Stage('render', {}) as stage:
            self.assertEqual(stage.wait(), NEVER)
            self.assertEqual(stage.result, 'looking up user gantry-writer in /etc/passwd failed: not there')

    def test_an_account_with_uid_0_is_refused(self):
        self.with_passwd('gantry-network:x:0:902::/:/bin/sh\n')
        with Stage('network', {}) as stage:
            self.assertEqual(stage.wait(), NEVER)
            self.assertEqual(stage.result, 'looking up user gantry-network in /etc/passwd failed: Operation not permitted')


if __name__ == '__main__':
    unittest.main()
