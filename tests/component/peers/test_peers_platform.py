# SPDX-License-Identifier: GPL-2.0-or-later
"""The peers that are the machine's platform, the wireserver, IMDS, the hub and the time source: what each demands. curl and
chronyd, which nobody here wrote, agree with them."""

import base64
import json
import socket
import struct
import subprocess
import time
import unittest
import xml.etree.ElementTree as ElementTree

from patience import PATIENCE
from peers import HERE, PeerTest, curl
from qemu import pki
from qemu.peers import faults
from qemu.peers.hub import API, Hub
from qemu.peers.imds import Imds
from qemu.peers.ntp import NtpServer, shift
from qemu.peers.wireserver import Wireserver
from qemu.tdx import quote as tdx


class WireserverTest(PeerTest):
    HEADERS = ('-H', 'x-ms-agent-name: test', '-H', 'x-ms-version: 2012-11-30')
    XML = ('-H', 'Content-Type: text/xml; charset=utf-8')

    def setUp(self):
        self.peer = self.started(Wireserver(HERE, 0))

    def goal_state(self):
        status, body = curl(*self.HEADERS, f'{self.peer.url()}/machine/?comp=goalstate')
        self.assertEqual(status, 200)
        return body

    def report(self, body, *arguments):
        return curl(*self.HEADERS, *(arguments or self.XML), '--data-binary', body,
                    f'{self.peer.url()}/machine?comp=health')[0]

    def health(self, state='<State>Ready</State>', **changed):
        ids = {'incarnation': self.peer.incarnation, 'container': self.peer.container_id,
               'instance': self.peer.instance_id, **changed}
        return (f'<?xml version="1.0" encoding="utf-8"?><Health><GoalStateIncarnation>{ids["incarnation"]}'
                f'</GoalStateIncarnation><Container><ContainerId>{ids["container"]}</ContainerId><RoleInstanceList>'
                f'<Role><InstanceId>{ids["instance"]}</InstanceId><Health>{state}</Health></Role>'
                '</RoleInstanceList></Container></Health>')

    def test_goal_state_names_what_a_report_must_echo(self):
        root = ElementTree.fromstring(self.goal_state())
        self.assertEqual(root.findtext('Incarnation'), '7')
        self.assertEqual(root.findtext('Container/ContainerId'), self.peer.container_id)
        self.assertEqual(root.findtext('Container/RoleInstanceList/RoleInstance/InstanceId'), self.peer.instance_id)

    def test_goal_state_with_bom_and_crlf_is_the_same_document(self):
        plain = ElementTree.tostring(ElementTree.fromstring(self.goal_state()))
        self.peer.bom = self.peer.crlf = True
        body = self.goal_state()
        self.assertTrue(body.startswith(b'\xef\xbb\xbf<?xml'))
        self.assertEqual(body.count(b'\n'), body.count(b'\r\n'))
        self.assertEqual(ElementTree.tostring(ElementTree.fromstring(body)), plain)

    def test_headers_are_demanded(self):
        url = f'{self.peer.url()}/machine/?comp=goalstate'
        self.assertEqual(curl(url)[0], 400)
        self.assertEqual(curl('-H', 'x-ms-agent-name: x', url)[0], 400)
        self.assertEqual(curl('-H', 'x-ms-agent-name: x', '-H', 'x-ms-version: 2015-04-05', url)[0], 400)

    def test_ready_is_accepted_when_everything_is_echoed(self):
        self.assertEqual(self.report(self.health()), 200)
        self.assertEqual(self.peer.health[0]['state'], 'Ready')
        self.assertTrue(self.peer.wait_for_health('Ready', 1))

    def test_wrong_incarnation_or_ids_are_refused(self):
        for changed in ({'incarnation': 1}, {'container': 'x'}, {'instance': self.peer.instance_id + ' '}):
            self.assertEqual(self.report(self.health(**changed)), 400, changed)
        self.assertEqual(self.report(self.health(), '-H', 'Content-Type: text/plain'), 400)
        self.assertEqual(self.report('not XML'), 400)
        self.assertEqual(self.peer.health, [])
        self.assertIn('not XML', self.peer.requests()[-1]['refused'])

    def test_incarnation_may_change_while_it_runs(self):
        self.peer.incarnation = 8
        self.assertEqual(self.report(self.health(incarnation=7)), 400)
        self.assertEqual(self.report(self.health()), 200)

    def test_not_ready_needs_details(self):
        details = '<Details><SubStatus>{}</SubStatus><Description>{}</Description></Details>'
        bare = '<State>NotReady</State>'
        self.assertEqual(self.report(self.health(bare)), 400)
        self.assertEqual(self.report(self.health(bare + details.format('Broken', 'x'))), 400)
        self.assertEqual(self.report(self.health(bare + details.format('ProvisioningFailed', 'x' * 4097))), 400)
        self.assertEqual(self.report(self.health(bare + details.format('ProvisioningFailed', 'disk &lt;x&gt;'))), 200)
        self.assertEqual(self.peer.health[-1]['description'], 'disk <x>')

    def test_json_provisioning_api(self):
        def post(body, *headers):
            return curl('-H', 'Content-Type: application/json', *headers, '-d', body,
                        f'{self.peer.url()}/provisioning/health')[0]
        name = ('-H', 'x-ms-guest-agent-name: test')
        self.assertEqual(post('{"state":"Ready"}', *name), 201)
        self.assertEqual(post('{"state":"Ready"}'), 400)
        self.assertEqual(post('{"state":"Splendid"}', *name), 400)
        self.assertEqual(post('[]', *name), 400)
        self.peer.json_api = False
        self.assertEqual(post('{"state":"Ready"}', *name), 404)

    def test_error_status_is_xml(self):
        self.peer.faults.set('status:503')
        status, body = curl(*self.HEADERS, f'{self.peer.url()}/machine/?comp=goalstate')
        self.assertEqual((status, ElementTree.fromstring(body).findtext('Code')), (503, '503'))


class ImdsTest(PeerTest):
    def setUp(self):
        self.peer = self.started(Imds(HERE, 0))

    def get(self, path, *arguments):
        return curl('-H', 'Metadata: true', *arguments, self.peer.url() + path)

    def test_instance_document_and_single_values(self):
        status, body = self.get('/metadata/instance?api-version=2021-08-01&extended=true')
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(body)['extended']['compute']['ppsType'], 'None')
        path = '/metadata/instance/network/interface/0/ipv4/ipAddress/0/privateIpAddress'
        self.assertEqual(self.get(f'{path}?api-version=2021-02-01&format=text'), (200, b'10.0.0.4'))

    def test_what_the_real_one_refuses(self):
        path = '/metadata/instance?api-version=2021-08-01'
        self.assertEqual(curl(self.peer.url() + path)[0], 400)
        self.assertEqual(self.get(path, '-H', 'X-Forwarded-For: 10.0.0.4')[0], 400)
        self.assertEqual(self.get('/metadata/instance')[0], 400)
        self.assertEqual(self.get('/metadata/instance/compute/nothing?api-version=2021-08-01')[0], 404)

    def quote(self, report, *arguments, text=None):
        text = text or base64.urlsafe_b64encode(report).rstrip(b'=').decode()
        arguments = arguments or ('-H', 'Content-Type: application/json')
        return self.get('/acc/tdquote', *arguments, '-d', json.dumps({'report': text}))

    def test_tdquote_turns_a_report_into_a_quote_that_verifies(self):
        status, body = self.quote(tdx.build_report(b'nonce'))
        self.assertEqual(status, 200)
        text = json.loads(body)['quote']
        self.assertNotIn('=', text)
        quote = base64.urlsafe_b64decode(text + '==')
        self.assertEqual(len(quote), tdx.AZURE_QUOTE_SIZE)
        self.assertEqual(tdx.verify_quote(quote, b'nonce').td.mrtd, tdx.Td().mrtd)

    def test_tdquote_is_strict_about_the_content_type(self):
        report = tdx.build_report(b'')
        self.assertEqual(self.quote(report, '-H', 'Content-Type: application/json; charset=utf-8')[0], 415)
        self.assertEqual(self.quote(report, '-H', 'Content-Type: text/plain')[0], 415)

    def test_tdquote_refuses_what_is_no_report_of_this_platform(self):
        report = tdx.build_report(b'')
        self.assertEqual(self.quote(report[:-1])[0], 400)
        self.assertEqual(self.quote(report[:130] + b'x' + report[131:])[0], 400)
        self.assertEqual(self.quote(b'', text=base64.b64encode(report).decode())[0], 400)
        self.peer.tdquote = False
        self.assertEqual(self.quote(report)[0], 404)


class HubTest(PeerTest):
    def setUp(self):
        self.peer = self.started(Hub(HERE, 0, 0))
        self.port = self.peer.addresses[0][1]

    def fetch(self, *arguments, code=0, ca='hub-ca', name='hub.test'):
        return curl('--cacert', pki.path(f'{ca}.pem'), '--resolve', f'{name}:{self.port}:{HERE}', *arguments,
                    f'https://{name}:{self.port}{API}/configuration', code=code)

    def test_document_over_tls_with_the_pinned_ca_by_name_and_by_address(self):
        status, body = self.fetch()
        self.assertEqual((status, json.loads(body)['instance_name']), (200, 'gantry-test-01'))
        self.fetch('--tls-max', '1.2')
        self.fetch('--connect-to', f'10.77.0.1:{self.port}:{HERE}:{self.port}', name='10.77.0.1')

    def test_other_ca_expired_certificate_and_wrong_name_are_what_they_say(self):
        self.fetch(ca='other-ca', code=60)
        for kind in faults.TLS_KINDS:
            self.peer.faults.set(f'tls:{kind}')
            self.fetch(code=60)
        self.peer.faults.clear()
        self.assertEqual(self.fetch()[0], 200)

    def test_403_until_the_node_is_allowed(self):
        self.peer.allowed = False
        self.assertEqual(self.fetch()[0], 403)
        self.peer.allowed = True
        self.assertEqual(self.fetch()[0], 200)

    def test_disk_key_is_there_only_if_asked(self):
        self.assertNotIn('disk_encryption', json.loads(self.fetch()[1]))
        other = self.started(Hub(HERE, 0, 0, disk_key='k'))
        self.assertEqual(json.loads(curl(f'{other.url(1)}{API}/configuration')[1])['disk_encryption'], {'key': 'k'})

    def test_document_given_as_bytes_is_served_as_it_is(self):
        self.peer.document = b'{"a": '
        self.assertEqual(self.fetch(), (200, b'{"a": '))

    def test_credentials_are_registered(self):
        url = f'{self.peer.url(1)}{API}/register_credentials/'
        self.assertEqual(curl('-d', '{"tls_cert":"PEM"}', url + 'instance')[0], 200)
        self.assertEqual(self.peer.registered['instance'], {'tls_cert': 'PEM'})
        self.assertEqual(curl('-d', '{"tls_cert":"PEM"}', url + 'rbuilder')[0], 400)
        self.assertEqual(curl('-d', '[]', url + 'nothing')[0], 400)


@unittest.skipUnless(NtpServer().program, 'chronyd is not installed')
class NtpTest(PeerTest):
    def setUp(self):
        self.peer = self.started(NtpServer(HERE, 0))

    def ask(self, timeout_s=2.0 * PATIENCE):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(timeout_s)
            client.connect(self.peer.address)
            client.send(b'\x23' + bytes(39) + b'originat')
            return client.recv(100)

    @staticmethod
    def told(packet):
        return struct.unpack_from('>Q', packet, 40)[0] / 2 ** 32 - 2_208_988_800

    def assert_told(self, offset_s):
        before, answer, after = time.time(), self.ask(), time.time()
        self.assertGreater(self.told(answer), before + offset_s - 0.5)
        self.assertLess(self.told(answer), after + offset_s + 0.5)
        return answer

    def test_it_tells_the_time(self):
        answer = self.assert_told(0)
        self.assertEqual((answer[0] >> 6, answer[1], answer[24:32]), (0, 3, b'originat'))
        self.assertEqual(self.peer.count(), 1)

    def test_chronyd_itself_measures_it(self):
        ran = subprocess.run([self.peer.program, '-Q', '-x', '-u', 'root', '-U', '-t', '15', '-f', '/dev/null',
                              f'server {HERE} port {self.peer.address[1]} iburst', 'pidfile /', 'cmdport 0'],
                             capture_output=True, text=True, timeout=30, check=False)
        self.assertIn('System clock wrong by', ran.stdout + ran.stderr)
        self.assertEqual(ran.returncode, 0)

    def test_faults(self):
        self.peer.faults.set('offset:-7200')
        self.assert_told(-7200)
        self.peer.faults.clear()
        self.peer.faults.set('hang:1')
        with self.assertRaises(TimeoutError):
            self.ask(0.3)
        self.peer.faults.set('status:RATE:1')
        answer = self.ask()
        self.assertEqual((answer[0] >> 6, answer[1], answer[12:16]), (3, 0, b'RATE'))
        self.peer.faults.set('garbage:random:1')
        self.assertEqual(len(self.ask()), 48)
        self.peer.faults.set('slow:0.3:1')
        started = time.monotonic()
        self.ask()
        self.assertGreaterEqual(time.monotonic() - started, 0.3)
        self.peer.faults.set('down')
        with self.assertRaises(ConnectionRefusedError):
            self.ask()
        self.peer.faults.clear()
        self.ask()

    def test_shifting_moves_what_is_told_and_keeps_the_origin(self):
        packet = bytes(range(1, 49))
        moved = shift(packet, 1.5)
        self.assertEqual(moved[24:32], packet[24:32])
        self.assertEqual(int.from_bytes(moved[40:48]) - int.from_bytes(packet[40:48]), 3 << 31)


if __name__ == '__main__':
    unittest.main()
