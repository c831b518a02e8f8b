# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage render: all files or none, only what differs, and reasons that name no value."""

import base64
import json
import os
import shutil
import signal
import tempfile
import time
import unittest

from patience import PATIENCE
from support import AGAIN, DONE, NEVER, Stage, temporary_folder


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

    def test_a_stage_that_is_killed_leaves_no_file_half_made(self):
        """Its partner, which has written the first one, removes it."""
        one = self.template('one.mustache', 'n={{n}}')
        os.mkfifo(os.path.join(self.folder, 'two.mustache'))        # where it waits
        files = [self.file(one, 'one'), self.file(os.path.join(self.folder, 'two.mustache'), 'two')]
        with Stage('render', {'files': files}, artifacts={'config': b'{"n": 1}'}) as stage:
            end = time.monotonic() + 20 * PATIENCE
            while not os.path.exists(os.path.join(self.folder, 'one.gantry-new')):
                self.assertLess(time.monotonic(), end, stage._story())
                time.sleep(0.01)
            stage.kill(signal.SIGKILL)
            stage.wait()
        while 'one.gantry-new' in os.listdir(self.folder):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        self.assertEqual(sorted(os.listdir(self.folder)), ['one.mustache', 'two.mustache'])

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

    def test_a_link_in_the_path_is_followed_only_if_root_alone_can_have_made_it(self):
        template = self.template('t.mustache', 'n={{n}}')
        root = tempfile.mkdtemp(dir='/run')      # in the other folder, all of /tmp might have made it
        self.addCleanup(shutil.rmtree, root)
        for folder, owner, mode, expected in (('ours', 0, 0o755, DONE), ('theirs', 1001, 0o755, AGAIN), ('all', 0, 0o777, AGAIN)):
            for target in ('../target', os.path.join(root, 'target')):
                os.makedirs(os.path.join(root, 'target'))
                at = os.path.join(root, folder)
                os.mkdir(at)
                os.symlink(target, os.path.join(at, 'conf'))
                os.chmod(at, mode)
                os.chown(at, owner, owner)
                path = os.path.join(at, 'conf', 'file')
                with self.subTest(folder=folder, target=target):
                    for how in (None, 'apply'):
                        status, result, _ = self.render({'template': template, 'path': path}, mode=how)
                        self.assertEqual(status, expected, result)
                        self.assertEqual(os.listdir(os.path.join(root, 'target')), ['file'] if expected == DONE else [])
                        if expected != DONE:
                            self.assertEqual(result, f"{path}: a symbolic link in the path that is not root's alone")
                shutil.rmtree(at)
                shutil.rmtree(os.path.join(root, 'target'))

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
            self.assertEqual(stage.result, 'the config stage gave no configuration')

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


if __name__ == '__main__':
    unittest.main()
