# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated peers themselves: what they demand, every fault, and that clients nobody here wrote (curl with
SigV4, rclone, chronyd) agree with them. A peer that is too lenient would hide a mistake of ours."""

import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import xml.etree.ElementTree as ElementTree
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP))

from qemu import pki                                                        # noqa: E402
from qemu.peers import faults, s3 as s3_peer                                # noqa: E402
from qemu.peers.control import ControlClient                                # noqa: E402
from qemu.peers.hub import API, Hub                                         # noqa: E402
from qemu.peers.imds import Imds                                            # noqa: E402
from qemu.peers.ntp import NtpServer, shift                                 # noqa: E402
from qemu.peers.s3 import S3                                                # noqa: E402
from qemu.peers.wireserver import Wireserver                                # noqa: E402
from qemu.pki import make_pki, p256, x509                                   # noqa: E402
from qemu.tdx import quote as tdx                                           # noqa: E402

HERE = '127.0.0.1'
BUCKET, PREFIX = 'chain-db-snapshots', 'reth-mainnet-full'


def curl(*arguments, code=0):
    """Runs curl; gives (HTTP status, body). `code`: curl's exit status that must come, None for any."""
    ran = subprocess.run(['curl', '-q', '-s', '-S', '--noproxy', '*', '-m', '20', '-w', '\n%{http_code}', *arguments],
                         capture_output=True, check=False)
    if code is not None and ran.returncode != code:
        raise AssertionError(f'curl exited {ran.returncode}, not {code}: {ran.stderr.decode()}')
    body, _, status = ran.stdout.rpartition(b'\n')
    return int(status), body


class PeerTest(unittest.TestCase):
    def started(self, peer):
        peer.start()
        self.addCleanup(peer.stop)
        return peer


class FaultTexts(unittest.TestCase):
    def test_every_form_parses_and_prints_back(self):
        for text in ('down', 'hang', 'hang:2', 'slow:0.5', 'slow:65536/s:3', 'status:403:3', 'status:503@mdbx',
                     'garbage:random', 'drop_after:1000000:2@db/mdbx.dat', 'tls:expired', 'offset:-7200'):
            self.assertEqual(str(faults.Fault.parse(text)), text)
        self.assertEqual(faults.Fault.parse('drop-after:64k').argument, 65536)

    def test_wrong_texts_are_refused_with_a_reason(self):
        for text in ('', 'upside-down', 'status', 'status:403:0', 'status:403:x', 'slow:fast', 'garbage:nice',
                     'drop_after:-1', 'tls:old', 'down:1', 'status:403:1:1'):
            with self.assertRaises(faults.FaultError, msg=text):
                faults.Fault.parse(text)

    def test_times_are_used_up_and_part_selects(self):
        switches = faults.Faults()
        switches.set('status:403:2', 'status:500@special')
        self.assertEqual(switches.take('status', '/special').argument, '403')
        self.assertEqual(switches.take('status', '/x').argument, '403')
        self.assertIsNone(switches.take('status', '/x'))
        self.assertEqual(switches.take('status', '/special').argument, '500')


class EveryHttpPeer(PeerTest):
    """Faults are the server's, so one peer stands for all; each peer's own errors are tested below."""

    def setUp(self):
        self.peer = self.started(Hub(HERE, 0, 0))
        self.url = f'{self.peer.url(1)}{API}/configuration'

    def test_down_refuses_and_comes_back_on_the_same_port(self):
        self.peer.faults.set('down')
        curl(self.url, code=7)
        self.peer.faults.clear('down')
        self.assertEqual(curl(self.url)[0], 200)

    def test_down_from_the_start(self):
        self.peer.stop()
        self.peer.faults.set('down')
        self.peer.start()
        curl(self.url, code=7)
        self.peer.faults.clear()
        self.assertEqual(curl(self.url)[0], 200)

    def test_hang_never_answers_until_it_is_cleared(self):
        self.peer.faults.set('hang')
        curl('-m', '0.5', self.url, code=28)
        self.peer.faults.clear()
        self.assertEqual(curl(self.url)[0], 200)

    def test_hang_for_one_request(self):
        self.peer.faults.set('hang:1')
        curl('-m', '0.5', self.url, code=28)
        self.assertEqual(curl(self.url)[0], 200)

    def test_slow_answer(self):
        self.peer.faults.set('slow:0.4')
        started = time.monotonic()
        self.assertEqual(curl(self.url)[0], 200)
        self.assertGreaterEqual(time.monotonic() - started, 0.4)

    def test_slow_body_at_a_rate(self):
        self.peer.document = b'"' + b'a' * 50_000 + b'"'
        self.peer.faults.set('slow:100k/s')
        started = time.monotonic()
        self.assertEqual(len(curl(self.url)[1]), 50_002)
        self.assertGreater(time.monotonic() - started, 0.35)

    def test_status_for_some_requests_then_well(self):
        self.peer.faults.set('status:403:2')
        self.assertEqual([curl(self.url)[0] for _ in range(3)], [403, 403, 200])
        self.assertEqual(self.peer.count(status=403), 2)
        self.assertEqual(self.peer.count(contains='configuration', status=200), 1)

    def test_garbage_of_every_kind_is_what_it_says(self):
        well = json.loads(curl(self.url)[1])
        for kind in faults.GARBAGE_KINDS:
            if kind in ('huge', 'http'):
                continue
            self.peer.faults.set(f'garbage:{kind}:1')
            body = curl(self.url)[1]
            if kind == 'wrong':
                self.assertNotEqual(json.loads(body), well)
            else:
                with self.assertRaises((ValueError, RecursionError), msg=kind):
                    json.loads(body)
        self.peer.faults.set('garbage:http:1')
        self.assertIn(curl('--http0.9', self.url, code=None)[0], (0, 200))
        self.assertEqual(json.loads(curl(self.url)[1]), well)

    def test_huge_garbage_is_far_beyond_any_bound(self):
        self.peer.faults.set('garbage:huge')
        curl('--max-filesize', '1048576', self.url, code=63)

    def test_drop_after_cuts_at_the_byte_as_often_as_asked(self):
        self.peer.faults.set('drop_after:100:2')
        for _ in range(2):
            self.assertEqual(len(curl(self.url, code=18)[1]), 100)
        self.assertGreater(len(curl(self.url)[1]), 100)
        self.assertEqual([entry['sent'] for entry in self.peer.requests()][:2], [100, 100])

    def test_two_requests_on_one_connection(self):
        status, body = curl(self.url, self.url)
        self.assertEqual(status, 200)
        self.assertEqual(len(self.peer.requests()), 2)

    def test_malformed_requests_get_400_and_harm_nothing(self):
        for raw in (b'\r\n\r\n', b'GET / HTTP/9\r\n\r\n', b'GET /\r\n\r\n', b'GET / HTTP/1.1\r\nbad header\r\n\r\n',
                    b'POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n', b'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n',
                    b'GET / HTTP/1.1\r\nA: ' + b'x' * 70_000 + b'\r\n\r\n', os.urandom(300) + b'\n\n'):
            with socket.create_connection(self.peer.addresses[1], 5) as connection:
                connection.sendall(raw)
                try:
                    self.assertIn(connection.recv(100)[:12], (b'HTTP/1.1 400', b''), raw[:20])
                except ConnectionResetError:
                    pass
        self.assertEqual(curl(self.url)[0], 200)

    def test_a_test_can_wait_for_a_request(self):
        self.assertFalse(self.peer.wait_for(1, timeout_s=0.05))
        curl(self.url)
        self.assertTrue(self.peer.wait_for(1, timeout_s=5, status=200))
        self.peer.forget()
        self.assertEqual(self.peer.count(), 0)


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


class S3Test(PeerTest):
    def setUp(self):
        self.peer = self.started(S3(HERE, 0, 0))

    def signed(self, path, *arguments, key=None, code=0, region='auto'):
        user = f'{self.peer.access_key}:{self.peer.secret_key if key is None else key}'
        return curl('--aws-sigv4', f'aws:amz:{region}:s3', '--user', user, *arguments,
                    self.peer.url() + path, code=code)

    def error_code(self, answer):
        return answer[0], ElementTree.fromstring(answer[1]).findtext('Code')

    def test_content_is_the_same_however_it_is_cut(self):
        whole = s3_peer.Seeded('x', 300_001)
        body = b''.join(whole.read(0, whole.size))
        self.assertEqual(len(body), whole.size)
        for start, end in ((0, 1), (31, 33), (65_535, 65_537), (65_536, 65_568), (131_072, 300_001), (5, 299_999), (7, 7)):
            self.assertEqual(b''.join(whole.read(start, end)), body[start:end])
        self.assertNotEqual(body, b''.join(s3_peer.Seeded('y', 300_001).read(0, 300_001)))
        self.assertEqual(len({body[i:i + 4096] for i in range(0, 294_912, 4096)}), 72)

    def test_a_signed_get_is_answered_and_an_unsigned_one_is_not(self):
        self.peer.put('b', 'dir/key', b'hello')
        self.assertEqual(self.signed('/b/dir/key'), (200, b'hello'))
        self.assertEqual(self.error_code(curl(self.peer.url() + '/b/dir/key')), (403, 'AccessDenied'))

    def test_signatures_are_really_checked(self):
        self.peer.put('b', 'key', b'hello')
        self.assertEqual(self.error_code(self.signed('/b/key', key='wrong')), (403, 'SignatureDoesNotMatch'))
        self.assertEqual(self.error_code(self.signed('/b/key', region='eu-west-1')), (400, 'AuthorizationHeaderMalformed'))
        self.signed('/b/key')
        headers = self.peer.requests()[-1]['headers']
        copied = [argument for name in ('authorization', 'x-amz-date', 'x-amz-content-sha256')
                  for argument in ('-H', f'{name}: {headers[name]}')]
        self.assertEqual(curl(*copied, self.peer.url() + '/b/key')[0], 200)
        self.assertEqual(self.error_code(curl(*copied, self.peer.url() + '/b/key2')), (403, 'SignatureDoesNotMatch'))
        self.assertEqual(self.error_code(curl(*copied, '-H', 'x-amz-acl: private', self.peer.url() + '/b/key')),
                         (403, 'AccessDenied'))
        self.peer.access_key = 'SOMEBODYELSE'
        self.assertEqual(self.error_code(curl(*copied, self.peer.url() + '/b/key')), (403, 'InvalidAccessKeyId'))

    def test_a_clock_that_is_far_off_is_refused(self):
        self.peer.put('b', 'key', b'hello')
        for offset, status in ((800, 200), (-800, 200), (1000, 403), (-1000, 403)):
            self.peer.clock_offset_s = offset
            self.assertEqual(self.signed('/b/key')[0], status)
        self.assertEqual(self.error_code(self.signed('/b/key')), (403, 'RequestTimeTooSkewed'))

    def test_ranges_and_if_match(self):
        made = self.peer.put('b', 'big', ('seed', 40_000_000))
        body = b''.join(made.content.read(0, made.size))
        status, part = self.signed('/b/big', '-H', 'Range: bytes=1000000-1999999', '-H', f'If-Match: {made.etag}')
        self.assertEqual((status, part), (206, body[1_000_000:2_000_000]))
        self.assertEqual(self.signed('/b/big', '-r', '39999990-')[1], body[-10:])
        self.assertEqual(self.signed('/b/big', '-r', '-10')[1], body[-10:])
        self.assertEqual(self.error_code(self.signed('/b/big', '-r', '40000000-')), (416, 'InvalidRange'))
        self.assertEqual(self.error_code(self.signed('/b/big', '-H', 'If-Match: "other"')), (412, 'PreconditionFailed'))
        self.assertRegex(made.etag, r'^"[0-9a-f]{32}-3"$')
        self.assertEqual(hashlib.sha256(body).hexdigest(), made.sha256())

    def test_head_gives_size_and_etag(self):
        made = self.peer.put('b', 'k', b'12345')
        status, head = self.signed('/b/k', '-I')
        self.assertEqual(status, 200)
        self.assertIn(b'Content-Length: 5\r\n', head)
        self.assertIn(f'ETag: "{hashlib.md5(b"12345").hexdigest()}"\r\n'.encode(), head)
        self.assertEqual(made.etag, f'"{hashlib.md5(b"12345").hexdigest()}"')

    def test_missing_things_are_404(self):
        self.peer.put('b', 'k', b'')
        self.assertEqual(self.error_code(self.signed('/b/none')), (404, 'NoSuchKey'))
        self.assertEqual(self.error_code(self.signed('/none/k')), (404, 'NoSuchBucket'))
        self.assertEqual(self.error_code(self.signed('/b/k', '-X', 'DELETE')), (405, 'MethodNotAllowed'))

    def pages(self, **parameters):
        """Every key of a listing, page by page."""
        keys, counts, token = [], [], None
        while True:
            query = {'list-type': '2', **parameters, **({'continuation-token': token} if token else {})}
            # Not by curl: 8.14 signs a %2B in a query as if it were a space, and our tokens have such.
            target = f'/{BUCKET}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}'
            headers = s3_peer.signed_headers('GET', target, self.peer.url().removeprefix('http://'),
                                             self.peer.access_key, self.peer.secret_key)
            status, body = curl(*(a for name, value in headers.items() for a in ('-H', f'{name}: {value}')),
                                self.peer.url() + target)
            self.assertEqual(status, 200, body)
            page = ElementTree.fromstring(body)
            at = '{http://s3.amazonaws.com/doc/2006-03-01/}'
            found = [(each.findtext(at + 'Key'), int(each.findtext(at + 'Size'))) for each in page.iter(at + 'Contents')]
            self.assertEqual(int(page.findtext(at + 'KeyCount')), len(found))
            keys += found
            counts.append(len(found))
            token = page.findtext(at + 'NextContinuationToken')
            self.assertEqual(page.findtext(at + 'IsTruncated'), 'true' if token else 'false')
            if not token:
                return keys, counts

    def test_listing_pages_through_everything_once(self):
        directory = self.peer.put_snapshot(1_000_000)
        expected = sorted(self.peer.objects[BUCKET], key=str.encode)
        expected = [key for key in expected if key.startswith(f'{PREFIX}/{directory}/')]
        keys, counts = self.pages(prefix=f'{PREFIX}/{directory}/', **{'max-keys': '7'})
        self.assertEqual([key for key, _ in keys], expected)
        self.assertTrue(all(count == 7 for count in counts[:-1]) and len(counts) > 5)
        keys, _ = self.pages(prefix=f'{PREFIX}/{directory}/', **{'max-keys': '9', 'encoding-type': 'url'})
        self.assertEqual([urllib.parse.unquote_plus(key) for key, _ in keys], expected)
        self.assertIn('static_files/odd+name+%2B+%281%29', ' '.join(key for key, _ in keys))
        self.peer.max_keys, self.peer.space_as_plus = 4, False
        keys, counts = self.pages(prefix=f'{PREFIX}/{directory}/', **{'encoding-type': 'url'})
        self.assertEqual([urllib.parse.unquote(key) for key, _ in keys], expected)
        self.assertEqual(max(counts), 4)

    def test_a_made_up_continuation_token_is_refused(self):
        self.peer.put_snapshot(1000)
        answer = self.signed(f'/{BUCKET}?continuation-token=abcd&list-type=2')
        self.assertEqual(self.error_code(answer), (400, 'InvalidArgument'))

    def test_latest_version_names_the_directory(self):
        self.peer.put_snapshot(1000, directory='reth-old')
        directory = self.peer.put_snapshot(1000, directory='reth-new')
        self.assertEqual(self.signed(f'/{BUCKET}/{PREFIX}/latest_version.meta.txt')[1].decode().strip(), directory)

    def test_over_tls(self):
        self.peer.put('b', 'k', b'x')
        port = self.peer.addresses[1][1]
        user = f'{self.peer.access_key}:{self.peer.secret_key}'
        self.assertEqual(curl('--aws-sigv4', 'aws:amz:auto:s3', '--user', user, '--cacert', pki.path('hub-ca.pem'),
                              '--resolve', f's3.test:{port}:{HERE}', f'https://s3.test:{port}/b/k'), (200, b'x'))

    def test_errors_by_fault_are_s3_errors_and_can_name_one_object(self):
        self.peer.put('b', 'one', b'1')
        self.peer.put('b', 'two', b'2')
        self.peer.faults.set('status:503:1@two')
        self.assertEqual(self.signed('/b/one')[0], 200)
        self.assertEqual(self.error_code(self.signed('/b/two')), (503, 'SlowDown'))
        self.assertEqual(self.signed('/b/two')[0], 200)

    @unittest.skipUnless(shutil.which('rclone'), 'rclone is not installed')
    def test_rclone_syncs_a_snapshot_and_every_byte_is_right(self):
        directory = self.peer.put_snapshot(24_000_000)
        self.peer.max_keys = 10
        self.peer.faults.set('drop_after:1000000:2@mdbx.dat', 'status:503:1@headers')
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, 'RCLONE_CONFIG': f'{folder}/none', 'RCLONE_CONFIG_R2_TYPE': 's3',
                           'RCLONE_CONFIG_R2_PROVIDER': 'Cloudflare', 'RCLONE_CONFIG_R2_REGION': 'auto',
                           'RCLONE_CONFIG_R2_ENDPOINT': self.peer.url(), 'RCLONE_CONFIG_R2_NO_CHECK_BUCKET': 'true',
                           'RCLONE_CONFIG_R2_ACCESS_KEY_ID': self.peer.access_key,
                           'RCLONE_CONFIG_R2_SECRET_ACCESS_KEY': self.peer.secret_key}
            ran = subprocess.run(
                ['rclone', 'sync', f'r2:{BUCKET}/{PREFIX}/{directory}/', f'{folder}/reth', '--fast-list', '--transfers=4',
                 '--multi-thread-cutoff', '4M', '--multi-thread-streams', '3', '--low-level-retries', '5'],
                env=environment, capture_output=True, text=True, timeout=120, check=False)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            expected = self.peer.manifest(BUCKET, f'{PREFIX}/{directory}/')
            found = {}
            for path in Path(folder, 'reth').rglob('*'):
                if path.is_file():
                    body = path.read_bytes()
                    found[str(path.relative_to(f'{folder}/reth'))] = (len(body), hashlib.sha256(body).hexdigest())
            self.assertEqual(found, expected)
        self.assertGreater(self.peer.count(contains='list-type=2'), 3)
        self.assertGreater(self.peer.count(status=206), 3)
        self.assertEqual([f for f in self.peer.requests() if f['fault']] and self.peer.faults.list(), [])


@unittest.skipUnless(NtpServer().program, 'chronyd is not installed')
class NtpTest(PeerTest):
    def setUp(self):
        self.peer = self.started(NtpServer(HERE, 0))

    def ask(self, timeout_s=2.0):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(timeout_s)
            client.connect(self.peer.address)
            client.send(b'\x23' + bytes(39) + b'originat')
            return client.recv(100)

    @staticmethod
    def told(packet):
        return struct.unpack_from('>Q', packet, 40)[0] / 2 ** 32 - 2_208_988_800

    def test_it_tells_the_time(self):
        answer = self.ask()
        self.assertEqual((answer[0] >> 6, answer[1], answer[24:32]), (0, 3, b'originat'))
        self.assertAlmostEqual(self.told(answer), time.time(), delta=0.5)
        self.assertEqual(self.peer.count(), 1)

    def test_chronyd_itself_measures_it(self):
        ran = subprocess.run([self.peer.program, '-Q', '-x', '-u', 'root', '-U', '-t', '15', '-f', '/dev/null',
                              f'server {HERE} port {self.peer.address[1]} iburst', 'pidfile /', 'cmdport 0'],
                             capture_output=True, text=True, timeout=30, check=False)
        self.assertIn('System clock wrong by', ran.stdout + ran.stderr)
        self.assertEqual(ran.returncode, 0)

    def test_faults(self):
        self.peer.faults.set('offset:-7200')
        self.assertAlmostEqual(self.told(self.ask()), time.time() - 7200, delta=0.5)
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


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.socket = f'{self.folder.name}/control'
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'qemu.peers', '--only', 'wireserver,hub,s3,imds', '--hub', f'{HERE}:0', '--s3', f'{HERE}:0',
             '--wireserver', f'{HERE}:0', '--imds', f'{HERE}:0', '--control', self.socket, '--snapshot', '1M',
             '--fault', 'hub=status:403:1', '--disk-key', 'abc'],
            cwd=TOP, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.lines = []
        for line in self.process.stdout:
            if line == 'ready\n':
                break
            self.lines.append(line)

    def test_peers_can_be_broken_watched_and_stopped_from_outside(self):
        at = {line.split()[0]: line.split()[1:] for line in self.lines}
        self.assertEqual(set(at), {'wireserver', 'hub', 's3', 'imds'})
        url = f'{at["hub"][1]}{API}/configuration'
        with ControlClient(self.socket) as control:
            self.assertEqual(control.peers()['hub']['faults'], ['status:403:1'])
            self.assertEqual(curl(url)[0], 403)
            self.assertEqual(json.loads(curl(url)[1])['disk_encryption']['key'], 'abc')
            control.fault('hub', 'down')
            curl(url, code=7)
            control.clear('hub')
            control.set('hub', allowed=False)
            self.assertEqual(curl(url)[0], 403)
            self.assertTrue(control.wait_for('hub', 2, timeout_s=5, status=403))
            self.assertEqual([r['status'] for r in control.requests('hub')], [403, 200, 403])
            self.assertEqual(control.count('hub', status=200), 1)
            self.assertEqual(control.health(), [])
            directory = control.put_snapshot(size=1000, directory='another')
            self.assertIn('reth.toml', control.manifest(BUCKET, f'{PREFIX}/{directory}/'))
            for wrong in (lambda: control.fault('hub', 'x'), lambda: control.fault('nobody', 'down'),
                          lambda: control.set('hub', log=1), lambda: control.ask('dance')):
                self.assertRaises(ValueError, wrong)
            control.ask('stop')
        self.assertEqual(self.process.wait(10), 0)

    def test_sigterm_ends_it(self):
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(10), 0)


class Certificates(unittest.TestCase):
    def test_committed_files_are_what_the_script_makes(self):
        for name, text in make_pki.files().items():
            self.assertEqual(Path(pki.path(name)).read_text(), text, name)
            self.assertTrue(text.startswith('TEST ONLY'), name)

    def test_openssl_agrees(self):
        def verify(leaf, *chain):
            return subprocess.run(['openssl', 'verify', '-x509_strict', *chain, pki.path(leaf)],
                                  capture_output=True, check=False).returncode == 0
        ca = ('-CAfile', pki.path('hub-ca.pem'))
        self.assertTrue(verify('hub.pem', *ca, '-verify_hostname', 'hub.test'))
        self.assertTrue(verify('hub.pem', *ca, '-verify_ip', '10.77.0.1'))
        self.assertFalse(verify('hub-wrong-name.pem', *ca, '-verify_hostname', 'hub.test'))
        self.assertFalse(verify('hub-expired.pem', *ca))
        self.assertFalse(verify('hub-untrusted.pem', *ca))
        self.assertTrue(verify('sgx-pck.pem', '-CAfile', pki.path('sgx-root.pem'), '-untrusted', pki.path('sgx-platform.pem')))

    def test_signatures_by_known_answer(self):
        # RFC 6979, A.2.5: P-256, SHA-256, "sample".
        key = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
        signature = p256.sign(key, b'sample')
        self.assertEqual(signature.hex().upper(), 'EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716'
                                                  'F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8')
        self.assertTrue(p256.verify(p256.public_key(key), b'sample', signature))
        self.assertFalse(p256.verify(p256.public_key(key), b'Sample', signature))
        self.assertFalse(p256.verify(bytes(64), b'sample', signature))


class Quotes(unittest.TestCase):
    def setUp(self):
        self.report = tdx.build_report(b'data')
        self.quote = tdx.quote_from_report(self.report)

    def test_layout_is_intels(self):
        report, quote = self.report, self.quote
        self.assertEqual((len(report), report[0]), (1024, 0x81))
        self.assertEqual(report[128:192], b'data'.ljust(64, b'\0'))
        self.assertEqual(report[512:520].hex(), '0000001000000000')
        self.assertEqual(report[528:576], tdx.Td().mrtd)
        self.assertEqual(report[32:80], hashlib.sha384(report[256:495]).digest())
        self.assertEqual((quote[0], quote[2], quote[4]), (4, 2, 0x81))
        self.assertEqual(quote[12:28].hex(), '939a7233f79c4ca9940a0db3957f0607')
        self.assertEqual(quote[48 + 136:48 + 184], tdx.Td().mrtd)
        self.assertEqual(quote[48 + 520:48 + 584], report[128:192])
        self.assertEqual(struct.unpack_from('<I', quote, 632)[0], len(quote) - 636)
        self.assertEqual(struct.unpack_from('<H', quote, 636 + 128)[0], 6)

    def test_a_quote_verifies_and_carries_the_report(self):
        parsed = tdx.verify_quote(self.quote + bytes(100), b'data')
        self.assertEqual(parsed.td, tdx.Td())
        self.assertEqual(parsed.used, len(self.quote))

    def test_openssl_verifies_the_signature_too(self):
        key = self.quote[700:764]
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, 'key.pem').write_text(x509.pem('PUBLIC KEY', x509.p256_spki(key)))
            Path(folder, 'signature').write_bytes(x509.ecdsa_der(self.quote[636:700]))
            Path(folder, 'body').write_bytes(self.quote[:632])
            subprocess.run(['openssl', 'dgst', '-sha256', '-verify', 'key.pem', '-signature', 'signature', 'body'],
                           cwd=folder, check=True, capture_output=True)

    def test_any_changed_byte_is_found(self):
        for at in (0, 2, 4, 20, 50, 200, 600, 633, 640, 700, 764, 766, 800, 1100, 1160, 1200, 1214, 1400, len(self.quote) - 200):
            changed = bytearray(self.quote)
            changed[at] ^= 1
            with self.assertRaises((tdx.QuoteError, ValueError), msg=at):
                tdx.verify_quote(bytes(changed), b'data')
        self.assertRaises(tdx.QuoteError, tdx.verify_quote, self.quote, b'other')
        self.assertRaises(tdx.QuoteError, tdx.verify_quote, self.quote + b'x')
        self.assertRaises(tdx.QuoteError, tdx.verify_quote, self.quote[:-1])
        other = x509.pem_certificates(Path(pki.path('hub-ca.pem')).read_text())[0]
        self.assertRaises(tdx.QuoteError, tdx.verify_quote, self.quote, b'data', other)
        for at in (40, 100, 130, 230, 300, 600):
            changed = bytearray(self.report)
            changed[at] ^= 1
            self.assertRaises(tdx.QuoteError, tdx.parse_report, bytes(changed))

    def test_hcl_report_binds_its_runtime_data(self):
        runtime = tdx.runtime_json(b'\xab' * 256, b'\xcd' * 256)
        report = tdx.build_hcl_report(runtime)
        self.assertEqual(len(report), 2600)
        self.assertEqual(report[160:192], hashlib.sha256(runtime).digest())
        parsed = tdx.parse_hcl_report(report)
        self.assertEqual((parsed.ak_modulus, parsed.runtime, parsed.user_data), (b'\xab' * 256, runtime, bytes(64)))
        self.assertEqual(parsed.report.td.rtmrs, [bytes(48)] * 4)
        changed = bytearray(report)
        changed[1300] ^= 1
        self.assertRaises(tdx.QuoteError, tdx.parse_hcl_report, bytes(changed))


if __name__ == '__main__':
    unittest.main()
