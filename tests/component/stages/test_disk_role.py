# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk stage and the teardown role as far as they go without device-mapper and without a disk: waiting and giving
up, and undoing mounts. What needs a real disk is in tests/boot/test_disk.py."""

import os
import shutil
import socket
import subprocess
import tempfile
import unittest

from support import HEAD, BODY_MAX, EVENT, INIT, NEVER, Stage, private_mounts

NO_SUCH_LUN = 16000


class Waiting(unittest.TestCase):
    def test_disk_that_never_comes_is_given_up_after_its_time_and_named(self):
        with Stage('disk', {'lun': NO_SUCH_LUN, 'wait_s': 1}) as stage:
            stage.wait_event(f'waiting for disk lun {NO_SUCH_LUN}')
            self.assertEqual(stage.wait(), NEVER)
            self.assertEqual(stage.result, f'disk lun {NO_SUCH_LUN} did not appear within 1 s')

    def test_a_stage_that_is_killed_while_it_waits_has_said_for_what(self):
        with Stage('disk', {'lun': NO_SUCH_LUN}) as stage:
            stage.wait_result(f'disk lun {NO_SUCH_LUN} did not appear')

    def test_the_hub_s_key_is_not_asked_for_before_there_is_a_disk(self):
        with Stage('disk', {'lun': NO_SUCH_LUN, 'wait_s': 1, 'keys': ['hub']}, artifacts={'disk-key': b'secret'}) as stage:
            stage.wait()
            self.assertEqual(stage.asked, [])


class Teardown(unittest.TestCase):
    """In a root of its own, on a tmpfs, so that no mount of this machine is in its sight."""

    def setUp(self):
        private_mounts()
        self.root = tempfile.mkdtemp(prefix='teardown-')
        self.addCleanup(self.clean_up)
        self.mount('-t', 'tmpfs', 'root', '')
        for folder in ('proc', 'run', 'persistent', 'mnt'):
            os.mkdir(os.path.join(self.root, folder))
        shutil.copy(INIT, os.path.join(self.root, 'init'))
        self.mount('-t', 'proc', 'proc', 'proc')
        self.mount('-t', 'tmpfs', 'run', 'run')

    def clean_up(self):
        subprocess.run(['umount', '-R', '-l', self.root], check=False)
        os.rmdir(self.root)

    def mount(self, *arguments):
        subprocess.run(['mount', *arguments[:-1], os.path.join(self.root, arguments[-1])], check=True)

    def mounts(self):
        with open('/proc/self/mountinfo', encoding='utf-8') as file:
            points = [line.split()[4] for line in file]
        return {point[len(self.root):] for point in points if point.startswith(self.root)}

    def teardown_role(self):
        """Its exit status and what it told."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def enter():
            os.chroot(self.root)
            os.dup2(theirs.fileno(), 3)

        process = subprocess.Popen(['/init', 'teardown'], preexec_fn=enter, close_fds=False)
        theirs.close()
        status = process.wait(timeout=20)
        texts = []
        while message := ours.recv(HEAD.size + BODY_MAX):
            if HEAD.unpack_from(message)[0] == EVENT:
                texts.append(message[HEAD.size:].split(b'\0')[0].decode())
        ours.close()
        return status, texts

    def test_mounts_are_undone_last_first_and_the_kernel_s_own_stay(self):
        self.mount('-t', 'tmpfs', 'disk', 'persistent')
        os.mkdir(os.path.join(self.root, 'persistent/inner one'))
        self.mount('-t', 'tmpfs', 'inner', 'persistent/inner one')
        status, texts = self.teardown_role()
        self.assertEqual(status, 0)
        self.assertEqual(texts, ['unmounted /persistent/inner one', 'unmounted /persistent'])
        self.assertEqual(self.mounts(), {'', '/proc', '/run'})

    def test_busy_mount_is_made_read_only_and_detached_in_bounded_time(self):
        self.mount('-t', 'tmpfs', 'disk', 'persistent')
        held = os.path.join(self.root, 'persistent/held')
        open(held, 'w', encoding='ascii').close()
        with open(held, 'r', encoding='ascii'):
            status, texts = self.teardown_role()
        self.assertEqual(status, 0)
        self.assertEqual(texts, ['/persistent is still busy: made read-only, detached'])
        self.assertEqual(self.mounts(), {'', '/proc', '/run'})

    def test_swap_and_volumes_of_a_machine_that_is_not_its_own_are_not_touched(self):
        status, texts = self.teardown_role()
        self.assertEqual((status, texts), (0, []))


if __name__ == '__main__':
    unittest.main()
