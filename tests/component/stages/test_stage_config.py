# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage config against an emulated BuilderHub: what it hands over, byte for byte, and what it refuses."""

import hashlib
import json
import subprocess
import tempfile
import unittest

from peers import PeerTest
from support import AGAIN, DONE, INIT, NEVER, Stage, private_network
from qemu import pki
from qemu.peers.hub import API, DISK_KEY, Hub
from qemu.peers.platform import configure_network


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
                (b'{"a":1}{', 'bytes after the JSON value'), (b'{"a":1,"a":2}', 'a key occurs twice'),
                (b'{"a":"\xff"}', 'not UTF-8'), (b'{"a":"x\\u0000"}', 'NUL in a string'),
                (b'{"a":01}', 'leading zero'), (b'{"a":NaN}', 'a value expected'),
                (b'{"a":1' + b'0' * 127 + b'}', 'number is too long'), (b'{"a":' + b'[' * 40, 'nested too deeply')):
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
        with Hub(address='127.0.0.1', port=8443, plain_port=793), \
                Stage('config', {'url': f'http://127.0.0.1:793{API}/configuration'}) as stage:
            self.assertEqual(stage.wait(), DONE)

    def check(self, url, **more):
        """The answer of `gantryctl check` to a stage with that URL."""
        config = {'stages': [{'name': 'config', 'type': 'config', 'options': {'url': url, **more}}]}
        with tempfile.NamedTemporaryFile('w', suffix='.json', encoding='utf-8') as file:
            json.dump(config, file, indent=1)
            file.flush()
            checked = subprocess.run(['gantryctl', 'check', file.name], executable=INIT, capture_output=True, text=True,
                                     check=False)
        return (checked.stdout or checked.stderr).replace(file.name, 'boot.json').strip()

    def test_a_url_that_the_stage_refuses_for_good_is_refused_before_the_boot(self):
        says = '"url" must be https with a pinned CA ("ca"), or http to 127.0.0.1, localhost or [::1]'
        for url in ('http://10.0.0.1/', 'ftp://example/', 'unix:/run/x', 'HTTP://127.0.0.1:80/', 'http://127.1:80/',
                    'http://127.0.0.2:80/', 'http://127.0.0.1.evil.test/', 'http://localhost@10.77.0.1/', 'https://10.0.0.1/'):
            self.assertEqual(self.check(url), f'boot.json:6: stages[0] "config": options: {says}', url)
            with Stage('config', {'url': url}) as stage:
                self.assertEqual((stage.wait(), stage.result), (NEVER, says), url)
        self.assertIn(says, self.check('https://10.0.0.1/', ca=''))
        with Stage('config', {'url': 'http://127.0.0.1:7937/'}) as stage:
            self.assertEqual(stage.wait(), NEVER)
            self.assertIn('any process may listen', stage.result)

    def test_a_loopback_port_that_any_process_may_take_is_refused_before_the_boot(self):
        for url in ('http://127.0.0.1:793/x', 'http://[::1]:1023', 'http://localhost/x:9000', 'http://127.0.0.1', 'http://[::1]/',
                    'http://127.0.0.1:/'):
            self.assertEqual(self.check(url), 'boot.json: ok', url)
        for url in ('https://127.0.0.1:7937/x', 'https://hub.example:7937/'):
            self.assertEqual(self.check(url, ca='/etc/ca.pem'), 'boot.json: ok', url)
        for url in ('http://127.0.0.1:7937/x', 'http://[::1]:1024', 'http://localhost:65535?x', 'http://127.0.0.1:0/',
                    'http://127.0.0.1:80x/', 'http://127.0.0.1:-80/', 'http://127.0.0.1:4294967376/'):
            self.assertRegex(self.check(url), r'^boot.json:6: stages\[0\] "config": options: "url": any process may listen on a '
                                              r'loopback port above 1023 while its owner is down; ', url)


if __name__ == '__main__':
    unittest.main()
